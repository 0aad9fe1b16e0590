//! What administrative calls are authorized with.

use super::assertion::KeyAlgorithm;
use super::client::{ClientConfig, confidential_client};
use crate::config::Secret;
use crate::config::providers::required_endpoint;
use crate::config::rule::{Rule, optional, required, required_secret};
use crate::config::section::Section;
use crate::config::setting::{Row, Settings, Shape, settings};

/// What administrative calls are authorized with.
pub enum BearerConfig {
    /// `bearer_token`, `bearer_token_file`
    Fixed(Secret),
    /// A token of the client's own.
    Granted(GrantConfig),
    /// A JWT of the caller's own.
    Signed(CallerConfig),
}

settings! {
    /// An OAuth client that asks for a token of its own (RFC 6749 section 4.4).
    pub struct GrantConfig {
        /// Where the client is granted a token.
        pub token_endpoint: String = required_endpoint(
            "give the address where the client is granted a token, or set bearer_token",
        ),
        /// The client.
        pub client: ClientConfig = confidential_client(),
        /// What the token is asked for.
        pub scope: Option<String> = optional().default("what the server chooses"),
    }
}

settings! {
    /// A caller that signs a JWT for each call (`typ` `global-token-revocation+jwt`).
    pub struct CallerConfig {
        /// The private key of a caller that shows a signed JWT, in PEM or as a JWK; in place of
        /// `bearer_token`.
        pub key as "caller_private_key": Secret =
            required_secret("set caller_private_key or caller_private_key_file"),
        /// The `kid` that it names.
        pub key_id as "caller_key_id": Option<String> = optional().default("that of the JWK, else none"),
        /// How it signs.
        pub algorithm as "caller_key_algorithm": Option<KeyAlgorithm> =
            optional().default("`RS256` for RSA, `ES256` for P-256"),
        /// Its `iss`, by which the server knows whose key it is.
        pub issuer as "caller_issuer": String = required("give the iss by which the server knows the key"),
        /// Its `sub`, the caller's client id at the server.
        pub subject as "caller_subject": String = required("give the client id that the server has for you"),
    }
}

/// A token that is given, a client that is granted one, or a caller that signs one; never two of them.
pub(super) fn bearer() -> Rule<BearerConfig> {
    Rule::new(Shape::Beside(rows), |_, section| {
        if CallerConfig::rows().iter().any(|row| section.has(row.key)) {
            refuse_others_beside_caller(section);
            return BearerConfig::Signed(CallerConfig::read(section));
        }
        let fixed = section.has("bearer_token");
        if fixed || !(section.has("token_endpoint") || section.has("client_id")) {
            refuse_grant_beside(fixed, section);
            BearerConfig::Fixed(bearer_token().read("bearer_token", section))
        } else {
            BearerConfig::Granted(GrantConfig::read(section))
        }
    })
}

fn refuse_others_beside_caller(section: &mut Section<'_>) {
    for key in ["bearer_token", "token_endpoint", "client_id", "client_secret", "client_auth", "scope"] {
        if section.has(key) {
            section.refuse(key, "without effect beside caller_private_key; remove it");
        }
    }
    if !section.has("global_token_revocation_endpoint") {
        let remedy = "give its address: it is the aud of the caller's JWT";
        section.missing("global_token_revocation_endpoint", remedy);
    }
}

fn refuse_grant_beside(fixed: bool, section: &mut Section<'_>) {
    if fixed && (section.has("token_endpoint") || section.has("client_id")) {
        let why = "given together with token_endpoint or client_id; keep one way to authorize";
        return section.refuse("bearer_token", why);
    }
    for key in ["scope", "client_auth", "client_secret"] {
        if fixed && section.has(key) {
            section.refuse(key, "without effect beside bearer_token; remove it");
        }
    }
}

fn rows() -> Vec<Row> {
    let fixed = bearer_token().default("none").rows(
        "bearer_token",
        "What calls are authorized with; without it, `token_endpoint` and a client that is granted a token.",
    );
    fixed.into_iter().chain(GrantConfig::rows()).chain(CallerConfig::rows()).collect()
}

fn bearer_token() -> Rule<Secret> {
    required_secret("set bearer_token or bearer_token_file, or token_endpoint and a client")
}
