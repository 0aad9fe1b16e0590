//! Where the public keys are that a sender signs with: at `jwks_uri`, or where its issuer's metadata says, by
//! the rules for providers' endpoints.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::call::Call;
use super::discovery::{Discovery, Endpoint};
use super::http::Http;
use super::private::Guard;
use super::setup::{Addresses, ProviderSetupError};
use crate::config::SenderConfig;

/// Somebody waits for an answer meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Of one request; with discovery there are two, or three.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// A sender's keys, where they are published.
pub struct KeySource {
    http: Http,
    place: Place,
}

enum Place {
    At(Url),
    Discovered(Box<Discovery>),
}

impl KeySource {
    /// Builds the client of the sender `name`; touches no network. An error names the setting
    /// (`receive.senders.kc.jwks_uri`).
    pub fn new(name: &str, config: &SenderConfig) -> Result<Self, ProviderSetupError> {
        let section = Addresses::of_sender(name, config);
        let configured = config.jwks_uri.iter().chain([&config.issuer]).map(String::as_str);
        let guard = Guard::over(&config.discovery, configured);
        let place = match &config.jwks_uri {
            Some(uri) => Place::At(section.url("jwks_uri", uri)?),
            None => {
                let found = Discovery::of(&section, &config.issuer, &config.discovery, guard.clone())?;
                Place::Discovered(Box::new(found))
            }
        };
        let http = Http::of_sender(&section, config, guard, [CONNECT_TIMEOUT, TIMEOUT])?;
        Ok(Self { http, place })
    }

    /// Reads the JWK Set: one request, and those of discovery before it.
    ///
    /// # Errors
    /// A sentence: what was tried, and why there is no set.
    pub async fn fetch(&self) -> Result<Value, String> {
        let url = match &self.place {
            Place::At(url) => url.clone(),
            Place::Discovered(discovery) => {
                // The keys may have moved, too.
                discovery.forget();
                let found = discovery.endpoint(&self.http, Endpoint::Keys).await;
                found.map_err(|answer| answer.error.unwrap_or_default())?
            }
        };
        let reply = self.http.send(Call::new(Method::GET, &url)).await;
        let reply = reply.map_err(|answer| answer.error.unwrap_or_default())?;
        let is_set = reply.is_success().then(|| reply.json()).flatten();
        is_set.ok_or_else(|| format!("{} answered {}, and no JWK Set", reply.what, reply.status))
    }
}
