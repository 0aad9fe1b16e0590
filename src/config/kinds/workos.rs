//! `kind = "workos"`

use crate::config::Secret;
use crate::config::providers::optional_base;
use crate::config::rule::required_secret;
use crate::config::setting::settings;

settings! {
    /// `kind = "workos"`
    pub struct WorkosConfig {
        /// The environment's secret key.
        pub api_key: Secret = required_secret("set api_key or api_key_file to the secret key, sk_…"),
        /// Address of the API.
        pub base_url: Option<String> = optional_base().default("`https://api.workos.com`"),
    }
}
