//! `kind = "fusionauth"`: refresh tokens, one, all of a user's, or all of an application's. Access tokens are
//! JWTs that nothing revokes.
//!
//! What FusionAuth answers to a token that is dead already is not documented; a person is shown a 404.

use serde_json::json;

use super::declared::{Constants, Declared};
use super::setup::{ProviderSetupError, Setup};
use crate::config::{FusionauthConfig, HttpCallConfig, HttpMethod};
use crate::target::TokenTypeHint;

/// The server of `config`.
pub(super) fn fusionauth(
    setup: &Setup<'_>,
    config: &FusionauthConfig,
) -> Result<Declared, ProviderSetupError> {
    let call = |body| {
        HttpCallConfig::new(HttpMethod::Delete, format!("{}/api/jwt/refresh", config.base_url))
            .header("Authorization", "{api_key}")
            .json(body)
            .revoked(&["200"])
            .rejected(&["400", "404"])
    };
    Declared::new(Constants::api_key(&config.api_key), None)
        .only_for(TokenTypeHint::RefreshToken)
        .token(setup, &call(json!({ "token": "{token}" })))?
        .subject(setup, &call(json!({ "userId": "{sub}" })))?
        .client(setup, &call(json!({ "applicationId": "{client}" })))
}
