//! What a provider's tokens call user and client beside the standard claims: settings, and presets where the
//! product is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use url::{Host, Url};

use super::ProviderConfig;
use crate::config::rule::{Rule, beside, optional};
use crate::config::section::Section;
use crate::config::setting::settings;

/// What a provider's tokens call user and client, beside `sub`, and `client_id` and `azp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimNames {
    /// `subject_claims`, else the preset of the product.
    pub subject: Vec<String>,
    /// `client_claims`, else the preset of the product.
    pub client: Vec<String>,
    /// In whose tokens they count where a target names no issuer: `issuer`, else what follows from `base_url`
    /// and `authorization_server_id` of kind `okta`.
    pub issuer: Option<String>,
    /// The other issuer of the same tokens: each tenant of Entra has one for version 1 tokens and one for
    /// version 2, and an application may get either.
    pub twin: Option<String>,
}

settings! {
    /// The names as they are given.
    struct Given {
        /// What its tokens call the user, beside `sub`: up to 8 claims, none a standard one.
        subject as "subject_claims": Option<Vec<String>> = optional()
            .default(
                "`uid` for kind `okta` and Okta's issuers, `oid` for kind `entra` and Entra's issuers, \
                    `username` for kind `cognito`, else none",
            )
            .then(checked),
        /// What its tokens call the client, beside `client_id` and `azp`: up to 8 claims, none a standard
        /// one.
        client as "client_claims": Option<Vec<String>> = optional()
            .default(
                "`cid` for kind `okta` and Okta's issuers, `appid` for kind `entra` and Entra's issuers, \
                    `applicationId` for kind `fusionauth`, else none",
            )
            .then(checked),
    }
}

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
    /// Cognito's developer guide, "Understanding the access token": `username` is what users are signed out
    /// by; `sub` and `client_id` are the standard ones.
    Cognito,
    /// <https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/tokens>: `sub` is the user's id,
    /// `applicationId` the client.
    Fusionauth,
}

/// The table of presets: the names of a subject, then those of a client.
fn preset(product: Option<Product>) -> (&'static [&'static str], &'static [&'static str]) {
    match product {
        Some(Product::Okta) => (&["uid"], &["cid"]),
        Some(Product::Entra) => (&["oid"], &["appid"]),
        Some(Product::Cognito) => (&["username"], &[]),
        Some(Product::Fusionauth) => (&[], &["applicationId"]),
        None => (&[], &[]),
    }
}

/// The product that the settings speak of, by the issuer whatever the kind: its tokens may be revoked by
/// plain RFC 7009, too.
fn product(kind: &str, issuer: Option<&str>) -> Option<Product> {
    match (issuer, kind) {
        (Some(issuer), _) if ENTRA.issue(issuer) => Some(Product::Entra),
        (Some(issuer), _) if OKTA.issue(issuer) => Some(Product::Okta),
        (_, "okta") => Some(Product::Okta),
        (_, "entra") => Some(Product::Entra),
        (_, "cognito") => Some(Product::Cognito),
        (_, "fusionauth") => Some(Product::Fusionauth),
        _ => None,
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
fn okta_issuer(section: &Section<'_>) -> Option<String> {
    let base = section.given::<String>("base_url")?;
    let base = base.trim_end_matches('/');
    let server = section.given::<String>("authorization_server_id");
    Some(server.map_or_else(|| base.to_owned(), |id| format!("{base}/oauth2/{id}")))
}

/// Refuses more names than a verifier takes in, which would leave out those that it hears of last.
pub(super) fn check_sum(providers: &BTreeMap<Arc<str>, ProviderConfig>, section: &mut Section<'_>) {
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
        section.refuse_all(why);
    }
}

/// `subject_claims` and `client_claims`; one that is given, be it empty, replaces its preset.
pub(super) fn claim_names() -> Rule<ClaimNames> {
    beside::<Given>().then(|given, _, section| {
        let kind: String = section.given("kind").unwrap_or_default();
        let stated: Option<String> = section.given("issuer");
        let (subject, client) = preset(product(&kind, stated.as_deref()));
        let issuer = stated.or_else(|| okta_issuer(section).filter(|_| kind == "okta"));
        let names = |preset: &[&str]| preset.iter().map(|name| (*name).to_owned()).collect();
        ClaimNames {
            subject: given.subject.unwrap_or_else(|| names(subject)),
            client: given.client.unwrap_or_else(|| names(client)),
            twin: issuer.as_deref().and_then(twin),
            issuer,
        }
    })
}

/// Names that can be meant.
fn checked(given: Option<Vec<String>>, key: &str, section: &mut Section<'_>) -> Option<Vec<String>> {
    let names = given?;
    let fits = |name: &String| (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains('\0');
    if names.len() > MAX_NAMES || !names.iter().all(fits) {
        let why =
            format!("must list at most {MAX_NAMES} names of claims, each of 1 to {MAX_NAME_BYTES} bytes");
        section.refuse(key, why);
    }
    if let Some(standard) = names.iter().find(|name| STANDARD.contains(&name.as_str())) {
        let why = format!(
            "{standard} is a standard claim with a meaning of its own; list only what the provider's tokens \
                have beside those"
        );
        section.refuse(key, why);
    }
    Some(names)
}
