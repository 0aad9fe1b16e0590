//! Calls that are declared: in the settings of `kind = "http"`, or by the file of a kind whose calls need no
//! more than that.

mod constants;
mod listing;
mod order;
mod probing;
mod rules;
mod settings;
mod speaks;
mod template;

use std::sync::Arc;

pub(super) use self::constants::Constants;
use self::listing::Listing;
use self::order::{Order, Parts};
use self::rules::{Condition, Meaning, Rules};
use self::template::{Name, Values};
use super::bearer::Bearer;
use super::bearers::Bearers;
use super::http::Http;
use super::oauth::Rfc7009;
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{HttpCallConfig, HttpListConfig, HttpMethod, HttpProbeConfig};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::{Scope, TokenTypeHint};

/// A provider whose calls are declared.
pub(super) struct Declared {
    constants: Constants,
    bearers: Option<Bearers>,
    /// Where tokens go by RFC 7009 instead.
    oauth: Option<Rfc7009>,
    token: Option<Action>,
    session: Option<Action>,
    /// Each ends a part of what a user has.
    subject: Vec<Action>,
    client: Option<Action>,
    listing: Option<Listing>,
    probe: Probe,
    /// The one type of tokens that there is a call for.
    only: Option<TokenTypeHint>,
}

/// A call and what its answers mean.
struct Action {
    order: Order,
    rules: Rules,
}

/// What shows the credentials.
enum Probe {
    /// Nothing does.
    Nothing,
    /// A call of its own, the answers that accept the credentials, and those that refuse them.
    Own(Box<Order>, [Vec<Condition>; 2]),
    /// Calls of these scopes for nobody; the function says which answers let us in.
    Nobody(&'static [Scope], fn(&Answer) -> bool),
}

impl Declared {
    /// Without any call.
    pub(super) fn new(constants: Constants, bearers: Option<Bearers>) -> Self {
        let constants = constants.granted(bearers.is_some());
        Self {
            constants,
            bearers,
            oauth: None,
            token: None,
            session: None,
            subject: Vec::new(),
            client: None,
            listing: None,
            probe: Probe::Nothing,
            only: None,
        }
    }

    /// With the call for tokens.
    pub(super) fn token(self, setup: &Setup<'_>, call: &HttpCallConfig) -> Result<Self, ProviderSetupError> {
        let names = &[Name::Token, Name::Hint];
        let token = Some(self.action(setup, "token", call, names)?);
        Ok(Self { token, ..self })
    }

    /// With tokens by RFC 7009.
    pub(super) fn oauth(self, oauth: Rfc7009) -> Self {
        Self { oauth: Some(oauth), ..self }
    }

    /// With calls for tokens of this type alone.
    pub(super) fn only_for(self, hint: TokenTypeHint) -> Self {
        Self { only: Some(hint), ..self }
    }

    /// With the call for sessions.
    pub(super) fn session(
        self,
        setup: &Setup<'_>,
        call: &HttpCallConfig,
    ) -> Result<Self, ProviderSetupError> {
        let session = Some(self.action(setup, "session", call, &[Name::Sid])?);
        Ok(Self { session, ..self })
    }

    /// With a call for subjects, after those that are there.
    pub(super) fn subject(
        mut self,
        setup: &Setup<'_>,
        call: &HttpCallConfig,
    ) -> Result<Self, ProviderSetupError> {
        let action = self.action(setup, "subject", call, &[Name::Sub])?;
        self.subject.push(action);
        Ok(self)
    }

    /// With the call for clients.
    pub(super) fn client(self, setup: &Setup<'_>, call: &HttpCallConfig) -> Result<Self, ProviderSetupError> {
        let client = Some(self.action(setup, "client", call, &[Name::Client])?);
        Ok(Self { client, ..self })
    }

    /// With the list of a subject's sessions.
    pub(super) fn sessions(
        self,
        setup: &Setup<'_>,
        list: &HttpListConfig,
    ) -> Result<Self, ProviderSetupError> {
        let listing = Some(Listing::new(setup, list, &self.constants)?);
        Ok(Self { listing, ..self })
    }

