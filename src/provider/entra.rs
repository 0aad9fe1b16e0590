//! `kind = "entra"`: users of a Microsoft Entra tenant, by Microsoft Graph.
//!
//! `revokeSignInSessions` ends refresh tokens and browser sessions within minutes. Access tokens live on, and
//! guests are not touched. Entra revokes no single token.

use super::address::segment;
use super::bearers::{Bearers, Source};
use super::client_auth::Client;
use super::declared::{Constants, Declared};
use super::grant::Grant;
use super::probe;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, EntraConfig, HttpCallConfig, HttpMethod};
use crate::target::Scope;

/// The tenant of `config`.
pub(super) fn entra(setup: &Setup<'_>, config: &EntraConfig) -> Result<Declared, ProviderSetupError> {
    let login = config.login_url.as_deref().unwrap_or("https://login.microsoftonline.com");
    let graph = config.graph_url.as_deref().unwrap_or("https://graph.microsoft.com");
    let tenant = segment(&config.tenant_id).ok_or_else(|| setup.refuse("tenant_id", "is no tenant's id"))?;
    let endpoint = setup.url_under("login_url", login, &format!("/{tenant}/oauth2/v2.0/token"))?;
    let grant = Grant::of(Client::new(setup, &config.client, BasicEncoding::Rfc6749)?, endpoint)
        .with([("scope", format!("{graph}/.default"))]);
    let call =
        HttpCallConfig::new(HttpMethod::Post, format!("{graph}/v1.0/users/{{sub}}/revokeSignInSessions"))
            .header("Authorization", "Bearer {granted}")
            .revoked(&["2xx"])
            .rejected(&["404"])
            .retry(&["2xx value=false"]);
    Declared::new(Constants::default(), Some(Bearers::new(Source::Grant(grant))))
        .probed_by_nobody(&[Scope::Wide], probe::is_no_user)
        .subject(setup, &call)
}
