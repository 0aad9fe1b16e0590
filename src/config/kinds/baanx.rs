//! `kind = "baanx"`

use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::{optional, required_secret};
use crate::config::setting::settings;

settings! {
    /// `kind = "baanx"`
    pub struct BaanxConfig {
        /// Address of the API.
        pub base_url: String = base("give the API's address, such as https://dev.api.baanx.com"),
        /// The header `x-client-key`.
        pub client_key: Secret =
            required_secret("set client_key or client_key_file to the public key that Baanx gave you"),
        /// The header `x-us-env`; absent: not sent.
        pub us_env: Option<bool> = optional(),
    }
}
