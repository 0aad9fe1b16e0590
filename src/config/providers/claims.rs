//! What a provider's tokens call user and client beside the standard claims: settings, and presets where the
//! product is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use url::{Host, Url};

use super::Reader;
use crate::config::findings::Findings;
use crate::config::raw::{RawProvider, Words};
use crate::config::{ClaimNames, KindConfig, OktaConfig, ProviderConfig};

/// Most names a list.
const MAX_NAMES: usize = 8;
/// Longest name, bytes.
const MAX_NAME_BYTES: usize = 200;
/// Most different names of all providers together: a verifier knows no more.
const MAX_NAMES_OF_ALL: usize = 32;
/// Claims with a meaning of their own (RFC 7519 section 4.1, RFC 9068 section 2.2, OpenID Connect): they are
/// read anyway, or name many users at once.
const STANDARD: [&str; 11] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "client_id", "azp", "scope"];

/// Entra's issuers: the worldwide cloud, those of the United States and of China, the issuers of version 1
/// tokens, and customers' tenants.
const ENTRA: Hosts = Hosts {
    names: &[
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.windows.net",
        "sts.windows.net",
        "sts.chinacloudapi.cn",
    ],
    domains: &[".ciamlogin.com"],
};

/// Okta's own domains; an organisation may have another, which only kind `okta` tells.
const OKTA: Hosts = Hosts {
    names: &[],
    domains: &[".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com", ".okta.mil"],
};

/// Where a product's issuers are.
struct Hosts {
    names: &'static [&'static str],
    domains: &'static [&'static str],
}

impl Hosts {
    fn issue(&self, issuer: &str) -> bool {
        let Ok(url) = Url::parse(issuer) else { return false };
        let Some(Host::Domain(host)) = url.host() else { return false };
        self.names.contains(&host) || self.domains.iter().any(|domain| host.ends_with(domain))
    }
}

/// A product that has names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    /// <https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/>: `sub` is the login, `uid`
    /// the user's id, `cid` the client.
    Okta,
    /// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>: `sub` differs
    /// between applications, `oid` does not; version 1 tokens name the client in `appid`.
    Entra,
}

/// The table of presets: the names of a subject, then those of a client.
fn preset(product: Product) -> (&'static [&'static str], &'static [&'static str]) {
    match product {
        Product::Okta => (&["uid"], &["cid"]),
        Product::Entra => (&["oid"], &["appid"]),
    }
}

/// The product that the settings speak of, by the issuer whatever the kind: its tokens may be revoked by
/// plain RFC 7009, too.
fn product(kind: Option<&KindConfig>, issuer: Option<&str>) -> Option<Product> {
    match issuer {
        Some(issuer) if ENTRA.issue(issuer) => Some(Product::Entra),
        Some(issuer) if OKTA.issue(issuer) => Some(Product::Okta),
        _ => matches!(kind, Some(KindConfig::Okta(_))).then_some(Product::Okta),
    }
}

/// An Entra tenant's issuer of the other version of tokens. An application gets version 1 unless it asks for
/// 2, and discovery names the issuer of 2.
fn twin(issuer: &str) -> Option<String> {
    let url = Url::parse(issuer).ok()?;
    let tenant = url.path_segments()?.next().filter(|tenant| !tenant.is_empty())?;
    match url.host_str()? {
        "login.microsoftonline.com" | "login.microsoftonline.us" | "login.windows.net" => {
            Some(format!("https://sts.windows.net/{tenant}/"))
        }
        "login.partner.microsoftonline.cn" => Some(format!("https://sts.chinacloudapi.cn/{tenant}/")),
        "sts.windows.net" => Some(format!("https://login.microsoftonline.com/{tenant}/v2.0")),
        "sts.chinacloudapi.cn" => Some(format!("https://login.partner.microsoftonline.cn/{tenant}/v2.0")),
        _ => None,
    }
}

/// Whether tokens of `issuer` are Entra's.
pub fn is_entra(issuer: &str) -> bool {
    ENTRA.issue(issuer)
}

/// <https://developer.okta.com/docs/concepts/auth-servers/>: a custom server's issuer has its id, the
/// organisation's own is the bare address.
fn okta_issuer(config: &OktaConfig) -> String {
    match &config.authorization_server_id {
        Some(id) => format!("{}/oauth2/{id}", config.base_url),
        None => config.base_url.clone(),
    }
}

/// Refuses more names than a verifier takes in, which would leave out those that it hears of last.
pub(super) fn check_sum(providers: &BTreeMap<Arc<str>, ProviderConfig>, findings: &mut Findings) {
    let names: BTreeSet<(bool, &str)> = providers
        .values()
        .flat_map(|provider| [(true, &provider.claims.subject), (false, &provider.claims.client)])
        .flat_map(|(is_subject, names)| names.iter().map(move |name| (is_subject, name.as_str())))
        .collect();
    if names.len() > MAX_NAMES_OF_ALL {
        let why = format!(
            "subject_claims and client_claims of all providers list {} different names; verifiers take \
                {MAX_NAMES_OF_ALL}: remove some",
            names.len()
        );
        findings.refuse("providers", why);
    }
}

impl Reader<'_> {
    /// `subject_claims` and `client_claims`; one that is given, be it empty, replaces its preset.
    pub(super) fn claim_names(&mut self, raw: &mut RawProvider, kind: Option<&KindConfig>) -> ClaimNames {
        let (subject, client) = product(kind, raw.issuer.as_deref()).map_or((&[][..], &[][..]), preset);
        let issuer = raw.issuer.clone().or_else(|| match kind {
            Some(KindConfig::Okta(config)) => Some(okta_issuer(config)),
            _ => None,
        });
        ClaimNames {
            subject: self.names("subject_claims", raw.subject_claims.take(), subject),
            client: self.names("client_claims", raw.client_claims.take(), client),
            twin: issuer.as_deref().and_then(twin),
            issuer,
        }
    }

    fn names(&mut self, key: &str, given: Option<Words>, preset: &[&str]) -> Vec<String> {
        let Some(Words(names)) = given else { return preset.iter().map(|name| (*name).to_owned()).collect() };
        if names.len() > MAX_NAMES
            || names.iter().any(|name| !(1..=MAX_NAME_BYTES).contains(&name.len()) || name.contains('\0'))
        {
            self.refuse(
                key,
                &format!(
                    "must list at most {MAX_NAMES} names of claims, each of 1 to {MAX_NAME_BYTES} bytes"
                ),
            );
        }
        if let Some(standard) = names.iter().find(|name| STANDARD.contains(&name.as_str())) {
            let why = format!(
                "{standard} is a standard claim with a meaning of its own; list only what the provider's \
                    tokens have beside those"
            );
            self.refuse(key, &why);
        }
        names
    }
}
