//! The rules of `[providers.<name>]`.

mod address;
mod claims;
mod discovery;
mod foreign;
mod subjects;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::findings::Findings;
use super::raw::{RawKind, RawProvider, Span};
use super::{ClientAuth, ClientConfig, DAY, KindConfig, ProviderConfig, Secret, Verify};
use crate::event::ProviderRule;

pub use claims::is_entra;

const SECOND: Duration = Duration::from_secs(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);

/// One provider being read: its raw settings and where it stands.
struct Reader<'a> {
    section: String,
    raw: RawProvider,
    retry_after_max: Duration,
    findings: &'a mut Findings,
}

/// Every provider, and the rules between them. `retry_after_max`: that of `[retry]`.
pub(super) fn providers(
    raw: BTreeMap<String, RawProvider>,
    retry_after_max: Duration,
    findings: &mut Findings,
) -> BTreeMap<Arc<str>, ProviderConfig> {
    if raw.is_empty() {
        findings.missing(
            "providers",
            "add a section [providers.<name>] or REVOCATION__PROVIDERS__<NAME>__KIND and its other settings",
        );
    }
    issuers_differ(&raw, findings);
    let mut valid = BTreeMap::new();
    for (name, raw) in raw {
        let mut reader = Reader { section: format!("providers.{name}"), raw, retry_after_max, findings };
        reader.check_name(&name);
        if let Some(provider) = reader.provider() {
            valid.insert(name.into(), provider);
        }
    }
    claims::check_sum(&valid, findings);
    valid
}

/// What sending events needs to know of the providers: no secrets, no endpoints.
pub(super) fn rules(raw: BTreeMap<String, RawProvider>, findings: &mut Findings) -> Vec<ProviderRule> {
    issuers_differ(&raw, findings);
    let rule = |(name, raw): (String, RawProvider)| {
        let token_ttl = token_ttl(&format!("providers.{name}.token_ttl"), raw.token_ttl, findings);
        ProviderRule { name: name.into(), issuer: raw.issuer, token_ttl }
    };
    raw.into_iter().map(rule).collect()
}

fn token_ttl(setting: &str, given: Option<Span>, findings: &mut Findings) -> Duration {
    findings.span(setting, given, Duration::from_secs(30 * DAY), SECOND..=Duration::from_secs(3650 * DAY))
}

/// `default_provider`, which must be one of `names`.
pub(super) fn default_provider<'a>(
    given: Option<String>,
    names: impl Iterator<Item = &'a String>,
    findings: &mut Findings,
) -> Option<Arc<str>> {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let given = given?;
    if !names.is_empty() && !names.contains(&given.as_str()) {
        findings.refuse(
            "default_provider",
            format_args!("no provider has the name {given:?}; configured: {}", names.join(", ")),
        );
    }
    Some(given.into())
}

fn issuers_differ(raw: &BTreeMap<String, RawProvider>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, provider) in raw {
        let Some(issuer) = provider.issuer.as_deref() else { continue };
        match seen.get(issuer) {
            Some(first) => {
                let why = format!(
                    "the same as providers.{first}.issuer; a token's iss must lead to one provider, so \
                        remove one of the two"
                );
                findings.refuse(&format!("providers.{name}.issuer"), why);
            }
            None => drop(seen.insert(issuer, name)),
        }
    }
}

