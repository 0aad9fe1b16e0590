//! What a service chooses.

use std::time::Duration;

use crate::amqp::Address;
use crate::message::StalenessPolicy;

/// What a denylist needs to know. No `Debug`: the URL holds a password.
pub struct Options {
    amqp_url: String,
    ca_pem: Option<String>,
    pub(super) service: String,
    pub(super) instance: String,
    pub(super) staleness_policy: StalenessPolicy,
    pub(super) max_token_lifetime: Duration,
    pub(super) skips_refresh_tokens: bool,
}

impl Options {
    /// The broker's `amqp://` or `amqps://` URL, the name of the service as operators know it, and what to do
    /// with tokens that cannot be judged.
    pub fn new(
        amqp_url: impl Into<String>,
        service: impl Into<String>,
        staleness_policy: StalenessPolicy,
    ) -> Self {
        let instance = format!("{}-{}", host_name(), std::process::id());
        let max_token_lifetime = Duration::from_secs(30 * 86_400);
        Self {
            amqp_url: amqp_url.into(),
            ca_pem: None,
            service: service.into(),
            instance,
            staleness_policy,
            max_token_lifetime,
            skips_refresh_tokens: false,
        }
    }

    /// The name of this process among those of its service. By default host name and process id.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = instance.into();
        self
    }

    /// The longest lifetime of the tokens that this service accepts, by default 30 days: how far back the
    /// stream is read at the start. Must not be shorter than the true one: older denials are not known then.
    #[must_use]
    pub fn max_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_token_lifetime = lifetime;
        self
    }

    /// Whether to hold no entries of tokens hinted `refresh_token`, by default false. Refresh tokens are
    /// shown to the authorization server alone, yet fill memory until they expire. The hint is the
    /// publisher's word: an access token that was hinted so by mistake or in bad faith stays accepted. What
    /// [`deny`](crate::Denylist::deny) is given is held whatever its hint.
    #[must_use]
    pub fn skip_refresh_tokens(mut self, skip: bool) -> Self {
        self.skips_refresh_tokens = skip;
        self
    }

    /// The certificate, in PEM, of a private authority that signed the broker's.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }

    /// Whether all options can be used, without connecting.
    ///
    /// # Errors
    /// Which cannot, and why.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.address().map(drop)
    }

    /// Where the broker is, if all options can be used.
    pub(super) fn address(&self) -> Result<Address, OptionsError> {
        let names = [("service", &self.service), ("instance", &self.instance)];
        if let Some((what, _)) = names.into_iter().find(|(_, name)| !(1..=200).contains(&name.len())) {
            return Err(OptionsError::Name(what));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(3650 * 86_400)).contains(&self.max_token_lifetime) {
            return Err(OptionsError::Lifetime);
        }
        Address::parse(&self.amqp_url, self.ca_pem.clone()).ok_or(OptionsError::Url)
    }
}

/// Options that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The broker's URL.
    #[error("the broker's URL is not an amqp:// or amqps:// URL")]
    Url,
    /// `service` or `instance` is empty or does not fit a routing key.
    #[error("{0} must have 1 to 200 bytes")]
    Name(&'static str),
    /// A lifetime that no calendar holds.
    #[error("max_token_lifetime must be 1 s to 10 years")]
    Lifetime,
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "verifier".to_owned())
}
