//! `kind = "okta"`

use super::client::{ClientConfig, client};
use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::{Rule, all_or_none, optional, required, required_secret, secret};
use crate::config::section::Section;
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
        /// API token of an administrator; without it, and without `service_client_id`, subjects are
        /// unsupported.
        pub api_token: Option<Secret> = secret(),
        /// A service application in place of the API token.
        pub service: Option<OktaServiceConfig> = all_or_none(),
    }
    check has_one_administrator
}

settings! {
    /// An API service application, which is granted tokens for its private key.
    pub struct OktaServiceConfig {
        /// The id of an API service application that has the scope `okta.users.manage`; in place of
        /// `api_token`.
        pub client_id as "service_client_id": String =
            required("give the id of the API service application, or remove service_private_key"),
        /// Its private key, in PEM or as a JWK.
        pub key as "service_private_key": Secret =
            required_secret("set service_private_key or service_private_key_file"),
        /// The `kid` that its assertions name.
        pub key_id as "service_key_id": Option<String> = optional().default("that of the JWK, else none"),
    }
}

fn has_one_administrator(okta: &OktaConfig, section: &mut Section<'_>) {
    if okta.api_token.is_some() && okta.service.is_some() {
        section.refuse("api_token", "given together with service_client_id; keep one of the two");
    }
}

/// A client is needed for tokens, an API token for subjects; at least one of the two.
fn client_for_tokens() -> Rule<Option<ClientConfig>> {
    client().only_if(|section| {
        let of_tokens =
            ["client_id", "client_secret", "client_auth", "client_private_key", "authorization_server_id"];
        !(section.has("api_token") || section.has("service_client_id"))
            || of_tokens.iter().any(|key| section.has(key))
            || section.is("verify", "introspect")
    })
}
