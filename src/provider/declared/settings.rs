//! `kind = "http"`: what the settings declare.

use super::{Constants, Declared};
use crate::config::{BasicEncoding, HttpConfig, HttpTokens};
use crate::provider::bearers::{Bearers, Source};
use crate::provider::client_auth::Client;
use crate::provider::grant::Grant;
use crate::provider::setup::{ProviderSetupError, Setup};
use crate::target::TokenTypeHint;

impl Declared {
    /// The provider that `config` declares; an error names the setting.
    pub(in crate::provider) fn http(
        setup: &Setup<'_>,
        config: &HttpConfig,
    ) -> Result<Self, ProviderSetupError> {
        let constants = config.client.as_ref().map(Constants::client).unwrap_or_default();
        let mut declared = Self::new(constants.and_api_key(config.api_key.as_ref()), bearers(setup, config)?);
        if let Some(call) = &config.token {
            declared = declared.token(setup, call)?;
        }
        if let Some(only) = config.only {
            declared = declared.only_for(match only {
                HttpTokens::Access => TokenTypeHint::AccessToken,
                HttpTokens::Refresh => TokenTypeHint::RefreshToken,
            });
        }
        if let Some(call) = &config.session {
            declared = declared.session(setup, call)?;
        }
        if let Some(call) = &config.subject {
            declared = declared.subject(setup, call)?;
        }
        if let Some(call) = &config.of_client {
            declared = declared.client(setup, call)?;
        }
        if let Some(list) = &config.sessions {
            declared = declared.sessions(setup, list)?;
        }
        match &config.probe {
            Some(probe) => declared.probe(setup, probe),
            None => Ok(declared),
        }
    }
}

fn bearers(setup: &Setup<'_>, config: &HttpConfig) -> Result<Option<Bearers>, ProviderSetupError> {
    let (Some(endpoint), Some(client)) = (&config.token_endpoint, &config.client) else { return Ok(None) };
    let endpoint = setup.url("token_endpoint", endpoint)?;
    let grant = Grant::of(Client::new(setup, client, BasicEncoding::Rfc6749)?, endpoint);
    let grant = grant.with(config.scope.iter().map(|scope| ("scope", scope.clone())));
    Ok(Some(Bearers::new(Source::Grant(grant))))
}
