//! `kind = "github"`

use super::client::{ClientAuth, ClientConfig, confidential_client};
use crate::config::providers::optional_base;
use crate::config::rule::{Rule, choice};
use crate::config::setting::{choices, settings};

settings! {
    /// `kind = "github"`
    pub struct GithubConfig {
        /// Address of the API; GitHub Enterprise Server has it at `/api/v3`.
        pub base_url: Option<String> = optional_base().default("`https://api.github.com`"),
        /// The OAuth app or GitHub App whose tokens are revoked.
        pub client: ClientConfig = app(),
        /// What a token's revocation ends.
        pub revokes as "github_revokes": GithubRevokes = choice(GithubRevokes::Token),
    }
}

choices! {
    /// What a token's revocation ends.
    pub enum GithubRevokes {
        /// That token.
        Token = "token",
        /// The user's authorization of the app, with all of its tokens.
        Grant = "grant",
    }
}

fn app() -> Rule<ClientConfig> {
    confidential_client().then(|client, _, section| {
        if !matches!(client.auth, ClientAuth::SecretBasic) {
            section.unless_refused("client_auth", "GitHub knows client_secret_basic alone; remove it");
        }
        client
    })
}
