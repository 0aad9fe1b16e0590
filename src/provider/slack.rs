//! `kind = "slack"`: each token revokes itself. The verdict is in the body; the status is 200 for nearly all.

use super::declared::{Constants, Declared};
use super::probe;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{HttpCallConfig, HttpMethod, SlackConfig};
use crate::target::Scope;

/// Slack's API.
pub(super) fn slack(setup: &Setup<'_>, config: &SlackConfig) -> Result<Declared, ProviderSetupError> {
    let base = config.base_url.as_deref().unwrap_or("https://slack.com");
    let call = HttpCallConfig::new(HttpMethod::Post, format!("{base}/api/auth.revoke"))
        .header("Authorization", "Bearer {token}")
        .revoked(&["200 ok=true revoked=true"])
        .already_invalid(&[
            "ok=false error=token_revoked",
            "ok=false error=invalid_auth",
            "ok=false error=account_inactive",
        ])
        .rejected(&[
            "ok=false error=not_bearer_token",
            "ok=false error=not_authed",
            "ok=false error=access_denied",
        ])
        .retry(&["ok=false error=internal_error", "ok=false error=ratelimited"]);
    Declared::new(Constants::default(), None)
        .probed_by_nobody(&[Scope::Token], probe::is_accepted)
        .token(setup, &call)
}
