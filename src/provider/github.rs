//! `kind = "github"`: tokens of an OAuth app or a GitHub App: one of them, or with the user's grant all.
//!
//! 404 says that the token was dead already. 422 says that GitHub takes the request for spam or for wrong,
//! which passes.

use super::declared::{Constants, Declared};
use super::probe;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{GithubConfig, GithubRevokes, HttpCallConfig, HttpMethod};
use crate::outcome::Answer;
use crate::target::Scope;

/// The app of `config`.
pub(super) fn github(setup: &Setup<'_>, config: &GithubConfig) -> Result<Declared, ProviderSetupError> {
    let base = config.base_url.as_deref().unwrap_or("https://api.github.com");
    let what = match config.revokes {
        GithubRevokes::Token => "token",
        GithubRevokes::Grant => "grant",
    };
    let url = format!("{base}/applications/{{client_id}}/{what}");
    let call = HttpCallConfig::new(HttpMethod::Delete, url)
        .header("Authorization", "Basic {basic}")
        .header("Accept", "application/vnd.github+json")
        .header("X-GitHub-Api-Version", "2022-11-28")
        .json(serde_json::json!({ "access_token": "{token}" }))
        .revoked(&["204"])
        .already_invalid(&["404"])
        .retry(&["422"]);
    Declared::new(Constants::client(&config.client), None)
        .probed_by_nobody(&[Scope::Token], lets_in)
        .token(setup, &call)
}

/// What GitHub says after it has let the app in.
fn lets_in(answer: &Answer) -> bool {
    probe::is_accepted(answer) || answer.http_status == Some(422)
}
