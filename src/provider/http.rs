//! The HTTP client of one provider: one request a call, no redirects, no proxies, no replays, bounded in time
//! and size.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response, redirect, retry};
use zeroize::Zeroizing;

use super::body::Body;
use super::call::Call;
use super::fault;
use super::private::Guard;
use super::reply::Reply;
use super::reset::{header, sent_at, until_reset};
use super::setup::{Addresses, ProviderSetupError, Setup};
use super::traced;
use crate::clock::Clock;
use crate::config::{KindConfig, SenderConfig};
use crate::outcome::Answer;
use crate::retry::parse_retry_after;
use crate::trace::{Spans, Trace};

/// Most bytes read of a response body; what comes after is never looked at.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most headers of a response.
const MAX_HEADERS: usize = 1000;
/// Shorter than servers commonly keep idle connections, so that a call seldom meets one that is being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// What AWS WAF and Cloudflare add to an answer in which the server has no part. AWS's challenge is a 202
/// without a body.
const CHALLENGES: [&str; 2] = ["x-amzn-waf-action", "cf-mitigated"];
const USER_AGENT: &str = concat!("revocation-worker/", env!("CARGO_PKG_VERSION"));

/// How far a client reaches, and for how long.
struct Reach<'a> {
    connect_timeout: Duration,
    timeout: Duration,
    /// Most idle connections to a host.
    connections: usize,
    ca_file: Option<&'a Path>,
    /// The certificate that it shows.
    identity: Option<Identity>,
    guard: Guard,
}

/// A provider's own connection pool. Clones share it.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    /// Whether `X-Rate-Limit-Reset` is a time: other providers count seconds or milliseconds in it.
    resets_by_time: bool,
    clock: Clock,
    spans: Spans,
    /// What requests are a part of.
    trace: Option<Trace>,
}

impl Http {
    /// The client for `setup`; reads `ca_file`, touches no network.
    pub(super) fn new(setup: &Setup<'_>) -> Result<Self, ProviderSetupError> {
        let config = setup.config;
        let reach = Reach {
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
            connections: config.concurrency,
            ca_file: config.ca_file.as_deref(),
            identity: identity(setup)?,
            guard: Guard::new(config),
        };
        // With a certificate that is shown, it is more likely its key that does not fit.
        let setting = if reach.identity.is_some() && reach.ca_file.is_none() { "tls_key" } else { "ca_file" };
        let http = Self::over(reach).map_err(|problem| setup.refuse(setting, problem))?;
        Ok(Self { resets_by_time: matches!(config.kind, KindConfig::Okta(_)), ..http })
    }

    /// The client for a sender, which is asked for little.
    pub(super) fn of_sender(
        section: &Addresses,
        config: &SenderConfig,
        guard: Guard,
        [connect_timeout, timeout]: [Duration; 2],
    ) -> Result<Self, ProviderSetupError> {
        let ca_file = config.ca_file.as_deref();
        let reach = Reach { connect_timeout, timeout, connections: 1, ca_file, identity: None, guard };
        Self::over(reach).map_err(|problem| section.refuse("ca_file", problem))
    }

