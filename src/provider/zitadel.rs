//! `kind = "zitadel"`: tokens by RFC 7009 as an application, sessions by the session service, version 2, and
//! by its list those of a user (proto/zitadel/session/v2/session_service.proto).

use serde_json::json;

use super::client_auth::Client;
use super::declared::{Constants, Declared, list};
use super::oauth::Rfc7009;
use super::probe;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, HttpCallConfig, HttpListConfig, HttpMethod, JsonTemplate, ZitadelConfig};
use crate::target::Scope;

/// The instance of `config`.
pub(super) fn zitadel(setup: &Setup<'_>, config: &ZitadelConfig) -> Result<Declared, ProviderSetupError> {
    let constants = config.api_token.as_ref().map(Constants::api_key).unwrap_or_default();
    let mut zitadel = Declared::new(constants, None).probed_by_nobody(&[Scope::Wide], probe::is_accepted);
    if let Some(client) = &config.client {
        let client = Client::new(setup, client, BasicEncoding::Rfc6749)?;
        let revocation = setup.url_under("base_url", &config.base_url, "/oauth/v2/revoke")?;
        zitadel = zitadel.oauth(Rfc7009::at(client, revocation, None));
    }
    if config.api_token.is_none() {
        return Ok(zitadel);
    }
    let call = HttpCallConfig::new(HttpMethod::Delete, format!("{}/v2/sessions/{{sid}}", config.base_url))
        .header("Authorization", "Bearer {api_key}")
        .revoked(&["200"])
        .already_invalid(&["404"]);
    let zitadel = zitadel.session(setup, &call)?;
    if !config.list_sessions {
        return Ok(zitadel);
    }
    let search = format!("{}/v2/sessions/search", config.base_url);
    let query = json!({ "query": { "limit": 100 }, "queries": [{ "userIdQuery": { "id": "{sub}" } }] });
    let sessions = list(search, ("Authorization", "Bearer {api_key}"), "sessions");
    let sessions = HttpListConfig {
        method: HttpMethod::Post,
        json: Some(JsonTemplate(query)),
        // Its JSON leaves out what is empty.
        empty_with: Some("details".to_owned()),
        ..sessions
    };
    zitadel.sessions(setup, &sessions)
}
