//! `kind = "apple"`: tokens of Sign in with Apple. The client's secret is a JWT, signed anew for each
//! request.
//!
//! What Apple answers to a token that is dead already is not documented.

use super::assertion::Assertion;
use super::client_auth::Client;
use super::oauth::Rfc7009;
use super::setup::{ProviderSetupError, Setup};
use super::signer::{Key, Signer};
use crate::config::{AppleConfig, KeyAlgorithm};

/// Apple's own name, whatever its address.
const AUDIENCE: &str = "https://appleid.apple.com";

/// The app of `config`.
pub(super) fn apple(setup: &Setup<'_>, config: &AppleConfig) -> Result<Rfc7009, ProviderSetupError> {
    let base = config.base_url.as_deref().unwrap_or(AUDIENCE);
    let (setting, algorithm) = ("client_private_key", Some(KeyAlgorithm::Es256));
    let key = Key { id: Some(&config.key_id), algorithm, ..Key::new(setting, &config.key) };
    let signer = Signer::private(setup, key)?;
    let secret = Assertion::secret(signer, &config.team_id, &config.client_id, AUDIENCE);
    let client = Client::with_assertion(&config.client_id, secret);
    Ok(Rfc7009::at(client, setup.url_under("base_url", base, "/auth/revoke")?, None))
}
