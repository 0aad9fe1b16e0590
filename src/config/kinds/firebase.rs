//! `kind = "firebase"`: Firebase Authentication and Identity Platform.

use crate::config::Secret;
use crate::config::providers::optional_base;
use crate::config::rule::{optional, required_secret};
use crate::config::setting::settings;

settings! {
    /// `kind = "firebase"`
    pub struct FirebaseConfig {
        /// The key of a service account that may change users, as the JSON file that Google gives.
        pub service_account: Secret =
            required_secret("set service_account_file to the JSON file with the service account's key"),
        /// The project whose users are meant.
        pub project_id: Option<String> = optional().default("that of the service account"),
        /// Address of the Identity Toolkit API.
        pub base_url: Option<String> = optional_base().default("`https://identitytoolkit.googleapis.com`"),
    }
}
