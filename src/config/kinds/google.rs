//! `kind = "google"`

use crate::config::providers::optional_base;
use crate::config::setting::settings;

settings! {
    /// `kind = "google"`
    pub struct GoogleConfig {
        /// Address of Google's OAuth server.
        pub base_url: Option<String> = optional_base().default("`https://oauth2.googleapis.com`"),
    }
}
