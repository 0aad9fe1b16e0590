//! From the configuration to the parts that a worker is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admission::{Admission, Limits};
use crate::clock::Clock;
use crate::config::{ClaimNames, Config, ProviderConfig};
use crate::event::{self, ProviderRule};
use crate::provider::{Provider, ProviderSetupError};
use crate::retry::Schedule;
use crate::senders::{self, Known};
use crate::trace::Spans;
use crate::worker::Rules;

/// The clients of the configured providers, by name.
///
/// # Errors
/// A setting of a provider cannot be used.
pub fn providers(configs: &BTreeMap<Arc<str>, ProviderConfig>) -> Result<Vec<Provider>, ProviderSetupError> {
    configs.iter().map(|(name, config)| Provider::new(name.clone(), config)).collect()
}

/// What the worker goes by.
pub(super) fn rules(config: &Config) -> Rules {
    Rules {
        events: event_rules(config),
        schedule: Schedule::new(&config.retry),
        give_up_after: config.retry.give_up_after,
        heartbeat: config.invalidation.heartbeat,
        approval: config.authorization.approval(),
        people: config.people.clone(),
        verifier_owners: config.verifier_owners.clone(),
        checkpoint_every: config.evidence.checkpoint_every,
    }
}

fn event_rules(config: &Config) -> event::Rules {
    let rule = |(name, p): (&Arc<str>, &ProviderConfig)| ProviderRule {
        name: name.clone(),
        issuer: p.issuer.clone(),
        token_ttl: p.token_ttl,
    };
    event::Rules {
        max_message_bytes: config.limits.max_message_bytes,
        max_targets: config.limits.max_targets,
        max_token_bytes: config.limits.max_token_bytes,
        default_provider: config.default_provider.clone(),
        providers: config.providers.iter().map(rule).collect(),
        authority: config.authorization.authority(),
        realms: config.keycloak_realms.clone(),
    }
}

/// Whose signatures count.
pub(super) fn senders(
    config: &Config,
    rules: &event::Rules,
) -> Result<BTreeMap<String, Known>, ProviderSetupError> {
    let Some(receive) = &config.receive else { return Ok(BTreeMap::new()) };
    senders::known(&receive.senders, rules.default_provider.as_ref(), &rules.providers)
}

/// The providers' own names of claims.
pub(super) fn claim_names(config: &Config) -> BTreeMap<Arc<str>, ClaimNames> {
    config.providers.iter().map(|(name, provider)| (name.clone(), provider.claims.clone())).collect()
}

/// The providers, each behind its admission.
pub(super) fn admissions(
    config: &Config,
    clock: &Clock,
    spans: &Spans,
) -> Result<BTreeMap<Arc<str>, Arc<Admission>>, ProviderSetupError> {
    let limits = |name: &str| {
        config.providers.get(name).map(|provider| Limits {
            concurrency: provider.concurrency,
            rate_per_s: provider.rate_per_s.map(f64::from),
            retry_after_max: provider.retry_after_max,
        })
    };
    let admission = |provider: Provider| {
        let (name, limits) = (provider.name().clone(), limits(provider.name())?);
        Some((name, Admission::new(provider.by(clock.clone()).traced_by(spans.clone()), limits)))
    };
    Ok(providers(&config.providers)?.into_iter().filter_map(admission).collect())
}

/// A verifier that starts reads the stream back to the longest denial: one that the stream has dropped by
/// then would be accepted again.
pub(super) fn warn_of_short_stream(config: &Config) {
    let kept = config.invalidation.stream_max_age;
    for (provider, longer) in config.providers.iter().filter(|(_, p)| p.token_ttl > kept) {
        tracing::warn!(%provider, token_ttl_s = longer.token_ttl.as_secs(), stream_max_age_s = kept.as_secs(),
            "invalidation.stream_max_age is shorter than the provider's token_ttl: a verifier that starts \
                late misses denials that are still needed");
    }
}
