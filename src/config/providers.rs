//! The rules of `[providers.<name>]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use super::findings::Findings;
use super::raw::{RawKind, RawProvider, Span};
use super::{BaanxConfig, BasicEncoding, ClientAuth, ClientConfig, GenauthConfig, GenauthProtocol, KindConfig, ProviderConfig};
use super::{DAY, Rfc7009Config, Secret, Verify};
use crate::event::ProviderRule;

const SECOND: Duration = Duration::from_secs(1);
const LEAST_TIMEOUT: Duration = Duration::from_millis(10);

/// One provider being read: its raw settings and where it stands.
struct Reader<'a> {
    section: String,
    raw: RawProvider,
    findings: &'a mut Findings,
}

/// Every provider, and the rules between them.
pub(super) fn providers(raw: BTreeMap<String, RawProvider>, findings: &mut Findings) -> BTreeMap<Arc<str>, ProviderConfig> {
    if raw.is_empty() {
        findings.missing("providers", "add a section [providers.<name>] or REVOCATION__PROVIDERS__<NAME>__KIND and its other settings");
    }
    issuers_differ(&raw, findings);
    let mut valid = BTreeMap::new();
    for (name, raw) in raw {
        let mut reader = Reader { section: format!("providers.{name}"), raw, findings };
        reader.check_name(&name);
        if let Some(provider) = reader.provider() {
            valid.insert(name.into(), provider);
        }
    }
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
        findings.refuse("default_provider", format_args!("no provider has the name {given:?}; configured: {}", names.join(", ")));
    }
    Some(given.into())
}

