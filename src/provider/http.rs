//! The HTTP client of one provider: one request a call, no redirects, no proxies, no replays, bounded in time and size.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Method, Request, Response, redirect, retry};
use url::Url;

use super::fault;
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup, place};
use crate::outcome::Answer;
use crate::retry::parse_retry_after;

/// Most bytes read of a response body; what comes after is never looked at.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Shorter than servers commonly keep idle connections, so that a call seldom meets one that is being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const USER_AGENT: &str = concat!("revocation-worker/", env!("CARGO_PKG_VERSION"));

/// A provider's own connection pool.
pub(super) struct Http {
    client: Client,
}

/// One request, and what it carries that must not be repeated in an error text.
pub(super) struct Call<'a> {
    method: Method,
    url: &'a Url,
    headers: HeaderMap,
    body: Option<String>,
    secrets: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub(super) fn new(method: Method, url: &'a Url) -> Self {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        Self { method, url, headers, body: None, secrets: Vec::new() }
    }

    /// With a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a form-encoded body.
    pub(super) fn form(self, body: String) -> Self {
        let call = self.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Self { body: Some(body), ..call }
    }

    /// With text that the answer must not repeat.
    pub(super) fn secrets(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        self.secrets.extend(secrets);
        self
    }

    fn what(&self) -> String {
        format!("{} {}", self.method, place(self.url))
    }

    fn into_request(self) -> Request {
        let mut request = Request::new(self.method, self.url.clone());
        *request.headers_mut() = self.headers;
        *request.body_mut() = self.body.map(Into::into);
        request
    }
}

impl Http {
    /// The client for `setup`; reads `ca_file`, touches no network.
    pub(super) fn new(setup: &Setup<'_>) -> Result<Self, ProviderSetupError> {
        let config = setup.config;
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .http1_only()
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            // A followed 307 or 308 would hand the token to another host; a followed 302 would turn into a GET whose 200 means nothing.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(config.concurrency);
        let client = with_roots(setup, builder)?.build().map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            setup.refuse(
                "ca_file",
                format!("no TLS client can be built ({cause}); install the system's CA certificates or name a PEM file here"),
            )
        })?;
        Ok(Self { client })
    }

    /// Sends the request once. `Err` where no complete response came back within the timeouts.
    pub(super) async fn send<'a>(&self, mut call: Call<'a>) -> Result<Reply<'a>, Answer> {
        let what = call.what();
        let secrets = std::mem::take(&mut call.secrets);
        let mut response = self.client.execute(call.into_request()).await.map_err(|error| fault::answer(&what, &error, None))?;
        let status = response.status().as_u16();
        let body = read_body(&mut response).await.map_err(|error| fault::answer(&what, &error, Some(status)))?;
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|value| parse_retry_after(value, SystemTime::now()));
        Ok(Reply { what, status, body, location: header(LOCATION).map(str::to_owned), retry_after, secrets })
    }
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < MAX_BODY_BYTES
        && let Some(chunk) = response.chunk().await?
    {
        body.extend(chunk.iter().take(MAX_BODY_BYTES - body.len()));
    }
    Ok(body)
}

fn with_roots(setup: &Setup<'_>, builder: ClientBuilder) -> Result<ClientBuilder, ProviderSetupError> {
    let Some(path) = &setup.config.ca_file else {
        return Ok(builder);
    };
    let roots = read_roots(path).map_err(|problem| setup.refuse("ca_file", format!("{}: {problem}", path.display())))?;
    Ok(builder.tls_certs_only(roots))
}

fn read_roots(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = fs::read(path).map_err(|error| format!("cannot be read ({error})"))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) => Err("holds no certificate; give a file with PEM blocks".to_owned()),
        Err(_) => Err("holds a PEM block that is no certificate".to_owned()),
    }
}
