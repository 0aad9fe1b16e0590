//! The streams of a transmitter of Shared Signals (SSF 1.0 sections 7 and 8.1), as whoever receives them sets
//! them up.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use url::{Origin, Url};

use super::call::Call;
use super::http::Http;
use super::private::Guard;
use super::setup::{Addresses, ProviderSetupError, permitted_url};
use crate::config::{Secret, SenderConfig};
use crate::outcome::Verdict;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(20);

/// A sender's transmitter.
pub struct SsfStreams {
    http: Http,
    metadata: Url,
    issuer: String,
    allow_http: bool,
    origins: Vec<Origin>,
    guard: Guard,
    authorization: Option<(Secret, HeaderValue)>,
}

/// What its metadata says.
pub struct Transmitter<'s> {
    streams: &'s SsfStreams,
    metadata: Value,
}

/// What goes wrong, and what the transmitter answered.
#[derive(Debug)]
pub struct SsfError {
    /// A sentence: what was tried, and what came of it.
    pub why: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
}

impl SsfError {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), status: None }
    }
}

impl SsfStreams {
    /// Builds the client for the sender `name`; touches no network. An error names the setting.
    pub fn new(name: &str, config: &SenderConfig) -> Result<Self, ProviderSetupError> {
        let section = Addresses::of_sender(name, config);
        let issuer = section.url("issuer", &config.issuer)?;
        // RFC 8615: an issuer's path stands behind it.
        let place = format!("/.well-known/ssf-configuration{}", issuer.path().trim_end_matches('/'));
        let metadata = section.url_under("issuer", &issuer.origin().ascii_serialization(), &place)?;
        let listed = config.discovery.origins.iter();
        let listed = listed.map(|origin| Ok(section.url("discovery_origins", origin)?.origin()));
        let origins = [Ok(issuer.origin())].into_iter().chain(listed);
        let authorization = config.stream_authorization.clone().map(|secret| {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| {
                section.refuse("stream_authorization", "has characters that no header can hold")
            })?;
            value.set_sensitive(true);
            Ok::<_, ProviderSetupError>((secret, value))
        });
        let guard = Guard::over(&config.discovery, [config.issuer.as_str()].into_iter());
        Ok(Self {
            http: Http::of_sender(&section, config, guard.clone(), [CONNECT_TIMEOUT, TIMEOUT])?,
            metadata,
            issuer: config.issuer.clone(),
            allow_http: config.allow_http,
            origins: origins.collect::<Result<_, ProviderSetupError>>()?,
            guard,
            authorization: authorization.transpose()?,
        })
    }

    /// Reads the transmitter's metadata.
    ///
    /// # Errors
    /// There is none, or it is of another issuer.
    pub async fn transmitter(&self) -> Result<Transmitter<'_>, SsfError> {
        let metadata = self.send(Call::new(Method::GET, &self.metadata)).await?.unwrap_or_default();
        if metadata["issuer"] != *self.issuer {
            let why = "its issuer is not the setting issuer, slash for slash";
            return Err(SsfError::new(format!("metadata at {}: {why}", self.metadata)));
        }
        Ok(Transmitter { streams: self, metadata })
    }

    /// The body of a success; none where it has none.
    async fn send(&self, call: Call<'_>) -> Result<Option<Value>, SsfError> {
        let reply = self.http.send(call).await;
        let reply = reply.map_err(|answer| SsfError::new(answer.error.unwrap_or_default()))?;
        if reply.is_success() {
            return Ok(reply.json());
        }
        let why = reply.fails(Verdict::Misconfigured, "the transmitter does not do it");
        Err(SsfError { why: why.error.unwrap_or_default(), status: Some(reply.status) })
    }
}