fn issuers_differ(raw: &BTreeMap<String, RawProvider>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, provider) in raw {
        let Some(issuer) = provider.issuer.as_deref() else { continue };
        match seen.get(issuer) {
            Some(first) => {
                let why =
                    format!("the same as providers.{first}.issuer; a token's iss must lead to one provider, so remove one of the two");
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
        if !(1..=64).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            let section = self.section.clone();
            self.findings.refuse(&section, "a provider's name has 1 to 64 of the characters A-Z a-z 0-9 - _");
        }
    }

    fn provider(mut self) -> Option<ProviderConfig> {
        let Some(kind) = self.raw.kind else {
            self.missing("kind", "choose rfc7009, genauth or baanx");
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
        };
        self.with_kind(kind)
    }

    /// The settings that every kind has; read, and checked, even where those of the kind are wrong.
    fn with_kind(mut self, kind: Option<KindConfig>) -> Option<ProviderConfig> {
        let raw = std::mem::take(&mut self.raw);
        let timeout = self.span("timeout", raw.timeout, 10 * SECOND, LEAST_TIMEOUT, 120 * SECOND);
        let connect_timeout = self.span("connect_timeout", raw.connect_timeout, timeout.min(3 * SECOND), LEAST_TIMEOUT, timeout);
        let token_ttl = token_ttl(&self.setting("token_ttl"), raw.token_ttl, self.findings);
        let concurrency = self.findings.number(&self.setting("concurrency"), raw.concurrency, 32, 1..=1024);
        Some(ProviderConfig {
            issuer: raw.issuer,
            token_ttl,
            connect_timeout,
            timeout,
            concurrency,
            allow_http: raw.allow_http.is_some_and(|flag| flag.0),
            ca_file: raw.ca_file,
            verify: raw.verify.unwrap_or(Verify::Off),
            kind: kind?,
        })
    }

    fn span(&mut self, key: &str, given: Option<Span>, default: Duration, least: Duration, most: Duration) -> Duration {
        self.findings.span(&self.setting(key), given, default, least..=most)
    }

    /// Refuses what another kind has: it would be without effect here.
    fn refuse_foreign(&mut self, kind: RawKind) {
        use RawKind::{Baanx, Genauth, Rfc7009};
        let raw = &self.raw;
        let given: [(&str, bool, &[RawKind]); 12] = [
            ("revocation_endpoint", raw.revocation_endpoint.is_some(), &[Rfc7009]),
            ("introspection_endpoint", raw.introspection_endpoint.is_some(), &[Rfc7009]),
            ("basic_encoding", raw.basic_encoding.is_some(), &[Rfc7009]),
            ("client_id", raw.client_id.is_some(), &[Rfc7009, Genauth]),
            ("client_secret", raw.client_secret.is_some() || raw.client_secret_file.is_some(), &[Rfc7009, Genauth]),
            ("client_auth", raw.client_auth.is_some(), &[Rfc7009, Genauth]),
            ("verify", raw.verify == Some(Verify::Introspect), &[Rfc7009, Genauth]),
            ("app_host", raw.app_host.is_some(), &[Genauth]),
            ("protocol", raw.protocol.is_some(), &[Genauth]),
            ("base_url", raw.base_url.is_some(), &[Baanx]),
            ("client_key", raw.client_key.is_some() || raw.client_key_file.is_some(), &[Baanx]),
            ("us_env", raw.us_env.is_some(), &[Baanx]),
        ];
        for (key, _, kinds) in given.into_iter().filter(|(_, is_given, kinds)| *is_given && !kinds.contains(&kind)) {
            let others: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            let why = format!("without effect for kind = \"{}\" (only for {}); remove it", kind.as_str(), others.join(" and "));
            self.refuse(key, &why);
        }
    }

    fn rfc7009(&mut self) -> Option<Rfc7009Config> {
        self.check_discovery();
        let revocation_endpoint = self.raw.revocation_endpoint.take();
        let introspection_endpoint = self.raw.introspection_endpoint.take();
        let config = Rfc7009Config {
            revocation_endpoint: revocation_endpoint.and_then(|url| self.endpoint("revocation_endpoint", url)),
            introspection_endpoint: introspection_endpoint.and_then(|url| self.endpoint("introspection_endpoint", url)),
            client: self.client(ClientAuth::SecretBasic)?,
            basic_encoding: self.raw.basic_encoding.unwrap_or(BasicEncoding::Rfc6749),
        };
        Some(config)
    }

    /// Where an endpoint is left out, `issuer` must be an address to discover it from.
    fn check_discovery(&mut self) {
        let lacks_introspection = self.raw.verify == Some(Verify::Introspect) && self.raw.introspection_endpoint.is_none();
        let absent = match self.raw.revocation_endpoint {
            None => "revocation_endpoint",
            Some(_) if lacks_introspection => "introspection_endpoint",
            Some(_) => return,
        };
        match self.raw.issuer.clone() {
            Some(issuer) => drop(self.endpoint("issuer", issuer)),
            None => self.missing(absent, "give its address, or set issuer to have it discovered"),
        }
    }

    fn genauth(&mut self) -> Option<GenauthConfig> {
        let app_host = self.raw.app_host.take();
        if app_host.is_none() {
            self.missing("app_host", "give the application's address, such as https://shop.genauth.ai");
        }
        let app_host = app_host.and_then(|url| self.endpoint("app_host", url));
        let client = self.client(ClientAuth::SecretPost);
        let protocol = self.raw.protocol.unwrap_or(GenauthProtocol::Oidc);
        Some(GenauthConfig { app_host: without_slash(app_host?), protocol, client: client? })
    }

    fn baanx(&mut self) -> Option<BaanxConfig> {
        let base_url = self.raw.base_url.take();
        if base_url.is_none() {
            self.missing("base_url", "give the API's address, such as https://dev.api.baanx.com");
        }
        let base_url = base_url.and_then(|url| self.endpoint("base_url", url));
        let client_key = self.secret("client_key", |raw| (raw.client_key.take(), raw.client_key_file.take()));
        if client_key.is_none() {
            self.missing("client_key", "set client_key or client_key_file to the public key that Baanx gave you");
        }
        let us_env = self.raw.us_env.as_ref().map(|flag| flag.0);
        Some(BaanxConfig { base_url: without_slash(base_url?), client_key: client_key?, us_env })
    }

    fn client(&mut self, default: ClientAuth) -> Option<ClientConfig> {
        let auth = self.raw.client_auth.unwrap_or(default);
        let id = self.raw.client_id.take().filter(|id| !id.is_empty());
        if id.is_none() {
            self.missing("client_id", "give the id that this worker has at the provider as an OAuth client");
        }
        let is_public = auth == ClientAuth::None;
        if is_public && (self.raw.client_secret.is_some() || self.raw.client_secret_file.is_some()) {
            let why = "superfluous with client_auth = \"none\"; remove it, or choose client_secret_basic or client_secret_post";
            self.refuse("client_secret", why);
            return None;
        }
        let secret = self.secret("client_secret", |raw| (raw.client_secret.take(), raw.client_secret_file.take()));
        if !is_public && secret.is_none() {
            self.missing("client_secret", "set client_secret or client_secret_file, or client_auth = \"none\" for a public client");
        }
        Some(ClientConfig { id: id?, secret, auth })
    }

    fn secret(&mut self, key: &str, take: impl FnOnce(&mut RawProvider) -> (Option<Secret>, Option<PathBuf>)) -> Option<Secret> {
        let (value, file) = take(&mut self.raw);
        self.findings.secret(&self.setting(key), value, file)
    }

    /// An address that tokens and client secrets are sent to.
    fn endpoint(&mut self, key: &str, address: String) -> Option<String> {
        let allows_http = self.raw.allow_http.as_ref().is_some_and(|flag| flag.0);
        match check_address(&address, allows_http) {
            Ok(()) => Some(address),
            Err(why) => {
                self.refuse(key, why);
                None
            }
        }
    }
}

fn check_address(address: &str, allows_http: bool) -> Result<(), &'static str> {
    let url = Url::parse(address).map_err(|_| "not a valid address; give one such as https://id.example.com/oauth2/revoke")?;
    let host = url.host().ok_or("has no host; give an address such as https://id.example.com/oauth2/revoke")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password; use client_id and client_secret");
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (#...); remove it");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if allows_http || is_loopback(&host) => Ok(()),
        "http" => Err("must start with https://, as tokens and secrets are sent there; set allow_http = true only for a trusted network"),
        _ => Err("must start with https://"),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Paths are appended to it.
fn without_slash(address: String) -> String {
    address.trim_end_matches('/').to_owned()
}
