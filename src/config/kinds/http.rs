//! `kind = "http"`: a provider whose calls are declared in the settings alone.

mod call;

pub use call::{HttpCallConfig, HttpListConfig, HttpMethod, HttpProbeConfig, JsonTemplate};

use super::client::{ClientConfig, client};
use crate::config::Secret;
use crate::config::providers::endpoint;
use crate::config::rule::{Rule, optional, optional_section, secret};
use crate::config::section::Section;
use crate::config::setting::{choices, settings};

settings! {
    /// `kind = "http"`
    pub struct HttpConfig {
        /// What `{client_id}`, `{client_secret}` and `{basic}` stand for, or who is granted `{granted}`.
        pub client: Option<ClientConfig> = known_client(),
        /// What `{api_key}` stands for.
        pub api_key: Option<Secret> = secret(),
        /// Where the client is granted what `{granted}` stands for.
        pub token_endpoint: Option<String> = endpoint(),
        /// What it is granted for.
        pub scope: Option<String> = optional().default("what the server chooses"),
        /// The one type of tokens that `token` revokes; the other is unsupported.
        pub only as "only_tokens": Option<HttpTokens> = optional().default("both"),
        /// The call that revokes a token; without it tokens are unsupported. `docs/http-kind.md` has recipes.
        pub token: Option<HttpCallConfig> = optional_section(),
        /// The call that ends a session; without it sessions are unsupported.
        pub session: Option<HttpCallConfig> = optional_section(),
        /// The call that ends everything of a user; without it, and without `sessions`, subjects are
        /// unsupported.
        pub subject: Option<HttpCallConfig> = optional_section(),
        /// The call that ends all that a client was given; without it clients are unsupported.
        pub of_client as "client": Option<HttpCallConfig> = optional_section(),
        /// Where a user's sessions are listed: each is ended by `session`, until none is listed.
        pub sessions: Option<HttpListConfig> = optional_section(),
        /// A call that names no target and changes nothing, which shows whether the credentials are good.
        pub probe: Option<HttpProbeConfig> = optional_section(),
    }
    check fits
}

choices! {
    /// A type of tokens.
    pub enum HttpTokens {
        /// `access_token`
        Access = "access_token",
        /// `refresh_token`
        Refresh = "refresh_token",
    }
}

/// A client is there where any of its settings is.
fn known_client() -> Rule<Option<ClientConfig>> {
    client().only_if(|section| {
        let of_client = ["client_id", "client_secret", "client_auth", "client_private_key", "token_endpoint"];
        of_client.iter().any(|key| section.has(key))
    })
}

fn fits(http: &HttpConfig, section: &mut Section<'_>) {
    if !["token", "session", "subject", "client", "sessions"].iter().any(|key| section.has(key)) {
        section.missing("token", "declare at least one call: token, session, subject, client or sessions");
    }
    if http.sessions.is_some() && http.subject.is_some() {
        section.refuse("sessions", "given together with subject, which ends all of a user; keep one");
    }
    if http.sessions.is_some() && !section.has("session") {
        section.missing("session", "declare the call that ends each session that sessions lists");
    }
    if section.has("only_tokens") && !section.has("token") {
        section.refuse("only_tokens", "without effect where no token call is declared; remove it");
    }
    if section.has("scope") && !section.has("token_endpoint") {
        section.refuse("scope", "without effect where there is no token_endpoint; remove it");
    }
}
