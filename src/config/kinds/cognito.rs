//! `kind = "cognito"`: a user pool of Amazon Cognito.

use super::client::{ClientConfig, client};
use crate::config::Secret;
use crate::config::providers::optional_base;
use crate::config::rule::{Rule, all_or_none, required, required_secret, secret};
use crate::config::section::Section;
use crate::config::setting::settings;

settings! {
    /// `kind = "cognito"`
    pub struct CognitoConfig {
        /// Address of the user pool's domain, for tokens; absent: tokens are unsupported.
        pub base_url: Option<String> = optional_base(),
        /// The app client whose refresh tokens are revoked.
        pub client: Option<ClientConfig> = client_for_tokens(),
        /// What users are signed out with; absent: subjects are unsupported.
        pub users: Option<CognitoUsersConfig> = all_or_none(),
        /// Address of Cognito's API, where it is another than AWS's own.
        pub api_url: Option<String> = optional_base().default("`https://cognito-idp.<region>.amazonaws.com`"),
    }
    check has_calls
}

settings! {
    /// An IAM identity that may sign users out.
    pub struct CognitoUsersConfig {
        /// The user pool's region. With it and the three settings below users are signed out; without any of
        /// them that is unsupported.
        pub region: String = required("give the region of the user pool, such as eu-west-1"),
        /// The user pool's id.
        pub user_pool_id: String = required("give the user pool's id, such as eu-west-1_AbCdEfGhI"),
        /// The id of an access key that has the right `cognito-idp:AdminUserGlobalSignOut`.
        pub access_key_id: String = required("give the id of an IAM access key"),
        /// The access key's secret.
        pub access_key_secret: Secret = required_secret("set access_key_secret or access_key_secret_file"),
        /// The session token of temporary credentials.
        pub session_token as "access_key_session_token": Option<Secret> = secret(),
    }
}

fn client_for_tokens() -> Rule<Option<ClientConfig>> {
    client().only_if(|section| section.has("base_url") || section.has("client_id"))
}

fn has_calls(cognito: &CognitoConfig, section: &mut Section<'_>) {
    match (&cognito.base_url, &cognito.client, &cognito.users) {
        (None, Some(_), _) => {
            section.missing("base_url", "give the address of the user pool's domain, for tokens");
        }
        (None, None, None) => {
            section.missing("base_url", "give it with a client for tokens, or region and the like for users");
        }
        _ => {}
    }
}
