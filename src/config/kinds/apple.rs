//! `kind = "apple"`: Sign in with Apple.

use crate::config::Secret;
use crate::config::providers::optional_base;
use crate::config::rule::{required, required_secret};
use crate::config::setting::settings;

settings! {
    /// `kind = "apple"`
    pub struct AppleConfig {
        /// Address of Apple's server.
        pub base_url: Option<String> = optional_base().default("`https://appleid.apple.com`"),
        /// The app's bundle id or services id.
        pub client_id: String = required("give the app's bundle id or services id"),
        /// The developer team's id.
        pub team_id: String = required("give the ten characters of the developer team's id"),
        /// The private key that Apple made for Sign in with Apple, a `.p8` file.
        pub key as "client_private_key": Secret =
            required_secret("set client_private_key or client_private_key_file to the .p8 file"),
        /// That key's id.
        pub key_id as "client_key_id": String = required("give the ten characters of the key's id"),
    }
}
