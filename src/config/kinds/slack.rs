//! `kind = "slack"`

use crate::config::providers::optional_base;
use crate::config::setting::settings;

settings! {
    /// `kind = "slack"`
    pub struct SlackConfig {
        /// Address of the API.
        pub base_url: Option<String> = optional_base().default("`https://slack.com`"),
    }
}
