//! Fetching security event tokens from a sender that waits to be asked (RFC 8936).

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use url::Url;

use super::call::Call;
use super::http::Http;
use super::private::Guard;
use super::setup::{Addresses, ProviderSetupError};
use crate::config::{Secret, SenderConfig};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A sender's address for polls, and what it asks of those who poll.
pub struct SetPoll {
    http: Http,
    url: Url,
    authorization: Option<(Secret, HeaderValue)>,
}

impl SetPoll {
    /// Builds the client of the sender `name`; `None` where it is not polled. Touches no network.
    pub fn new(name: &str, config: &SenderConfig) -> Result<Option<Self>, ProviderSetupError> {
        let section = Addresses::of_sender(name, config);
        let Some(endpoint) = &config.poll_endpoint else { return Ok(None) };
        let url = section.url("poll_endpoint", endpoint)?;
        let authorization = config.poll_authorization.clone().map(|secret| {
            let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| {
                section.refuse("poll_authorization", "has characters that no header can hold")
            })?;
            value.set_sensitive(true);
            Ok((secret, value))
        });
        let guard = Guard::over(&config.discovery, [endpoint.as_str()].into_iter());
        let http = Http::of_sender(&section, config, guard, [CONNECT_TIMEOUT, TIMEOUT])?;
        Ok(Some(Self { http, url, authorization: authorization.transpose()? }))
    }

    /// Sends a poll request; returns the response.
    ///
    /// # Errors
    /// A sentence: what was tried, and why there is no response.
    pub async fn poll(&self, request: &Value) -> Result<Value, String> {
        let mut call = Call::new(Method::POST, &self.url).json(request);
        if let Some((secret, value)) = &self.authorization {
            call = call.header(AUTHORIZATION, value.clone()).secrets([secret.expose()]);
        }
        let reply = self.http.send(call).await.map_err(|answer| answer.error.unwrap_or_default())?;
        let response = reply.is_success().then(|| reply.json()).flatten();
        response.ok_or_else(|| format!("{} answered {}, and no JSON", reply.what, reply.status))
    }
}
