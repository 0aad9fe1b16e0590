//! `kind = "keycloak"`

use super::client::{ClientConfig, confidential_client};
use crate::config::providers::base;
use crate::config::rule::required;
use crate::config::setting::settings;

settings! {
    /// `kind = "keycloak"`
    pub struct KeycloakConfig {
        /// Address of the server, such as `https://id.example.com` (or `…/auth` for Keycloak 16 and older).
        pub base_url: String = base("give the server's address, such as https://id.example.com"),
        /// The realm.
        pub realm: String = required("name the realm whose tokens are to be revoked"),
        /// For sessions and subjects a service account with the role manage-users of realm-management.
        pub client: ClientConfig = confidential_client(),
    }
}
