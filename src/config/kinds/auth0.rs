//! `kind = "auth0"`

use super::client::{ClientConfig, client, posting};
use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::{Rule, all_or_none, optional, required, required_secret};
use crate::config::section::Section;
use crate::config::setting::{Settings, settings};

settings! {
    /// `kind = "auth0"`
    pub struct Auth0Config {
        /// Address of the tenant, or of its custom domain.
        pub base_url: String = base("give the tenant's address, such as https://example.eu.auth0.com"),
        /// An application, whose refresh tokens are revoked; absent: tokens are unsupported.
        pub client: Option<ClientConfig> = client_for_tokens(),
        /// An application that may use the management API; absent: sessions and subjects are unsupported.
        pub management: Option<Auth0ManagementConfig> = all_or_none(),
    }
    check has_calls
}

settings! {
    /// An application that may use Auth0's management API.
    pub struct Auth0ManagementConfig {
        /// The id of an application that has the management API's scopes `delete:sessions` and
        /// `delete:refresh_tokens`. With it sessions and users are ended; without it that is unsupported.
        pub client_id as "management_client_id": String =
            required("give it with management_client_secret, or remove that"),
        /// Its secret.
        pub client_secret as "management_client_secret": Secret = required_secret(
            "set management_client_secret or management_client_secret_file, or remove management_client_id",
        ),
        /// The management API's identifier, which has the tenant's own domain even where `base_url` has
        /// another.
        pub audience as "management_audience": Option<String> =
            optional().default("`base_url` and `/api/v2/`"),
    }
}

fn client_for_tokens() -> Rule<Option<ClientConfig>> {
    client().then(posting).only_if(|section| ClientConfig::rows().iter().any(|row| section.has(row.key)))
}

fn has_calls(auth0: &Auth0Config, section: &mut Section<'_>) {
    if auth0.client.is_none() && auth0.management.is_none() {
        let remedy = "give a client_id for tokens, or a management_client_id for sessions and users";
        section.missing("client_id", remedy);
    }
}
