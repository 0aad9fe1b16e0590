//! `kind = "google"`: tokens of Google's OAuth server, which asks nobody who they are; users of a Workspace
//! by the Admin SDK.
//!
//! Either token of a grant ends both, and the grant. It may take a minute. A sign-out ends a user's web and
//! device sessions, and no app's tokens.

use super::bearers::{Bearers, Source};
use super::declared::{Constants, Declared};
use super::probe;
use super::service_account::ServiceAccount;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{GoogleConfig, HttpCallConfig, HttpMethod, WorkspaceConfig};
use crate::target::Scope;

const SCOPE: &str = "https://www.googleapis.com/auth/admin.directory.user.security";

/// Google's server.
pub(super) fn google(setup: &Setup<'_>, config: &GoogleConfig) -> Result<Declared, ProviderSetupError> {
    let base = config.base_url.as_deref().unwrap_or("https://oauth2.googleapis.com");
    let call = HttpCallConfig::new(HttpMethod::Post, format!("{base}/revoke"))
        .field("token", "{token}")
        .revoked(&["200"])
        .already_invalid(&["400 error=invalid_token"])
        .rejected(&["400"]);
    let bearers = config.workspace.as_ref().map(|workspace| bearers(setup, workspace)).transpose()?;
    let google = Declared::new(Constants::default(), bearers)
        .probed_by_nobody(&[Scope::Token, Scope::Wide], probe::is_no_user)
        .token(setup, &call)?;
    match &config.workspace {
        Some(workspace) => google.subject(setup, &sign_out(workspace)),
        None => Ok(google),
    }
}

fn bearers(setup: &Setup<'_>, config: &WorkspaceConfig) -> Result<Bearers, ProviderSetupError> {
    let account = ServiceAccount::new(setup, &config.service_account, SCOPE)?;
    Ok(Bearers::new(Source::ServiceAccount(Box::new(account.acting_for(&config.administrator)))))
}

/// The Admin SDK throttles by 403 as well, with a reason.
fn sign_out(config: &WorkspaceConfig) -> HttpCallConfig {
    let base = config.directory_url.as_deref().unwrap_or("https://admin.googleapis.com");
    let url = format!("{base}/admin/directory/v1/users/{{sub}}/signOut");
    HttpCallConfig::new(HttpMethod::Post, url)
        .header("Authorization", "Bearer {granted}")
        .revoked(&["2xx"])
        .rejected(&["400", "404"])
        .retry(&[
            "403 error.errors.0.reason=quotaExceeded",
            "403 error.errors.0.reason=rateLimitExceeded",
            "403 error.errors.0.reason=userRateLimitExceeded",
        ])
}
