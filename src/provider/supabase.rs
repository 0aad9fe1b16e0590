//! `kind = "supabase"`: the session of an access token, or all of its user's. The token shows itself, so one
//! that has ended cannot be used for it; there is no call by a user's id.

use super::declared::{Constants, Declared};
use super::setup::{ProviderSetupError, Setup};
use crate::config::{HttpCallConfig, HttpMethod, SupabaseConfig};
use crate::target::TokenTypeHint;

/// The project of `config`.
pub(super) fn supabase(setup: &Setup<'_>, config: &SupabaseConfig) -> Result<Declared, ProviderSetupError> {
    let url = format!("{}/auth/v1/logout?scope={}", config.base_url, config.scope.as_str());
    let call = HttpCallConfig::new(HttpMethod::Post, url)
        .header("apikey", "{api_key}")
        .header("Authorization", "Bearer {token}")
        .revoked(&["204"])
        .rejected(&["400"]);
    Declared::new(Constants::api_key(&config.api_key), None)
        .only_for(TokenTypeHint::AccessToken)
        .token(setup, &call)
}
