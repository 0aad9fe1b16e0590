//! OAuth clients.

use super::assertion::AssertionConfig;
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
        /// Its secret; absent with `client_auth = "none"`, `private_key_jwt` and certificates.
        pub secret as "client_secret": Option<Secret> = secret(),
        /// How the client authenticates. Kinds `genauth` and `auth0` have `client_secret_post` by default.
        pub auth as "client_auth": ClientAuth = choice(ClientAuth::SecretBasic),
        /// What its assertions are made with.
        pub assertion: AssertionConfig = beside(),
    }
    check credentials_fit_auth
}

choices! {
    /// OAuth client authentication methods.
    pub enum ClientAuth {
        /// `client_secret_basic`
        SecretBasic = "client_secret_basic",
        /// `client_secret_post`
        SecretPost = "client_secret_post",
        /// `client_secret_jwt`: an assertion signed with the secret, HS256
        SecretJwt = "client_secret_jwt",
        /// `private_key_jwt`: an assertion signed with the private key
        PrivateKeyJwt = "private_key_jwt",
        /// `tls_client_auth`: the certificate of `tls_certificate_file`, known by its name
        Tls = "tls_client_auth",
        /// `self_signed_tls_client_auth`: the same, known by itself
        SelfSignedTls = "self_signed_tls_client_auth",
        /// `none`: a public client
        None = "none",
    }
}

impl ClientAuth {
    /// Whether it needs `client_secret`.
    fn has_secret(self) -> bool {
        matches!(self, Self::SecretBasic | Self::SecretPost | Self::SecretJwt)
    }

    /// Whether it needs `tls_certificate_file`.
    fn has_certificate(self) -> bool {
        matches!(self, Self::Tls | Self::SelfSignedTls)
    }
}

fn credentials_fit_auth(client: &ClientConfig, section: &mut Section<'_>) {
    let auth = client.auth;
    if !auth.has_secret() && section.has("client_secret") {
        let why = format!(
            "superfluous with client_auth = \"{}\"; remove it, or choose client_secret_basic or \
                client_secret_post",
            auth.as_str()
        );
        section.unless_refused("client_secret", why);
    }
    if auth.has_secret() && client.secret.is_none() {
        let remedy = "set client_secret or client_secret_file, or client_auth = \"none\" for a public client";
        section.missing("client_secret", remedy);
    }
    if auth.has_certificate() && !section.has("tls_certificate_file") {
        let remedy = format!("client_auth = \"{}\" shows a certificate: name its file", auth.as_str());
        section.missing("tls_certificate_file", remedy);
    }
    assertion_fits_auth(client, section);
}

fn assertion_fits_auth(client: &ClientConfig, section: &mut Section<'_>) {
    let auth = client.auth;
    if auth == ClientAuth::PrivateKeyJwt && client.assertion.key.is_none() {
        let remedy = "set client_private_key or client_private_key_file to a key in PEM or as a JWK";
        section.missing("client_private_key", remedy);
    }
    let is_signed = matches!(auth, ClientAuth::PrivateKeyJwt | ClientAuth::SecretJwt);
    for key in [
        "client_private_key",
        "client_key_id",
        "client_key_algorithm",
        "client_certificate_file",
        "client_assertion_audience",
    ] {
        let has_effect = match key {
            "client_assertion_audience" => is_signed,
            _ => auth == ClientAuth::PrivateKeyJwt,
        };
        if !has_effect && section.has(key) {
            section.unless_refused(
                key,
                format!("without effect with client_auth = \"{}\"; remove it", auth.as_str()),
            );
        }
    }
}

/// A client that may be public.
pub(super) fn client() -> Rule<ClientConfig> {
    beside()
}

/// A client with a secret, a key or a certificate.
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

/// Such a client that sends its secret in the body unless another way is chosen.
pub(super) fn posting(client: ClientConfig, _: &str, section: &mut Section<'_>) -> ClientConfig {
    let auth = if section.has("client_auth") { client.auth } else { ClientAuth::SecretPost };
    ClientConfig { auth, ..client }
}
