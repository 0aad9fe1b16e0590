//! `kind = "fusionauth"`

use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::required_secret;
use crate::config::setting::settings;

settings! {
    /// `kind = "fusionauth"`
    pub struct FusionauthConfig {
        /// Address of the server.
        pub base_url: String = base("give the server's address, such as https://id.example.com"),
        /// An API key that may `DELETE /api/jwt/refresh`.
        pub api_key: Secret = required_secret("set api_key or api_key_file"),
    }
}
