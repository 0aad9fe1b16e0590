//! What of an order no provider can carry out, as far as the settings here tell: it is denied, and stays
//! alive there.

use std::path::Path;

use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::output::{count, exact};
use crate::config::{Config, Environment};
use crate::order::first_pass::FirstPass;
use crate::provider::Provider;
use crate::target::Kind;
use crate::visible::times::utc;

/// Targets of a kind that their provider has no call for.
#[derive(Serialize)]
pub(super) struct NoCall {
    provider: String,
    kind: &'static str,
    targets: u64,
    /// Until when verifiers deny them, were they ordered now; of tokens with an end of their own, until that.
    denied_until: String,
}

/// Nothing where the providers are not configured here as the worker has them.
pub(super) fn of(path: Option<&Path>, environment: &Environment, found: &FirstPass) -> Vec<NoCall> {
    let Ok(config) = Config::load(path, environment) else { return Vec::new() };
    let alone = |((place, name), targets): (&(usize, String), &u64)| {
        let kind = Kind::ALL[*place];
        let name = if name.is_empty() { config.default_provider.as_deref()? } else { name.as_str() };
        let (name, settings) = config.providers.get_key_value(name)?;
        let provider = Provider::new(name.clone(), settings).ok()?;
        (!provider.supports_kind(kind)).then(|| NoCall {
            provider: name.to_string(),
            kind: kind.as_str(),
            targets: *targets,
            denied_until: exact(OffsetDateTime::now_utc() + settings.token_ttl),
        })
    };
    found.counts.iter().filter_map(alone).collect()
}

impl NoCall {
    pub(super) fn sentence(&self) -> String {
        let (Self { provider, kind, .. }, until) = (self, utc(Some(&self.denied_until)));
        let targets = count(self.targets, "target");
        let stays = match *kind {
            "token" => format!(
                "verifiers deny them until they expire, at the latest {until}, and the provider goes on to \
                    honour them"
            ),
            _ => format!(
                "verifiers deny what was issued before, until {until}; sessions and refresh tokens stay \
                    alive at the provider and get new access tokens, which verifiers accept"
            ),
        };
        format!("provider {provider} has no call for a {kind} ({targets}): {stays}")
    }
}