impl Reader<'_> {
    fn setting(&self, key: &str) -> String {
        format!("{}.{key}", self.section)
    }

    fn refuse(&mut self, key: &str, why: &str) {
        let setting = self.setting(key);
        self.findings.refuse(&setting, why);
    }

    fn missing(&mut self, key: &str, remedy: &str) {
        let setting = self.setting(key);
        self.findings.missing(&setting, remedy);
    }

    /// The name is one word of routing keys (contract section 4).
    fn check_name(&mut self, name: &str) {
        if !(1..=64).contains(&name.len())
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            let section = self.section.clone();
            self.findings.refuse(&section, "a provider's name has 1 to 64 of the characters A-Z a-z 0-9 - _");
        }
    }

    fn provider(mut self) -> Option<ProviderConfig> {
        let Some(kind) = self.raw.kind else {
            self.missing("kind", &format!("choose {}", RawKind::NAMES));
            return None;
        };
        self.refuse_foreign(kind);
        if self.raw.issuer.as_deref() == Some("") {
            self.refuse("issuer", "empty; remove it or give the exact iss of the provider's tokens");
        }
        let kind = match kind {
            RawKind::Rfc7009 => self.rfc7009().map(KindConfig::Rfc7009),
            RawKind::Genauth => self.genauth().map(KindConfig::Genauth),
            RawKind::Baanx => self.baanx().map(KindConfig::Baanx),
            RawKind::GlobalTokenRevocation => {
                self.global_token_revocation().map(KindConfig::GlobalTokenRevocation)
            }
            RawKind::Keycloak => self.keycloak().map(KindConfig::Keycloak),
            RawKind::Okta => self.okta().map(KindConfig::Okta),
            RawKind::Hydra => self.hydra().map(KindConfig::Hydra),
        };
        self.with_kind(kind)
    }

    /// The settings that every kind has; read, and checked, even where those of the kind are wrong.
    fn with_kind(mut self, kind: Option<KindConfig>) -> Option<ProviderConfig> {
        let discovery = self.discovery();
        let mut raw = std::mem::take(&mut self.raw);
        let claims = self.claim_names(&mut raw, kind.as_ref());
        let timeout = self.span("timeout", raw.timeout, 10 * SECOND, LEAST_TIMEOUT, 120 * SECOND);
        let connect_timeout = self.span(
            "connect_timeout",
            raw.connect_timeout,
            timeout.min(3 * SECOND),
            LEAST_TIMEOUT,
            timeout,
        );
        let token_ttl = token_ttl(&self.setting("token_ttl"), raw.token_ttl, self.findings);
        let concurrency = self.findings.number(&self.setting("concurrency"), raw.concurrency, 32, 1..=1024);
        let retry_after_max = self.span(
            "retry_after_max",
            raw.retry_after_max,
            self.retry_after_max,
            SECOND,
            Duration::from_secs(365 * DAY),
        );
        let limited = raw.rate_per_s.is_some();
        let rate_per_s = limited
            .then(|| self.findings.number(&self.setting("rate_per_s"), raw.rate_per_s, 1, 1..=100_000));
        Some(ProviderConfig {
            issuer: raw.issuer,
            claims,
            token_ttl,
            connect_timeout,
            timeout,
            concurrency,
            rate_per_s,
            retry_after_max,
            allow_http: raw.allow_http.is_some_and(|flag| flag.0),
            ca_file: raw.ca_file,
            discovery,
            verify: raw.verify.unwrap_or(Verify::Off),
            kind: kind?,
        })
    }

    fn span(
        &mut self,
        key: &str,
        given: Option<Span>,
        default: Duration,
        least: Duration,
        most: Duration,
    ) -> Duration {
        self.findings.span(&self.setting(key), given, default, least..=most)
    }

    fn client(&mut self, default: ClientAuth) -> Option<ClientConfig> {
        let auth = self.raw.client_auth.unwrap_or(default);
        let id = self.raw.client_id.take();
        let id =
            self.text("client_id", id, "give the id that this worker has at the provider as an OAuth client");
        let is_public = auth == ClientAuth::None;
        if is_public && (self.raw.client_secret.is_some() || self.raw.client_secret_file.is_some()) {
            let why = "superfluous with client_auth = \"none\"; remove it, or choose client_secret_basic or \
                client_secret_post";
            self.refuse("client_secret", why);
            return None;
        }
        let secret =
            self.secret("client_secret", |raw| (raw.client_secret.take(), raw.client_secret_file.take()));
        if !is_public && secret.is_none() {
            self.missing(
                "client_secret",
                "set client_secret or client_secret_file, or client_auth = \"none\" for a public client",
            );
        }
        Some(ClientConfig { id: id?, secret, auth })
    }

    fn secret(
        &mut self,
        key: &str,
        take: impl FnOnce(&mut RawProvider) -> (Option<Secret>, Option<PathBuf>),
    ) -> Option<Secret> {
        let (value, file) = take(&mut self.raw);
        self.findings.secret(&self.setting(key), value, file)
    }

    /// A text that must be there.
    fn text(&mut self, key: &str, given: Option<String>, remedy: &str) -> Option<String> {
        let text = given.filter(|text| !text.is_empty());
        if text.is_none() {
            self.missing(key, remedy);
        }
        text
    }

    /// An address that must be there and that paths are appended to.
    fn base(&mut self, key: &str, given: Option<String>, remedy: &str) -> Option<String> {
        let address = self.text(key, given, remedy)?;
        self.endpoint(key, address).map(|address| address.trim_end_matches('/').to_owned())
    }

    /// An address that tokens and client secrets are sent to.
    fn endpoint(&mut self, key: &str, address: String) -> Option<String> {
        let allows_http = self.raw.allow_http.as_ref().is_some_and(|flag| flag.0);
        match address::check(&address, allows_http) {
            Ok(()) => Some(address),
            Err(why) => {
                self.refuse(key, why);
                None
            }
        }
    }
}
