//! `kind = "google"`: tokens of Google's OAuth server, which asks nobody who they are.
//!
//! Either token of a grant ends both, and the grant. It may take a minute.

use super::declared::{Constants, Declared};
use super::probe;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{GoogleConfig, HttpCallConfig, HttpMethod};
use crate::target::Scope;

/// Google's server.
pub(super) fn google(setup: &Setup<'_>, config: &GoogleConfig) -> Result<Declared, ProviderSetupError> {
    let base = config.base_url.as_deref().unwrap_or("https://oauth2.googleapis.com");
    let call = HttpCallConfig::new(HttpMethod::Post, format!("{base}/revoke"))
        .field("token", "{token}")
        .revoked(&["200"])
        .already_invalid(&["400 error=invalid_token"])
        .rejected(&["400"]);
    Declared::new(Constants::default(), None)
        .probed_by_nobody(&[Scope::Token], probe::is_accepted)
        .token(setup, &call)
}