    /// With a call of its own that shows the credentials.
    pub(super) fn probe(
        self,
        setup: &Setup<'_>,
        probe: &HttpProbeConfig,
    ) -> Result<Self, ProviderSetupError> {
        let HttpProbeConfig { method, url, headers, form, json, accepted, refused } = probe;
        let (method, json, names) = (*method, json.as_ref(), &[]);
        let order = Order::new(
            setup,
            &Parts { section: "probe", method, url, headers, form, json, names },
            &self.constants,
        )?;
        let conditions = |key: &str, texts: &[String]| {
            let parsed = texts.iter().map(|text| Condition::parse(text));
            parsed.collect::<Result<_, _>>().map_err(|why| setup.refuse(&format!("probe.{key}"), why))
        };
        let (accepted, refused) = (conditions("accepted", accepted)?, conditions("refused", refused)?);
        Ok(Self { probe: Probe::Own(Box::new(order), [accepted, refused]), ..self })
    }

    /// With calls for nobody that show the credentials.
    pub(super) fn probed_by_nobody(self, scopes: &'static [Scope], lets_in: fn(&Answer) -> bool) -> Self {
        Self { probe: Probe::Nobody(scopes, lets_in), ..self }
    }

    fn action(
        &self,
        setup: &Setup<'_>,
        section: &'static str,
        call: &HttpCallConfig,
        names: &'static [Name],
    ) -> Result<Action, ProviderSetupError> {
        let HttpCallConfig { method, url, headers, form, json, .. } = call;
        let parts = Parts { section, method: *method, url, headers, form, json: json.as_ref(), names };
        let order = Order::new(setup, &parts, &self.constants)?;
        let rules = Rules::parse([
            ("revoked", Meaning::Revoked, &call.revoked),
            ("already_invalid", Meaning::AlreadyInvalid, &call.already_invalid),
            ("unsupported", Meaning::Unsupported, &call.unsupported),
            ("rejected", Meaning::Rejected, &call.rejected),
            ("misconfigured", Meaning::Misconfigured, &call.misconfigured),
            ("retry", Meaning::Retry, &call.retry),
        ]);
        let rules = rules.map_err(|(list, why)| setup.refuse(&format!("{section}.{list}"), why))?;
        Ok(Action { order, rules })
    }

    async fn act(&self, http: &Http, action: &Action, values: Values<'_>) -> Answer {
        self.send(http, &action.order, &values, None, |reply| action.rules.judge(reply))
            .await
            .unwrap_or_else(|failure| failure)
    }

    /// Sends a call, with the bearer where it shows one.
    async fn send<T>(
        &self,
        http: &Http,
        order: &Order,
        values: &Values<'_>,
        more: Option<(&str, &str)>,
        read: impl Fn(&Reply<'_>) -> T,
    ) -> Result<T, Answer> {
        let read = &read;
        match self.bearers.as_ref().filter(|_| order.is_granted()) {
            None => order.send(http, None, values, more, read).await,
            Some(bearers) => {
                let send = move |bearer: Arc<Bearer>| async move {
                    order.send(http, Some(&bearer), values, more, read).await
                };
                bearers.lend_for(http, send).await
            }
        }
    }

    /// Each call for a subject in turn, as long as none fails. What a part was of already ended says nothing
    /// of the others.
    async fn log_out_everywhere(&self, http: &Http, sub: &str) -> Answer {
        let values = Values { sub, ..self.constants.values() };
        let mut said = None;
        for action in &self.subject {
            let answer = self.act(http, action, values).await;
            match answer.verdict {
                Verdict::Done(Proof::Accepted) => said = Some(answer),
                Verdict::Done(_) => said = said.or(Some(answer)),
                _ => return answer,
            }
        }
        said.unwrap_or_else(|| Answer::failed(Verdict::Unsupported, None, "no call is declared for subjects"))
    }
}

/// A list of a user's sessions at `url`, with a header and the path to the list.
pub(super) fn list(url: String, (name, value): (&str, &str), items: &str) -> HttpListConfig {
    HttpListConfig {
        method: HttpMethod::Get,
        url,
        headers: [(name.to_owned(), value.to_owned())].into(),
        json: None,
        items: items.to_owned(),
        id: "id".to_owned(),
        empty_with: None,
        only: Vec::new(),
        next: None,
        next_parameter: String::new(),
        rejected: Vec::new(),
    }
}