impl Transmitter<'_> {
    /// Where its keys are.
    pub fn jwks_uri(&self) -> Option<&str> {
        self.metadata["jwks_uri"].as_str()
    }

    /// Asks for a stream of these events; returns it as the transmitter has it. `push`: our address, and what
    /// is to be sent as `Authorization`; without it the stream is polled.
    ///
    /// # Errors
    /// The transmitter makes none, or cannot be asked.
    pub async fn create(
        &self,
        push: Option<(&str, Option<&Secret>)>,
        events: &[String],
        description: &str,
    ) -> Result<Value, SsfError> {
        let mut delivery = match push {
            Some((endpoint, _)) => json!({ "method": "urn:ietf:rfc:8935", "endpoint_url": endpoint }),
            None => json!({ "method": "urn:ietf:rfc:8936" }),
        };
        let agreed = push.and_then(|(_, authorization)| authorization);
        if let Some(agreed) = agreed {
            delivery["authorization_header"] = agreed.expose().into();
        }
        let request = json!({ "delivery": delivery, "events_requested": events, "description": description });
        let secrets = agreed.map(Secret::expose);
        let made = self.ask("configuration_endpoint", Method::POST, None, Some(&request), secrets).await?;
        made.filter(Value::is_object)
            .ok_or_else(|| SsfError::new("the transmitter made a stream and does not say which"))
    }

    /// All streams of ours.
    ///
    /// # Errors
    /// The transmitter cannot be asked.
    pub async fn streams(&self) -> Result<Vec<Value>, SsfError> {
        match self.ask("configuration_endpoint", Method::GET, None, None, None).await {
            Ok(Some(Value::Array(streams))) => Ok(streams),
            Ok(Some(stream @ Value::Object(_))) => Ok(vec![stream]),
            Ok(_) => Ok(Vec::new()),
            Err(error) if error.status == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What the transmitter says of a stream: its `status`, and perhaps a `reason`.
    ///
    /// # Errors
    /// The transmitter cannot be asked.
    pub async fn status(&self, id: &str) -> Result<Value, SsfError> {
        let status = self.ask("status_endpoint", Method::GET, Some(id), None, None).await?;
        Ok(status.unwrap_or_default())
    }

    /// Has a verification event sent that has this `state`.
    ///
    /// # Errors
    /// The transmitter sends none, or cannot be asked.
    pub async fn verify(&self, id: &str, state: &str) -> Result<(), SsfError> {
        let request = json!({ "stream_id": id, "state": state });
        self.ask("verification_endpoint", Method::POST, None, Some(&request), None).await.map(drop)
    }

    /// Ends a stream.
    ///
    /// # Errors
    /// The transmitter does not, or cannot be asked.
    pub async fn delete(&self, id: &str) -> Result<(), SsfError> {
        self.ask("configuration_endpoint", Method::DELETE, Some(id), None, None).await.map(drop)
    }

    async fn ask(
        &self,
        member: &str,
        method: Method,
        stream: Option<&str>,
        body: Option<&Value>,
        secret: Option<&str>,
    ) -> Result<Option<Value>, SsfError> {
        let mut url = self.endpoint(member)?;
        if let Some(stream) = stream {
            url.query_pairs_mut().append_pair("stream_id", stream);
        }
        let mut call = Call::new(method, &url).secrets(secret);
        if let Some(body) = body {
            call = call.json(body);
        }
        if let Some((secret, value)) = &self.streams.authorization {
            call = call.header(AUTHORIZATION, value.clone()).secrets([secret.expose()]);
        }
        self.streams.send(call).await
    }

    /// Credentials go where the metadata says: only to the issuer's own origin, or to one that is listed.
    fn endpoint(&self, member: &str) -> Result<Url, SsfError> {
        let streams = self.streams;
        let refused =
            |why: &str| SsfError::new(format!("{member} of the metadata at {}: {why}", streams.metadata));
        let text = self.metadata[member].as_str().ok_or_else(|| refused("is not there"))?;
        let url = permitted_url(text, streams.allow_http).map_err(|why| refused(&why))?;
        if !streams.origins.contains(&url.origin()) {
            return Err(refused("lies outside the issuer's origin; list its origin in discovery_origins"));
        }
        streams.guard.check(&url).map_err(|why| refused(&why.to_string()))?;
        Ok(url)
    }
}
