//! `kind = "workos"`: sessions by id; users by the list of their sessions.
//!
//! What WorkOS answers to a session that has ended already is not documented; access tokens live on until
//! their end.

use serde_json::json;

use super::declared::{Constants, Declared, list};
use super::probe;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{HttpCallConfig, HttpListConfig, HttpMethod, WorkosConfig};
use crate::outcome::Answer;
use crate::target::Scope;

/// The environment of `config`.
pub(super) fn workos(setup: &Setup<'_>, config: &WorkosConfig) -> Result<Declared, ProviderSetupError> {
    const AUTHORIZATION: (&str, &str) = ("Authorization", "Bearer {api_key}");
    let base = config.base_url.as_deref().unwrap_or("https://api.workos.com");
    let api = format!("{base}/user_management");
    let session = HttpCallConfig::new(HttpMethod::Post, format!("{api}/sessions/revoke"))
        .header(AUTHORIZATION.0, AUTHORIZATION.1)
        .json(json!({ "session_id": "{sid}" }))
        .revoked(&["2xx"]);
    let sessions = list(format!("{api}/users/{{sub}}/sessions?limit=100"), AUTHORIZATION, "data");
    let sessions = HttpListConfig {
        only: vec!["status=active".to_owned()],
        next: Some("list_metadata.after".to_owned()),
        next_parameter: "after".to_owned(),
        rejected: vec!["404".to_owned()],
        ..sessions
    };
    Declared::new(Constants::api_key(&config.api_key), None)
        .probed_by_nobody(&[Scope::Wide], lets_in)
        .session(setup, &session)?
        .sessions(setup, &sessions)
}

/// What WorkOS says of a session that is not there, after it has let the key in.
fn lets_in(answer: &Answer) -> bool {
    probe::is_accepted(answer) || matches!(answer.http_status, Some(400 | 404 | 422))
}