    /// A client; what is wrong is so with `ca_file`.
    fn over(reach: Reach<'_>) -> Result<Self, String> {
        let Reach { connect_timeout, timeout, connections, ca_file, identity, guard } = reach;
        let builder = Client::builder()
            .user_agent(USER_AGENT)
            .http1_only()
            // What RFC 9112 has a user agent read, and what real servers send beside it. A header that still
            // cannot be read is passed over.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(MAX_HEADERS)
            .connect_timeout(connect_timeout)
            .timeout(timeout)
            // A followed 307 or 308 would hand the token to another host; a followed 302 would turn into a
            // GET whose 200 means nothing.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections);
        let builder = if guard.is_needed() { builder.dns_resolver(Arc::new(guard)) } else { builder };
        let builder = match identity {
            Some(identity) => builder.identity(identity),
            None => builder,
        };
        let client = with_roots(ca_file, builder)?.build().map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!(
                "no TLS client can be built ({cause}); install the system's CA certificates or name a PEM \
                    file here; the key in tls_key must be that of tls_certificate_file"
            )
        })?;
        let (clock, spans, trace) = (Clock::default(), Spans::default(), None);
        Ok(Self { client, resets_by_time: false, clock, spans, trace })
    }

    pub(super) fn by(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub(super) fn traced_by(self, spans: Spans) -> Self {
        Self { spans, ..self }
    }

    /// For requests that are a part of `trace`.
    pub(super) fn within(&self, trace: Trace) -> Self {
        Self { trace: Some(trace), ..self.clone() }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends the request once. `Err` where no complete response came back within the timeouts.
    pub(super) async fn send<'a>(&self, call: Call<'a>) -> Result<Reply<'a>, Answer> {
        let (what, mut request, secrets) = call.into_parts();
        let mut span = self.trace.and_then(|trace| traced::begin(&self.spans, trace, &mut request));
        let mut response = self.client.execute(request).await.map_err(|error| {
            traced::failed(&mut span, &error);
            fault::answer(&what, &error, None, &secrets)
        })?;
        let status = response.status().as_u16();
        traced::answered(&mut span, status);
        let (body, is_cut) = read_body(&mut response).await.map_err(|error| {
            traced::failed(&mut span, &error);
            fault::answer(&what, &error, Some(status), &secrets)
        })?;
        let headers = response.headers();
        let read = || {
            let [kind, encoding] =
                [CONTENT_TYPE, CONTENT_ENCODING].map(|name| header(headers, name.as_str()));
            Body::read(&body, kind, encoding)
        };
        let body = match CHALLENGES.iter().any(|name| headers.contains_key(*name)) {
            true => Body::Challenge,
            false if is_cut => read().cut(),
            false => read(),
        };
        let retry_after = self.retry_after(status, headers);
        Ok(Reply {
            what,
            status,
            body,
            location: header(headers, LOCATION.as_str()).map(str::to_owned),
            retry_after,
            secrets,
        })
    }

    fn retry_after(&self, status: u16, headers: &HeaderMap) -> Option<Duration> {
        let now = || sent_at(headers).unwrap_or_else(|| self.clock.now().into());
        let named = header(headers, RETRY_AFTER.as_str()).and_then(|value| parse_retry_after(value, now()));
        named
            .or_else(|| (self.resets_by_time && status == 429).then(|| until_reset(headers, now())).flatten())
    }
}

/// The first 64 KiB of a body, and whether more follows.
async fn read_body(response: &mut Response) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let length = unencoded_length(response.headers());
    let most = length.unwrap_or(MAX_BODY_BYTES).min(MAX_BODY_BYTES);
    let mut body = Vec::new();
    while let Some(chunk) = if body.len() < most { response.chunk().await? } else { None } {
        body.extend_from_slice(&chunk);
    }
    let is_cut = match length {
        Some(length) => length > MAX_BODY_BYTES,
        None => body.len() > most || (body.len() == most && response.chunk().await?.is_some()),
    };
    body.truncate(most);
    Ok((body, is_cut))
}

/// The length of a body whose `Transfer-Encoding` is `identity` or blank. The HTTP library would wait for the
/// end of the connection, which may stay open.
fn unencoded_length(headers: &HeaderMap) -> Option<usize> {
    header(headers, TRANSFER_ENCODING.as_str())
        .filter(|encoding| matches!(encoding.trim().to_ascii_lowercase().as_str(), "" | "identity"))?;
    header(headers, CONTENT_LENGTH.as_str())?.trim().parse().ok()
}

fn with_roots(ca_file: Option<&Path>, builder: ClientBuilder) -> Result<ClientBuilder, String> {
    let Some(path) = ca_file else {
        return Ok(builder);
    };
    let roots = read_roots(path).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(builder.tls_certs_only(roots))
}

/// The certificate of the settings, where there is one.
fn identity(setup: &Setup<'_>) -> Result<Option<Identity>, ProviderSetupError> {
    let (Some(path), Some(key)) = (&setup.config.identity.certificate, &setup.config.identity.key) else {
        return Ok(None);
    };
    let refuse =
        |problem: String| setup.refuse("tls_certificate_file", format!("{}: {problem}", path.display()));
    let certificate =
        fs::read_to_string(path).map_err(|error| refuse(format!("cannot be read ({error})")))?;
    if !certificate.contains("-----BEGIN CERTIFICATE-----") {
        return Err(refuse(
            "holds no certificate; give a PEM file with the certificate and its chain".to_owned(),
        ));
    }
    let pem = Zeroizing::new(format!("{certificate}\n{}\n", key.expose()));
    Identity::from_pem(pem.as_bytes())
        .map(Some)
        .map_err(|_| setup.refuse("tls_key", "holds no private key; give one in PEM"))
}

fn read_roots(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = fs::read(path).map_err(|error| format!("cannot be read ({error})"))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) => Err("holds no certificate; give a file with PEM blocks".to_owned()),
        Err(_) => Err("holds a PEM block that is no certificate".to_owned()),
    }
}
