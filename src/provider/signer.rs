//! What signs JWTs: client assertions (RFC 7523), client secrets that are JWTs, callers that show one.
//!
//! A key is read, checked and tried when the provider is set up, so that a wrong one stops the start and
//! names its setting. Keys are wiped when dropped and have no `Debug`.

use std::path::Path;

use aws_lc_rs::rsa::KeyPair as RsaKey;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::certificate;
use super::jwk::{self, PrivateKey, of_p256};
use super::setup::{ProviderSetupError, Setup};
use crate::config::{KeyAlgorithm, Secret};
use crate::outcome::{Answer, Verdict};

/// A private key or a secret, and the header of what it signs. It cannot be printed.
pub(super) struct Signer {
    key: EncodingKey,
    header: Header,
}

/// The settings of a private key.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    /// The setting that an error names.
    pub(super) setting: &'a str,
    /// PEM or a JWK.
    pub(super) text: &'a Secret,
    /// `kid`
    pub(super) id: Option<&'a str>,
    /// `alg`; `None`: what the key is made for.
    pub(super) algorithm: Option<KeyAlgorithm>,
    /// The file of its certificate.
    pub(super) certificate: Option<&'a Path>,
}

impl<'a> Key<'a> {
    /// A key without more.
    pub(super) fn new(setting: &'a str, text: &'a Secret) -> Self {
        Self { setting, text, id: None, algorithm: None, certificate: None }
    }
}

impl Signer {
    /// Signs with a private key; the key has been tried once.
    pub(super) fn private(setup: &Setup<'_>, given: Key<'_>) -> Result<Self, ProviderSetupError> {
        let refuse = |problem: &str| setup.refuse(given.setting, problem);
        let PrivateKey { key, is_rsa, id } = private_key(given.text.expose()).map_err(refuse)?;
        let algorithm = match (given.algorithm, is_rsa) {
            (None, true) if given.certificate.is_some() => Algorithm::PS256,
            (Some(KeyAlgorithm::Rs256) | None, true) => Algorithm::RS256,
            (Some(KeyAlgorithm::Ps256), true) => Algorithm::PS256,
            (Some(KeyAlgorithm::Es256) | None, false) => Algorithm::ES256,
            (Some(algorithm), _) => {
                let other = if is_rsa { "an RSA key" } else { "a P-256 key" };
                return Err(refuse(&format!("is {other}, which cannot sign as {}", algorithm.as_str())));
            }
        };
        let header = Header { kid: given.id.map(str::to_owned).or(id), ..Header::new(algorithm) };
        let signer = Self { key, header };
        let signed = signer
            .sign(&json!({}))
            .map_err(|_| refuse("cannot sign: use RSA of at least 2048 bits, or P-256"))?;
        let Some(file) = given.certificate else { return Ok(signer) };
        let thumbprint = certificate::of_key(file, &signed, algorithm)
            .map_err(|why| setup.refuse("client_certificate_file", format!("{} {why}", file.display())))?;
        Ok(Self { header: Header { x5t_s256: Some(thumbprint), ..signer.header }, ..signer })
    }

    /// Signs with a secret, HS256.
    pub(super) fn secret(secret: &Secret) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.expose().as_bytes()),
            header: Header::new(Algorithm::HS256),
        }
    }

    /// The same with another `typ`.
    pub(super) fn typed(self, typ: &str) -> Self {
        Self { header: Header { typ: Some(typ.to_owned()), ..self.header }, ..self }
    }

    /// A JWT with these claims.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<Zeroizing<String>, Answer> {
        jsonwebtoken::encode(&self.header, claims, &self.key).map(Zeroizing::new).map_err(|_| {
            Answer::failed(Verdict::Misconfigured, None, "no JWT can be signed with the configured key")
        })
    }
}

/// The private key in `text`, PEM or a JWK. The refusal never quotes it.
fn private_key(text: &str) -> Result<PrivateKey, &'static str> {
    if text.starts_with('{') {
        return jwk::private_key(text);
    }
    let wrong = "holds no private key: give PEM (PKCS #8, PKCS #1 or SEC 1) or a JWK";
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(der)) => Ok(rsa(EncodingKey::from_rsa_der(der.secret_pkcs1_der()))),
        Ok(PrivateKeyDer::Sec1(der)) => p256(der.secret_sec1_der()),
        Ok(PrivateKeyDer::Pkcs8(der)) => match RsaKey::from_pkcs8(der.secret_pkcs8_der()) {
            Ok(_) => EncodingKey::from_rsa_pem(text.as_bytes()).map(rsa).map_err(|_| wrong),
            Err(_) => p256(der.secret_pkcs8_der()),
        },
        _ => Err(wrong),
    }
}

fn rsa(key: EncodingKey) -> PrivateKey {
    PrivateKey { key, is_rsa: true, id: None }
}

fn p256(der: &[u8]) -> Result<PrivateKey, &'static str> {
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
        .map_err(|_| "is no RSA or P-256 key")?;
    of_p256(&pair)
}

#[cfg(test)]
mod tests;
