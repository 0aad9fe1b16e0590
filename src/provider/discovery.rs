//! Endpoints from the issuer's metadata: OpenID Connect Discovery 1.0 section 4, else RFC 8414 section 3.
//!
//! Metadata is used for URLs only. Authentication methods are never taken from it: servers leave them out or
//! publish wrong ones.

use std::sync::{PoisonError, RwLock};

use reqwest::Method;
use serde::Deserialize;
use url::{Origin, Url};

use super::call::Call;
use super::http::Http;
use super::private::Guard;
use super::reply::Reply;
use super::scrub::{limit, scrub};
use super::setup::{Addresses, ProviderSetupError, Setup, permitted_url, place};
use crate::config::DiscoveryConfig;
use crate::outcome::{Answer, Verdict};

/// An endpoint that metadata can name.
#[derive(Clone, Copy)]
pub(super) enum Endpoint {
    /// RFC 8414: `revocation_endpoint`
    Revocation,
    /// RFC 8414: `introspection_endpoint`
    Introspection,
    /// draft-parecki-oauth-global-token-revocation: `global_token_revocation_endpoint`
    GlobalTokenRevocation,
    /// OpenID Connect Discovery 1.0: `jwks_uri`
    Keys,
}

impl Endpoint {
    /// Its name in metadata, and as a setting.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Revocation => "revocation_endpoint",
            Self::Introspection => "introspection_endpoint",
            Self::GlobalTokenRevocation => "global_token_revocation_endpoint",
            Self::Keys => "jwks_uri",
        }
    }
}

/// An issuer whose metadata is read when first needed and kept until it proves wrong.
pub(super) struct Discovery {
    issuer: String,
    allow_http: bool,
    /// Where endpoints may lie: the issuer's origin, and those of `discovery_origins`.
    origins: Vec<Origin>,
    guard: Guard,
    /// Whether a certificate is shown, so that the endpoints for those who show one count (RFC 8705 section
    /// 5).
    shows_certificate: bool,
    documents: [Url; 2],
    found: RwLock<Option<Metadata>>,
}

#[derive(Clone, Deserialize)]
struct Metadata {
    issuer: String,
    #[serde(flatten)]
    endpoints: Endpoints,
    #[serde(default)]
    mtls_endpoint_aliases: Endpoints,
}

#[derive(Clone, Default, Deserialize)]
struct Endpoints {
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    global_token_revocation_endpoint: Option<String>,
    jwks_uri: Option<String>,
}

impl Metadata {
    /// Where an endpoint lies, for one who shows a certificate or for others.
    fn named(&self, endpoint: Endpoint, shows_certificate: bool) -> Option<&str> {
        let alias = self.mtls_endpoint_aliases.named(endpoint).filter(|_| shows_certificate);
        alias.or_else(|| self.endpoints.named(endpoint))
    }
}

impl Endpoints {
    fn named(&self, endpoint: Endpoint) -> Option<&str> {
        match endpoint {
            Endpoint::Revocation => self.revocation_endpoint.as_deref(),
            Endpoint::Introspection => self.introspection_endpoint.as_deref(),
            Endpoint::GlobalTokenRevocation => self.global_token_revocation_endpoint.as_deref(),
            Endpoint::Keys => self.jwks_uri.as_deref(),
        }
    }
}

impl Discovery {
    /// Discovery from the provider's `issuer`; `wanted` is the endpoint that must be set where there is no
    /// issuer.
    pub(super) fn new(setup: &Setup<'_>, wanted: Endpoint) -> Result<Self, ProviderSetupError> {
        let issuer = setup.config.issuer.as_deref();
        let issuer = issuer.ok_or_else(|| {
            setup.refuse(wanted.as_str(), "is missing; set it, or set issuer to discover it from")
        })?;
        let discovery =
            Self::of(&setup.section(), issuer, &setup.config.discovery, Guard::new(setup.config))?;
        Ok(Self { shows_certificate: setup.config.identity.certificate.is_some(), ..discovery })
    }

    /// Discovery from `issuer`, for settings in any section.
    pub(super) fn of(
        section: &Addresses,
        issuer: &str,
        discovery: &DiscoveryConfig,
        guard: Guard,
    ) -> Result<Self, ProviderSetupError> {
        let url = section.url("issuer", issuer)?;
        let openid = section.url_under("issuer", issuer, "/.well-known/openid-configuration")?;
        let oauth = format!("/.well-known/oauth-authorization-server{}", url.path().trim_end_matches('/'));
        let oauth = section.url_under("issuer", &url.origin().ascii_serialization(), &oauth)?;
        let listed =
            discovery.origins.iter().map(|origin| Ok(section.url("discovery_origins", origin)?.origin()));
        let origins =
            [Ok(url.origin())].into_iter().chain(listed).collect::<Result<_, ProviderSetupError>>()?;
        let (issuer, found, allow_http) = (issuer.to_owned(), RwLock::new(None), section.allow_http);
        let documents = [openid, oauth];
        Ok(Self { issuer, allow_http, origins, guard, shows_certificate: false, documents, found })
    }

