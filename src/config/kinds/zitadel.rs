//! `kind = "zitadel"`

use super::client::{ClientConfig, client};
use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::{Rule, flag, secret};
use crate::config::section::Section;
use crate::config::setting::{Settings, settings};

settings! {
    /// `kind = "zitadel"`
    pub struct ZitadelConfig {
        /// Address of the instance.
        pub base_url: String = base("give the instance's address, such as https://example.zitadel.cloud"),
        /// The application whose tokens are revoked; absent: tokens are unsupported.
        pub client: Option<ClientConfig> = client_for_tokens(),
        /// A token of a service user with the permission `session.delete`; absent: sessions are unsupported.
        pub api_token: Option<Secret> = secret(),
        /// Whether a user is ended session by session, as Zitadel lists them. Only where `api_token` has
        /// `session.read` for all users, too: sessions that it may not see are left out of the list, and
        /// would be taken for ended.
        pub list_sessions: bool = flag(false),
    }
    check has_calls
}

fn client_for_tokens() -> Rule<Option<ClientConfig>> {
    client().only_if(|section| ClientConfig::rows().iter().any(|row| section.has(row.key)))
}

fn has_calls(zitadel: &ZitadelConfig, section: &mut Section<'_>) {
    if zitadel.client.is_none() && zitadel.api_token.is_none() {
        section.missing("client_id", "give a client_id for tokens, or an api_token for sessions");
    }
    if zitadel.list_sessions && zitadel.api_token.is_none() {
        section.missing("api_token", "give it, or leave out list_sessions");
    }
}
