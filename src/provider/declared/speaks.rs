//! What a declared provider has calls for.

use url::Url;

use super::listing::{self, Listing};
use super::order::Order;
use super::template::Values;
use super::{Declared, Probe};
use crate::outcome::{Answer, Verdict};
use crate::provider::bearers::Bearers;
use crate::provider::dialect::{Attempt, Dialect, Probing};
use crate::provider::http::Http;
use crate::provider::oauth::Rfc7009;
use crate::target::{Kind, PresentedToken, Scope, TokenTypeHint};

impl Dialect for Declared {
    fn calls(&self, kind: Kind) -> u32 {
        let subject = self.subject.len().try_into().unwrap_or(u32::MAX);
        match kind {
            Kind::Token => u32::from(self.token.is_some() || self.oauth.is_some()),
            Kind::Session => u32::from(self.session.is_some()),
            // A list, the end of one session, and the list that holds none.
            Kind::Subject if self.listing.is_some() => 3,
            Kind::Subject => subject,
            Kind::Client => u32::from(self.client.is_some()),
            Kind::Issuer => 0,
        }
    }

    fn addresses(&self) -> Vec<&Url> {
        let oauth = self.oauth.iter().flat_map(Rfc7009::configured);
        let actions = self.token.iter().chain(&self.session).chain(&self.subject).chain(&self.client);
        let orders = actions.map(|action| &action.order).chain(self.listing.iter().map(Listing::order));
        let granted = self.bearers.iter().flat_map(Bearers::endpoint);
        oauth.chain(orders.map(Order::base)).chain(granted).collect()
    }

    fn tokens(&self) -> Option<&Rfc7009> {
        self.oauth.as_ref()
    }

    fn revoke<'a>(&'a self, http: &'a Http, token: &'a PresentedToken) -> Attempt<'a> {
        if let (Some(only), Some(hint)) = (self.only, token.hint)
            && only != hint
        {
            return Some(Box::pin(async move { other_type(only) }));
        }
        if let Some(oauth) = &self.oauth {
            return Some(Box::pin(oauth.revoke(http, token)));
        }
        let action = self.token.as_ref()?;
        let (hint, token) = (token.hint.map_or("", |hint| hint.as_str()), token.token.expose());
        Some(Box::pin(self.act(http, action, Values { token, hint, ..self.constants.values() })))
    }

    fn end_session<'a>(&'a self, http: &'a Http, sid: &'a str) -> Attempt<'a> {
        let action = self.session.as_ref()?;
        Some(Box::pin(self.act(http, action, Values { sid, ..self.constants.values() })))
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, _: Option<&'a str>) -> Attempt<'a> {
        match &self.listing {
            Some(listing) => Some(Box::pin(listing::run(self, http, listing, sub))),
            None if self.subject.is_empty() => None,
            None => Some(Box::pin(self.log_out_everywhere(http, sub))),
        }
    }

    fn end_client<'a>(&'a self, http: &'a Http, client: &'a str) -> Attempt<'a> {
        let action = self.client.as_ref()?;
        Some(Box::pin(self.act(http, action, Values { client, ..self.constants.values() })))
    }

    fn has_probe(&self, scope: Scope) -> bool {
        let has_calls = match scope {
            Scope::Token => self.calls(Kind::Token) > 0,
            Scope::Wide => {
                [Kind::Session, Kind::Subject, Kind::Client].into_iter().any(|kind| self.calls(kind) > 0)
            }
        };
        match &self.probe {
            _ if !has_calls => false,
            _ if scope == Scope::Token && self.oauth.is_some() => true,
            Probe::Nothing => false,
            Probe::Own(..) => true,
            Probe::Nobody(scopes, _) => scopes.contains(&scope),
        }
    }

    fn own_probe<'a>(&'a self, http: &'a Http, scope: Scope) -> Probing<'a> {
        if scope == Scope::Token && self.oauth.is_some() {
            return None;
        }
        if !self.has_probe(scope) {
            return Some(Box::pin(async { None }));
        }
        Some(match &self.probe {
            Probe::Nothing => Box::pin(async { None }),
            Probe::Own(order, [accepted, refused]) => {
                Box::pin(async move { Some(self.try_own(http, order, accepted, refused).await) })
            }
            Probe::Nobody(_, lets_in) => Box::pin(self.try_nobody(http, scope, *lets_in)),
        })
    }
}

fn other_type(only: TokenTypeHint) -> Answer {
    let error = format!(
        "the provider revokes tokens of the type {} alone; this one is denied locally until it expires",
        only.as_str()
    );
    Answer::failed(Verdict::Unsupported, None, error)
}
