//! OAuth clients.

use crate::config::Secret;
use crate::config::rule::{Rule, beside, choice, required, secret};
use crate::config::section::Section;
use crate::config::setting::{choices, settings};

settings! {
    /// OAuth client credentials of a provider.
    pub struct ClientConfig {
        /// The id that this worker has at the provider as an OAuth client.
        pub id as "client_id": String =
            required("give the id that this worker has at the provider as an OAuth client"),
        /// Its secret; absent only with `client_auth = "none"`.
        pub secret as "client_secret": Option<Secret> = secret(),
        /// How the client authenticates. Kind `genauth` has `client_secret_post` by default.
        pub auth as "client_auth": ClientAuth = choice(ClientAuth::SecretBasic),
    }
    check secret_fits_auth
}

choices! {
    /// OAuth client authentication methods.
    pub enum ClientAuth {
        /// `client_secret_basic`
        SecretBasic = "client_secret_basic",
        /// `client_secret_post`
        SecretPost = "client_secret_post",
        /// `none`: a public client
        None = "none",
    }
}

fn secret_fits_auth(client: &ClientConfig, section: &mut Section<'_>) {
    match (client.auth, &client.secret) {
        (ClientAuth::None, _) if section.has("client_secret") => {
            let why = "superfluous with client_auth = \"none\"; remove it, or choose client_secret_basic or \
                client_secret_post";
            section.unless_refused("client_secret", why);
        }
        (ClientAuth::SecretBasic | ClientAuth::SecretPost, None) => {
            let remedy =
                "set client_secret or client_secret_file, or client_auth = \"none\" for a public client";
            section.missing("client_secret", remedy);
        }
        _ => {}
    }
}

/// A client that may be public.
pub(super) fn client() -> Rule<ClientConfig> {
    beside()
}

/// A client with a secret.
pub(super) fn confidential_client() -> Rule<ClientConfig> {
    client().then(|client, _, section| {
        if client.auth == ClientAuth::None {
            let why = "none is not enough: the client asks for a token of its own; use client_secret_basic \
                or _post";
            section.unless_refused("client_auth", why);
        }
        client
    })
}
