//! `kind = "authentik"`

use super::client::{ClientConfig, confidential_client};
use crate::config::providers::base;
use crate::config::setting::settings;

settings! {
    /// `kind = "authentik"`
    pub struct AuthentikConfig {
        /// Address of the server.
        pub base_url: String = base("give the server's address, such as https://id.example.com"),
        /// The application whose tokens are revoked.
        pub client: ClientConfig = confidential_client(),
    }
}
