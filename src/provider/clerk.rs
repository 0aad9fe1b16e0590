//! `kind = "clerk"`: sessions by id; users by the list of their sessions; tokens of an OAuth application.
//!
//! A session's JWT lives on for its minute. A JWT access token of an OAuth application cannot be revoked.

use serde_json::json;

use super::declared::{Constants, Declared, list};
use super::probe;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{ClerkConfig, HttpCallConfig, HttpMethod};
use crate::target::Scope;

/// The instance of `config`.
pub(super) fn clerk(setup: &Setup<'_>, config: &ClerkConfig) -> Result<Declared, ProviderSetupError> {
    const AUTHORIZATION: (&str, &str) = ("Authorization", "Bearer {api_key}");
    let base = config.base_url.as_deref().unwrap_or("https://api.clerk.com");
    let call = |path: &str| {
        HttpCallConfig::new(HttpMethod::Post, format!("{base}/v1{path}"))
            .header(AUTHORIZATION.0, AUTHORIZATION.1)
    };
    let session = call("/sessions/{sid}/revoke").revoked(&["200"]).already_invalid(&["404"]);
    let sessions =
        list(format!("{base}/v1/sessions?user_id={{sub}}&status=active&limit=100"), AUTHORIZATION, ".");
    let clerk = Declared::new(Constants::api_key(&config.api_key), None)
        .probed_by_nobody(&[Scope::Wide], probe::is_accepted)
        .session(setup, &session)?
        .sessions(setup, &sessions)?;
    let Some(application) = &config.oauth_application_id else { return Ok(clerk) };
    let application = super::address::segment(application)
        .ok_or_else(|| setup.refuse("oauth_application_id", "is no application's id"))?;
    let token = call(&format!("/oauth_applications/{application}/revoke_token"))
        .json(json!({ "token": "{token}" }))
        .revoked(&["204"])
        .rejected(&["400", "404", "422"]);
    clerk.token(setup, &token)
}
