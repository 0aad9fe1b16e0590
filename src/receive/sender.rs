//! Who sends, and what it may order: the settings of `[receive.senders.<name>]`, resolved.

use std::sync::Arc;

use super::refused::{Code, Refused};
use crate::config::{Orderable, SenderConfig};
use crate::event::ProviderRule;

/// Whose credentials are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// A session's.
    Session {
        sid: String,
        /// Of this user.
        sub: Option<String>,
    },
    /// All of a user.
    Subject { sub: String },
}

/// A sender. Client and issuer are nothing that a sender can order.
pub struct Sender {
    /// Its name here, the last part of its addresses.
    pub name: Arc<str>,
    /// The exact `iss` of its tokens; the source of its events.
    pub issuer: String,
    /// The provider that its logouts go to.
    pub provider: Arc<str>,
    /// The `iss` of the tokens that are denied.
    pub(super) token_issuer: String,
    /// Our client's id there.
    pub(super) client_id: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) subject_claim: String,
    pub(super) subject_issuers: Vec<String>,
    pub(super) email_is_sub: bool,
    may_order: Vec<Orderable>,
}

impl Sender {
    /// From its settings. Where they name no provider, `default_provider` is its provider; `None` where there
    /// is neither.
    pub fn new(
        name: &str,
        config: &SenderConfig,
        default_provider: Option<&Arc<str>>,
        providers: &[ProviderRule],
    ) -> Option<Self> {
        let provider = config.provider.clone().or_else(|| default_provider.cloned())?;
        // What is denied are the provider's tokens, and their issuer may be another than the sender.
        let of_provider = providers.iter().find(|rule| rule.name == provider);
        let token_issuer = of_provider.and_then(|rule| rule.issuer.clone());
        Some(Self {
            name: name.into(),
            issuer: config.issuer.clone(),
            token_issuer: token_issuer.unwrap_or_else(|| config.issuer.clone()),
            provider,
            client_id: config.client_id.clone(),
            audience: config.audience.clone(),
            subject_claim: config.subject_claim.clone(),
            subject_issuers: config.subject_issuers.clone(),
            email_is_sub: config.email_is_sub,
            may_order: config.may_order.clone(),
        })
    }

    /// Refuses what is not among `may_order`. A session is never widened to its user.
    pub(super) fn check(&self, whose: &Whose) -> Result<(), Refused> {
        let (wanted, what, word) = match whose {
            Whose::Subject { .. } => (Orderable::Sub, "end all that a user has", "sub"),
            Whose::Session { .. } => (Orderable::Sid, "end a session", "sid"),
        };
        if self.may_order.contains(&wanted) {
            return Ok(());
        }
        let why = format!("this sender may not {what}: {word} is not in its may_order");
        Err(Refused::new(Code::NotAllowed, why))
    }

    /// Whether subjects of `issuer` are this sender's to name.
    pub(super) fn speaks_for(&self, issuer: &str) -> bool {
        let ours = [&self.issuer, &self.token_issuer].into_iter().chain(&self.subject_issuers);
        ours.into_iter().any(|ours| ours == issuer)
    }

    /// Everything that may be the `aud` of its tokens.
    pub(super) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.client_id.iter().chain(&self.audience).map(String::as_str)
    }
}
