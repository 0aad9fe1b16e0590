//! `kind = "clerk"`

use crate::config::Secret;
use crate::config::providers::optional_base;
use crate::config::rule::{optional, required_secret};
use crate::config::setting::settings;

settings! {
    /// `kind = "clerk"`
    pub struct ClerkConfig {
        /// The instance's secret key.
        pub api_key: Secret = required_secret("set api_key or api_key_file to the secret key, sk_…"),
        /// The id of an OAuth application, whose tokens are revoked; absent: tokens are unsupported.
        pub oauth_application_id: Option<String> = optional(),
        /// Address of the backend API.
        pub base_url: Option<String> = optional_base().default("`https://api.clerk.com`"),
    }
}
