//! Which configured provider a target goes to.

use super::members::{MAX_NAME_BYTES, Members};
use super::refusal::quoted;
use super::{ProviderRule, Refusal, RefusalCode, Rules};

/// The provider that `data.provider` names, for every target of the event.
pub(super) fn named<'r>(
    data: &mut Members<'_>,
    rules: &'r Rules,
) -> Result<Option<&'r ProviderRule>, Refusal> {
    let Some(name) = data.word("provider", MAX_NAME_BYTES)? else { return Ok(None) };
    by_name(rules, &name).map(Some).ok_or_else(|| {
        let problem = format!("{} is not configured; configured are: {}", quoted(&name), configured(rules));
        data.refuse(RefusalCode::UnknownProvider, "provider", &problem)
    })
}

/// The provider of a target in an event that names none: by the first of `issuers` that exactly one provider
/// has, else the default.
pub(super) fn resolve<'r>(
    rules: &'r Rules,
    index: usize,
    issuers: [Option<&str>; 2],
) -> Result<&'r ProviderRule, Refusal> {
    issuers
        .into_iter()
        .flatten()
        .find_map(|issuer| by_issuer(rules, issuer))
        .or_else(|| by_name(rules, rules.default_provider.as_deref()?))
        .ok_or_else(|| {
            let detail = format!(
                "data.targets[{index}] fits no provider: data.provider is absent, no issuer of the target \
                    matches exactly one \
                 providers.<name>.issuer, and default_provider is not set; name one of: {}",
                configured(rules)
            );
            Refusal::new(RefusalCode::UnknownProvider, detail)
        })
}

fn by_name<'r>(rules: &'r Rules, name: &str) -> Option<&'r ProviderRule> {
    rules.providers.iter().find(|provider| &*provider.name == name)
}

/// Issuers are compared byte by byte (RFC 8414 section 2 with RFC 3986 section 6.2.1); an issuer that two
/// providers share decides nothing.
fn by_issuer<'r>(rules: &'r Rules, issuer: &str) -> Option<&'r ProviderRule> {
    let mut matching = rules.providers.iter().filter(|provider| provider.issuer.as_deref() == Some(issuer));
    matching.next().filter(|_| matching.next().is_none())
}

fn configured(rules: &Rules) -> String {
    rules.providers.iter().map(|provider| &*provider.name).collect::<Vec<_>>().join(", ")
}
