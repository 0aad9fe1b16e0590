//! `[providers.<name>]`: the settings that are read for every kind, and the rules between providers.

mod address;
mod claims;
mod discovery;
mod identity;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::kinds::{self, KindConfig, listed};
use super::quantity::{DAY, SECOND, YEAR, ranged, within};
use super::rule::{Rule, beside, choice, flag, optional, trusted_file};
use super::section::Section;
use super::setting::{Settings, Shape, choices, settings};
use crate::event::ProviderRule;

pub(super) use address::{base, endpoint, optional_base, required_endpoint};
pub use claims::{ClaimNames, is_entra};
pub use discovery::DiscoveryConfig;
pub use identity::IdentityConfig;

const LEAST_TIMEOUT: Duration = Duration::from_millis(10);

settings! {
    /// `[providers.<name>]`: what every kind has.
    pub struct ProviderConfig {
        /// The exact `iss` of its tokens. It leads targets that name no provider here, and is what endpoints
        /// that are left out are discovered from.
        pub issuer: Option<String> = optional().then(is_not_empty),
        /// What its tokens call user and client.
        pub claims: ClaimNames = claims::claim_names(),
        /// How long a denial lasts where the token's end is unknown or lies beyond reason.
        pub token_ttl: Duration = token_ttl(),
        /// Longest time to connect; never longer than `timeout`.
        pub connect_timeout: Duration = connect_timeout(),
        /// Longest time of one call, body included.
        pub timeout: Duration = timeout(),
        /// Most calls at once from one worker.
        pub concurrency: usize = within(32, 1..=1024),
        /// Most calls a second from the whole fleet.
        pub rate_per_s: Option<u32> = ranged(1..=100_000).default("no limit"),
        /// Longest that its `Retry-After` is waited.
        pub retry_after_max: Duration =
            ranged(SECOND..=YEAR).default("that of `[retry]`").then(or_that_of_retry),
        /// Whether plain http is allowed to hosts other than loopback.
        pub allow_http: bool = flag(false),
        /// PEM roots trusted instead of the system's.
        pub ca_file: Option<PathBuf> = trusted_file(),
        /// The certificate that it is shown.
        pub identity: IdentityConfig = beside(),
        /// Where endpoints that metadata names may lie.
        pub discovery: DiscoveryConfig = beside(),
        /// `introspect`: ask the introspection endpoint before each revocation of a token and after each
        /// accepted one.
        pub verify: Verify = choice(Verify::Off),
        /// The kind and its own settings.
        pub kind: KindConfig = kinds::kind(),
    }
}

choices! {
    /// `verify`
    pub enum Verify {
        /// The provider's yes is enough.
        Off = "off",
        /// RFC 7662 introspection must not answer `active:true` afterwards; whether it answered so before
        /// decides how far the end is proven.
        Introspect = "introspect",
    }
}

/// Every provider, and the rules between them.
pub(super) fn providers() -> Rule<BTreeMap<Arc<str>, ProviderConfig>> {
    Rule::new(Shape::ByName(ProviderConfig::rows), |key, section| {
        let names = names(section);
        if names.is_empty() {
            let remedy = "add a section [providers.<name>] or REVOCATION__PROVIDERS__<NAME>__KIND and its \
                other settings";
            section.missing(key, remedy);
        }
        let mut section = section.within(key);
        let read = |name: String| Some((name.as_str().into(), provider(&mut section.within(&name))?));
        let providers = names.into_iter().filter_map(read).collect();
        claims::check_sum(&providers, &mut section);
        providers
    })
}

/// What sending events needs to know of the providers: no secrets, no endpoints.
pub(super) fn provider_rules(section: &mut Section<'_>) -> Vec<ProviderRule> {
    let names = names(section);
    let mut section = section.within("providers");
    let rule = |name: String| {
        let mut section = section.within(&name);
        let (issuer, token_ttl) = (section.given("issuer"), token_ttl().read("token_ttl", &mut section));
        ProviderRule { name: name.into(), issuer, token_ttl }
    };
    names.into_iter().map(rule).collect()
}

/// The names of all providers, no two of which have the same issuer.
fn names(section: &mut Section<'_>) -> Vec<String> {
    let mut section = section.within("providers");
    let names = section.names().unwrap_or_default();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in &names {
        let mut section = section.within(name);
        let Some(issuer) = section.given::<String>("issuer") else { continue };
        if let Some(first) = seen.get(&issuer) {
            let why = format!(
                "the same as providers.{first}.issuer; a token's iss must lead to one provider, so remove \
                    one of the two"
            );
            section.refuse("issuer", why);
        } else {
            seen.insert(issuer, name);
        }
    }
    names
}

fn provider(section: &mut Section<'_>) -> Option<ProviderConfig> {
    let name = section.last_name();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    // It is one word of routing keys (docs/contract.md, section 4).
    if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
        section.refuse_all("a provider's name has 1 to 64 of the characters A-Z a-z 0-9 - _");
    }
    if !section.has("kind") {
        section.missing("kind", format_args!("choose {}", listed(&kinds::words(), "or")));
        return None;
    }
    kinds::refuse_foreign(section);
    Some(ProviderConfig::read(section))
}

fn is_not_empty(issuer: Option<String>, key: &str, section: &mut Section<'_>) -> Option<String> {
    if issuer.as_deref() == Some("") {
        section.refuse(key, "empty; remove it or give the exact iss of the provider's tokens");
    }
    issuer
}

fn token_ttl() -> Rule<Duration> {
    within(30 * DAY, SECOND..=10 * YEAR)
}

fn timeout() -> Rule<Duration> {
    within(10 * SECOND, LEAST_TIMEOUT..=120 * SECOND)
}

fn connect_timeout() -> Rule<Duration> {
    let form = format!("duration, {} to `timeout`", humantime::format_duration(LEAST_TIMEOUT));
    let usual = 3 * SECOND;
    let default = format!("{}, or `timeout` where that is less", humantime::format_duration(usual));
    optional::<Duration>().form(form).default(default).then(move |_, key, section| {
        let timeout = timeout().read("timeout", section);
        within(timeout.min(usual), LEAST_TIMEOUT..=timeout).read(key, section)
    })
}

/// `retry.retry_after_max`: a provider that has none of its own goes by it.
pub(super) fn retry_after_max() -> Rule<Duration> {
    within(DAY, SECOND..=YEAR)
}

fn or_that_of_retry(given: Option<Duration>, _: &str, section: &mut Section<'_>) -> Duration {
    given.unwrap_or_else(|| retry_after_max().read("retry_after_max", &mut section.elsewhere("retry")))
}
