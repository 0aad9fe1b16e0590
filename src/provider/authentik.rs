//! `kind = "authentik"`: tokens by RFC 7009. authentik answers every fault with 401 `invalid_client`.

use super::client_auth::Client;
use super::oauth::Rfc7009;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{AuthentikConfig, BasicEncoding};

/// The server of `config`.
pub(super) fn authentik(setup: &Setup<'_>, config: &AuthentikConfig) -> Result<Rfc7009, ProviderSetupError> {
    let client = Client::new(setup, &config.client, BasicEncoding::Rfc6749)?;
    let revocation = setup.url_under("base_url", &config.base_url, "/application/o/revoke/")?;
    Ok(Rfc7009::at(client, revocation, None))
}
