//! `kind = "auth0"`: refresh tokens as an application; sessions and users by the management API, version 2.
//!
//! - a session: `POST …/sessions/{id}/revoke`, which ends its refresh tokens, too;
//! - a subject: `DELETE …/users/{id}/sessions`, then `DELETE …/users/{id}/refresh-tokens`.
//!
//! Auth0 accepts these and carries them out soon after. Access tokens are JWTs that nothing revokes.

use super::bearers::{Bearers, Source};
use super::client_auth::Client;
use super::declared::{Constants, Declared};
use super::grant::Grant;
use super::oauth::Rfc7009;
use super::probe;
use super::rfc7009;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{
    AssertionConfig, Auth0Config, Auth0ManagementConfig, BasicEncoding, ClientAuth, ClientConfig,
    HttpCallConfig, HttpMethod,
};
use crate::target::{Scope, TokenTypeHint};

/// The tenant of `config`.
pub(super) fn auth0(setup: &Setup<'_>, config: &Auth0Config) -> Result<Declared, ProviderSetupError> {
    let management =
        config.management.as_ref().map(|management| grant(setup, config, management)).transpose()?;
    let mut auth0 = Declared::new(Constants::default(), management.map(Bearers::new))
        .probed_by_nobody(&[Scope::Wide], probe::is_accepted);
    if let Some(client) = &config.client {
        let client = Client::new(setup, client, BasicEncoding::Rfc6749)?;
        let revocation = setup.url_under("base_url", &config.base_url, "/oauth/revoke")?;
        let server = Rfc7009::at(client, revocation, None).unhinted(rfc7009::classify);
        auth0 = auth0.oauth(server).only_for(TokenTypeHint::RefreshToken);
    }
    if config.management.is_none() {
        return Ok(auth0);
    }
    let api = format!("{}/api/v2", config.base_url);
    let call = |method, path: &str| {
        HttpCallConfig::new(method, format!("{api}{path}"))
            .header("Authorization", "Bearer {granted}")
            .revoked(&["2xx"])
    };
    let session = call(HttpMethod::Post, "/sessions/{sid}/revoke").already_invalid(&["404"]);
    let of_user = |path| call(HttpMethod::Delete, path).rejected(&["404"]);
    auth0
        .session(setup, &session)?
        .subject(setup, &of_user("/users/{sub}/sessions"))?
        .subject(setup, &of_user("/users/{sub}/refresh-tokens"))
}

fn grant(
    setup: &Setup<'_>,
    config: &Auth0Config,
    management: &Auth0ManagementConfig,
) -> Result<Source, ProviderSetupError> {
    let client = ClientConfig {
        id: management.client_id.clone(),
        secret: Some(management.client_secret.clone()),
        auth: ClientAuth::SecretPost,
        assertion: AssertionConfig::default(),
    };
    let endpoint = setup.url_under("base_url", &config.base_url, "/oauth/token")?;
    let audience = management.audience.clone().unwrap_or_else(|| format!("{}/api/v2/", config.base_url));
    let grant = Grant::of(Client::new(setup, &client, BasicEncoding::Rfc6749)?, endpoint);
    Ok(Source::Grant(grant.with([("audience", audience)])))
}
