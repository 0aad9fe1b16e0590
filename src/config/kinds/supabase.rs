//! `kind = "supabase"`

use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::{choice, required_secret};
use crate::config::setting::{choices, settings};

settings! {
    /// `kind = "supabase"`
    pub struct SupabaseConfig {
        /// Address of the project.
        pub base_url: String = base("give the project's address, such as https://example.supabase.co"),
        /// The project's publishable key, the header `apikey`.
        pub api_key: Secret = required_secret("set api_key or api_key_file to the project's publishable key"),
        /// What an access token ends: its own session, or all of its user's.
        pub scope as "logout_scope": LogoutScope = choice(LogoutScope::Local),
    }
}

choices! {
    /// What an access token ends.
    pub enum LogoutScope {
        /// Its session.
        Local = "local",
        /// Every session of its user.
        Global = "global",
    }
}