    /// The endpoint's URL, from memory or from the issuer. A failure is `Transient` or `Misconfigured`.
    pub(super) async fn endpoint(&self, http: &Http, endpoint: Endpoint) -> Result<Url, Answer> {
        let remembered = self.found.read().unwrap_or_else(PoisonError::into_inner).clone();
        let metadata = match remembered {
            Some(metadata) => metadata,
            None => self.fetch(http).await?,
        };
        let name = endpoint.as_str();
        let named = metadata
            .named(endpoint, self.shows_certificate)
            .ok_or("is not in it".to_owned())
            .and_then(|url| permitted_url(url, self.allow_http));
        let url = named.map_err(|problem| {
            self.misconfigured(&format!("{name} {problem}; set {name} in the provider's settings"))
        })?;
        self.permit(&url).map_err(|problem| self.misconfigured(&format!("{name} {problem}")))?;
        Ok(url)
    }

    /// Whether what the metadata names, as far as it is remembered, lies where nothing may be sent.
    pub(super) fn refuses(&self, endpoint: Endpoint) -> bool {
        let remembered = self.found.read().unwrap_or_else(PoisonError::into_inner);
        let url = remembered
            .as_ref()
            .and_then(|metadata| Url::parse(metadata.named(endpoint, self.shows_certificate)?).ok());
        url.is_some_and(|url| self.permit(&url).is_err())
    }

    /// Tokens and the client's secret go where the metadata says: whoever can write there must not be able to
    /// send them elsewhere.
    fn permit(&self, url: &Url) -> Result<(), String> {
        if !self.origins.contains(&url.origin()) {
            let origin = scrub(&url.origin().ascii_serialization(), &[]);
            return Err(format!(
                "lies outside the issuer's origin; set it, or list its origin in discovery_origins: {origin}"
            ));
        }
        self.guard.check(url).map_err(|problem| problem.to_string())
    }

    /// Forgets what was found; the next call reads the metadata again.
    pub(super) fn forget(&self) {
        self.remember(None);
    }

    /// Reads the metadata anew and remembers it. No lock is held meanwhile: callers that come together each
    /// ask.
    async fn fetch(&self, http: &Http) -> Result<Metadata, Answer> {
        let [openid, oauth] = &self.documents;
        let metadata = match self.read(http, openid).await {
            Err(answer) if answer.verdict == Verdict::Misconfigured && answer.http_status.is_some() => {
                self.read(http, oauth).await
            }
            other => other,
        }?;
        if metadata.issuer != self.issuer {
            let other = scrub(&metadata.issuer, &[]);
            return Err(self.misconfigured(&format!(
                "its issuer is {other}; it must equal the issuer setting, slash for slash"
            )));
        }
        self.remember(Some(metadata.clone()));
        Ok(metadata)
    }

    async fn read(&self, http: &Http, document: &Url) -> Result<Metadata, Answer> {
        let reply = http.send(Call::new(Method::GET, document)).await?;
        classify(&reply)
    }

    fn remember(&self, metadata: Option<Metadata>) {
        *self.found.write().unwrap_or_else(PoisonError::into_inner) = metadata;
    }

    fn misconfigured(&self, problem: &str) -> Answer {
        let error = limit(&format!("metadata of {}: {problem}", self.issuer));
        Answer { verdict: Verdict::Misconfigured, http_status: None, error: Some(error), retry_after: None }
    }

    /// One sentence for `check`: where the endpoint was found.
    pub(super) async fn describe(&self, http: &Http, endpoint: Endpoint) -> Result<String, Answer> {
        self.forget();
        let url = self.endpoint(http, endpoint).await?;
        Ok(format!("metadata of {} names {} {}", self.issuer, endpoint.as_str(), place(&url)))
    }
}

fn classify(reply: &Reply<'_>) -> Result<Metadata, Answer> {
    if let Some(answer) = reply.status_answer() {
        return Err(answer.undoubted());
    }
    let metadata =
        reply.json().and_then(|body| serde_json::from_value(body).ok()).filter(|_| reply.is_success());
    metadata
        .ok_or_else(|| reply.fails(Verdict::Misconfigured, "no metadata document there: check the issuer"))
}
