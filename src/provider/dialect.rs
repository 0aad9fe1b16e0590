//! What each kind of provider has a call for: the one table of kinds of providers and kinds of targets.

use url::Url;

use super::baanx::Baanx;
use super::genauth::Genauth;
use super::global_token_revocation::GlobalTokenRevocation;
use super::http::Http;
use super::hydra::Hydra;
use super::introspect::Look;
use super::keycloak::Keycloak;
use super::okta::Okta;
use super::rfc7009::Rfc7009;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{KindConfig, Verify};
use crate::outcome::Answer;
use crate::target::{Kind, PresentedToken, Selector, Target};

/// How a provider is spoken to.
pub(super) enum Dialect {
    Rfc7009(Box<Rfc7009>),
    Genauth(Box<Genauth>),
    Baanx(Box<Baanx>),
    GlobalTokenRevocation(Box<GlobalTokenRevocation>),
    Keycloak(Box<Keycloak>),
    Okta(Box<Okta>),
    Hydra(Box<Hydra>),
}

impl Dialect {
    /// The dialect of the provider's kind.
    pub(super) fn new(setup: &Setup<'_>) -> Result<Self, ProviderSetupError> {
        let dialect = match &setup.config.kind {
            KindConfig::Rfc7009(kind) => Self::Rfc7009(Box::new(Rfc7009::new(setup, kind)?)),
            KindConfig::Genauth(kind) => Self::Genauth(Box::new(Genauth::new(setup, kind)?)),
            KindConfig::Baanx(kind) => Self::Baanx(Box::new(Baanx::new(setup, kind)?)),
            KindConfig::GlobalTokenRevocation(kind) => {
                Self::GlobalTokenRevocation(Box::new(GlobalTokenRevocation::new(setup, kind)?))
            }
            KindConfig::Keycloak(kind) => Self::Keycloak(Box::new(Keycloak::new(setup, kind)?)),
            KindConfig::Okta(kind) => Self::Okta(Box::new(Okta::new(setup, kind)?)),
            KindConfig::Hydra(kind) => Self::Hydra(Box::new(Hydra::new(setup, kind)?)),
        };
        if setup.config.verify == Verify::Introspect && !dialect.can_introspect() {
            return Err(setup.refuse(
                "verify",
                r#"is "introspect", but there is no introspection with these settings; remove it"#,
            ));
        }
        Ok(dialect)
    }

    /// How many requests revoke a target of this kind in the usual case; 0 where there is no call for it.
    /// Bearers are kept, so they do not count.
    pub(super) fn calls(&self, kind: Kind) -> u32 {
        match (self, kind) {
            (Self::Genauth(_) | Self::Baanx(_), Kind::Token) => 1,
            (_, Kind::Token) => u32::from(self.tokens().is_some()),
            (Self::Keycloak(_), Kind::Session | Kind::Subject) | (Self::Hydra(_), Kind::Subject)
                if self.has_admin() =>
            {
                2
            }
            (Self::Genauth(_) | Self::Okta(_) | Self::GlobalTokenRevocation(_), Kind::Subject)
                if self.has_admin() =>
            {
                1
            }
            _ => 0,
        }
    }

    /// Revokes the target; `None` where there is no call for it.
    pub(super) async fn revoke(&self, http: &Http, target: &Target) -> Option<Answer> {
        let (sid, sub) = (target.sid.as_deref(), target.sub.as_deref());
        Some(match (self, &target.selector) {
            (Self::Genauth(application), Selector::Token(token)) => application.revoke(http, token).await,
            (Self::Baanx(environment), Selector::Token(token)) => environment.revoke(http, token).await,
            (_, Selector::Token(token)) => self.tokens()?.revoke(http, token).await,
            (Self::Keycloak(realm), Selector::Session) => realm.end_session(http, sid?).await,
            (Self::Keycloak(realm), Selector::Subject) => realm.log_out(http, sub?).await,
            (Self::Genauth(application), Selector::Subject) => {
                application.kick_users()?.log_out(http, sub?).await
            }
            (Self::Okta(organisation), Selector::Subject) => {
                organisation.log_out(http, organisation.bearers()?, sub?).await
            }
            (Self::Hydra(server), Selector::Subject) => server.admin()?.log_out(http, sub?).await,
            (Self::GlobalTokenRevocation(server), Selector::Subject) => {
                server.log_out(http, sub?, target.iss.as_deref()).await
            }
            _ => return None,
        })
    }

    /// Asks what the provider thinks of `token`, where there is introspection.
    pub(super) async fn look(&self, http: &Http, token: &PresentedToken) -> Look {
        match (self, self.tokens()) {
            (Self::Genauth(application), _) => application.look(http, token).await,
            (_, Some(server)) => server.look(http, token).await,
            (_, None) => Look::Nothing,
        }
    }

    /// Where metadata is needed: one sentence on what it says.
    pub(super) async fn describe(&self, http: &Http, verify: Verify) -> Option<Result<String, Answer>> {
        match self {
            Self::Rfc7009(server) => server.describe(http, verify).await,
            Self::GlobalTokenRevocation(server) => server.describe(http).await,
            _ => None,
        }
    }

    /// The addresses that are configured, the most important first.
    pub(super) fn addresses(&self) -> Vec<&Url> {
        match self {
            Self::Rfc7009(server) => server.configured().into_iter().collect(),
            Self::Genauth(application) => [application.configured()]
                .into_iter()
                .chain(application.kick_users().map(|call| call.endpoint()))
                .collect(),
            Self::Baanx(environment) => vec![environment.configured()],
            Self::GlobalTokenRevocation(server) => server.configured(),
            Self::Keycloak(realm) => realm.tokens().configured().into_iter().collect(),
            Self::Okta(organisation) => vec![organisation.base()],
            Self::Hydra(server) => server
                .tokens()
                .configured()
                .into_iter()
                .chain(server.admin().map(|admin| admin.url()))
                .collect(),
        }
    }

    /// The OAuth endpoints, where tokens are revoked by RFC 7009.
    pub(super) fn tokens(&self) -> Option<&Rfc7009> {
        match self {
            Self::Rfc7009(server) => Some(server),
            Self::Keycloak(realm) => Some(realm.tokens()),
            Self::Okta(organisation) => organisation.tokens(),
            Self::Hydra(server) => Some(server.tokens()),
            Self::Genauth(_) | Self::Baanx(_) | Self::GlobalTokenRevocation(_) => None,
        }
    }

    fn can_introspect(&self) -> bool {
        match self {
            Self::Genauth(_) => true,
            _ => self.tokens().is_some_and(Rfc7009::can_introspect),
        }
    }

    /// Whether administrative calls have no settings of their own, so that it is not known whether anybody
    /// wants them.
    pub(super) fn has_admin_unasked(&self) -> bool {
        matches!(self, Self::Keycloak(_))
    }

    /// Whether the settings of administrative calls are given.
    pub(super) fn has_admin(&self) -> bool {
        match self {
            Self::Keycloak(_) | Self::GlobalTokenRevocation(_) => true,
            Self::Genauth(application) => application.kick_users().is_some(),
            Self::Okta(organisation) => organisation.bearers().is_some(),
            Self::Hydra(server) => server.admin().is_some(),
            Self::Rfc7009(_) | Self::Baanx(_) => false,
        }
    }
}
