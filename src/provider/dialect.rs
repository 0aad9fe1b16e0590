//! What a kind of provider has calls for. The file of each kind says it once; whoever calls a provider goes
//! by this trait.

use futures::future::BoxFuture;
use url::Url;

use super::http::Http;
use super::introspect::Look;
use super::oauth::Rfc7009;
use super::probe::{self, Probed};
use crate::config::Verify;
use crate::outcome::Answer;
use crate::target::{Kind, PresentedToken, Scope, Selector, Target};

/// A call that is made; `None` where there is none.
pub(super) type Attempt<'a> = Option<BoxFuture<'a, Answer>>;

/// What the provider's metadata says, in a sentence; `None` where none is needed.
pub(super) type Description<'a> = BoxFuture<'a, Option<Result<String, Answer>>>;

/// What a probe of the kind's own shows; `None` where the kind has none.
pub(super) type Probing<'a> = Option<BoxFuture<'a, Option<Probed>>>;

/// How a provider is spoken to.
pub(super) trait Dialect: Send + Sync {
    /// How many requests end a target of this kind in the usual case; 0 where there is no call for it.
    /// Bearers are kept, so they do not count.
    fn calls(&self, kind: Kind) -> u32;

    /// The addresses that are configured, the most important first.
    fn addresses(&self) -> Vec<&Url>;

    /// The OAuth endpoints, where tokens are revoked by RFC 7009 or much as there.
    fn tokens(&self) -> Option<&Rfc7009> {
        None
    }

    /// Revokes a token.
    fn revoke<'a>(&'a self, http: &'a Http, token: &'a PresentedToken) -> Attempt<'a> {
        let tokens = self.tokens()?;
        Some(Box::pin(tokens.revoke(http, token)))
    }

    /// Ends the session `sid`.
    fn end_session<'a>(&'a self, _http: &'a Http, _sid: &'a str) -> Attempt<'a> {
        None
    }

    /// Ends everything of the user `sub` of `iss`.
    fn log_out<'a>(&'a self, _http: &'a Http, _sub: &'a str, _iss: Option<&'a str>) -> Attempt<'a> {
        None
    }

    /// Ends everything that the client `client` was given.
    fn end_client<'a>(&'a self, _http: &'a Http, _client: &'a str) -> Attempt<'a> {
        None
    }

    /// Where metadata is needed: one sentence on what it says.
    fn describe<'a>(&'a self, _http: &'a Http, _verify: Verify) -> Description<'a> {
        Box::pin(async { None })
    }

    /// Whether its servers are known to let the client in before they look at a token that nobody holds.
    fn knows_unknown_tokens(&self) -> bool {
        true
    }

    /// Shows the credentials of administrative calls with `nobody`, whom no server knows.
    fn try_admin<'a>(&'a self, http: &'a Http, nobody: &'a str) -> Attempt<'a> {
        self.log_out(http, nobody, None)
    }

    /// What the answer to [`Self::try_admin`] shows of the credentials.
    fn read_admin(&self, answer: Answer) -> Probed {
        probe::read(answer, "check the credentials of administrative calls", true, probe::is_accepted)
    }

    /// Whether administrative calls have no settings of their own, so that it is not known whether anybody
    /// wants them.
    fn has_admin_unasked(&self) -> bool {
        false
    }

    /// Whether there is a request that names no target, for wide calls or for tokens.
    fn has_probe(&self, scope: Scope) -> bool {
        match scope {
            Scope::Token => self.tokens().is_some(),
            Scope::Wide => self.calls(Kind::Subject) > 0,
        }
    }

    /// Makes such a request in the kind's own way; `None`: as all kinds do.
    fn own_probe<'a>(&'a self, _http: &'a Http, _scope: Scope) -> Probing<'a> {
        None
    }
}

impl dyn Dialect {
    /// Ends the target; `None` where there is no call for it.
    pub(super) async fn end(&self, http: &Http, target: &Target) -> Option<Answer> {
        let attempt = match &target.selector {
            Selector::Token(token) => self.revoke(http, token),
            Selector::Session => self.end_session(http, target.sid.as_deref()?),
            Selector::Subject => self.log_out(http, target.sub.as_deref()?, target.iss.as_deref()),
            Selector::Client => self.end_client(http, target.client_id.as_deref()?),
            Selector::Issuer => None,
        };
        Some(attempt?.await)
    }

    /// Asks what the provider thinks of `token`, where there is introspection.
    pub(super) async fn look(&self, http: &Http, token: &PresentedToken) -> Look {
        match self.tokens() {
            Some(server) => server.look(http, token).await,
            None => Look::Nothing,
        }
    }

    /// Makes that request; changes nothing at the provider. `None` where there is none.
    pub(super) async fn try_credentials(&self, http: &Http, verify: Verify, scope: Scope) -> Option<Probed> {
        if let Some(own) = self.own_probe(http, scope) {
            return own.await;
        }
        if scope == Scope::Wide {
            let nobody = probe::unknown_name();
            return Some(self.read_admin(self.try_admin(http, &nobody)?.await));
        }
        let answer = self.tokens()?.try_client(http, verify, &probe::unknown_token()).await;
        let plainly = self.knows_unknown_tokens() || probe::blames_client(&answer);
        Some(probe::read(answer, probe::CLIENT, plainly, probe::is_accepted))
    }
}
