//! Keys that sign JWTs: client assertions (RFC 7523 section 2.2) and what is like them.

use std::path::PathBuf;

use crate::config::Secret;
use crate::config::rule::{optional, secret};
use crate::config::setting::{choices, settings};

settings! {
    /// What a client's assertions are made with.
    #[derive(Clone, Default)]
    pub struct AssertionConfig {
        /// The private key of `private_key_jwt`, in PEM (PKCS #8, PKCS #1 or SEC 1) or as a JWK: RSA of at
        /// least 2048 bits, or P-256.
        pub key as "client_private_key": Option<Secret> = secret(),
        /// The `kid` that assertions name.
        pub key_id as "client_key_id": Option<String> = optional().default("that of the JWK, else none"),
        /// How assertions are signed.
        pub algorithm as "client_key_algorithm": Option<KeyAlgorithm> = optional()
            .default("`RS256` for RSA, `PS256` beside `client_certificate_file`, `ES256` for P-256"),
        /// The certificate of that key, a PEM file: assertions name it by `x5t#S256`, as Entra asks for.
        pub certificate as "client_certificate_file": Option<PathBuf> = optional().default("none"),
        /// The `aud` of assertions.
        pub audience as "client_assertion_audience": Option<String> = optional().default(
            "`issuer`, else what the kind knows of its product, else the address that is called",
        ),
    }
}

choices! {
    /// How a private key signs (RFC 7518 section 3.1).
    pub enum KeyAlgorithm {
        /// RSA, PKCS #1
        Rs256 = "RS256",
        /// RSA, PSS
        Ps256 = "PS256",
        /// ECDSA over P-256
        Es256 = "ES256",
    }
}
