//! `kind = "okta"`

use super::client::{ClientConfig, client};
use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::{Rule, optional, secret};
use crate::config::setting::settings;

settings! {
    /// `kind = "okta"`
    pub struct OktaConfig {
        /// Address of the organisation.
        pub base_url: String = base("give the organisation's address, such as https://example.okta.com"),
        /// A custom authorization server, whose tokens are revoked; absent: the organisation's own.
        pub authorization_server_id: Option<String> = optional(),
        /// An application; absent: tokens are unsupported.
        pub client: Option<ClientConfig> = client_for_tokens(),
        /// API token of an administrator; absent: subjects are unsupported.
        pub api_token: Option<Secret> = secret(),
    }
}

/// A client is needed for tokens, an API token for subjects; at least one of the two.
fn client_for_tokens() -> Rule<Option<ClientConfig>> {
    client().only_if(|section| {
        let of_tokens = ["client_id", "client_secret", "client_auth", "authorization_server_id"];
        !section.has("api_token")
            || of_tokens.iter().any(|key| section.has(key))
            || section.is("verify", "introspect")
    })
}
