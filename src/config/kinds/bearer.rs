//! What administrative calls are authorized with.

use super::client::{ClientConfig, confidential_client};
use crate::config::Secret;
use crate::config::providers::required_endpoint;
use crate::config::rule::{Rule, optional, required_secret};
use crate::config::section::Section;
use crate::config::setting::{Row, Settings, Shape, settings};

/// What administrative calls are authorized with.
pub enum BearerConfig {
    /// `bearer_token`, `bearer_token_file`
    Fixed(Secret),
    /// A token of the client's own.
    Granted(GrantConfig),
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

/// A token that is given, or a client that is granted one; never both.
pub(super) fn bearer() -> Rule<BearerConfig> {
    Rule::new(Shape::Beside(rows), |_, section| {
        let fixed = section.has("bearer_token");
        if fixed || !(section.has("token_endpoint") || section.has("client_id")) {
            refuse_grant_beside(fixed, section);
            BearerConfig::Fixed(bearer_token().read("bearer_token", section))
        } else {
            BearerConfig::Granted(GrantConfig::read(section))
        }
    })
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
    fixed.into_iter().chain(GrantConfig::rows()).collect()
}

fn bearer_token() -> Rule<Secret> {
    required_secret("set bearer_token or bearer_token_file, or token_endpoint and a client")
}
