//! `kind = "genauth"`: GenAuth, formerly Authing.

use super::client::{ClientConfig, client, posting};
use crate::config::Secret;
use crate::config::providers::base;
use crate::config::rule::{Rule, all_or_none, choice, optional, required, required_secret};
use crate::config::setting::{choices, settings};

settings! {
    /// `kind = "genauth"`
    pub struct GenauthConfig {
        /// Address of the application.
        pub app_host: String = base("give the application's address, such as https://shop.genauth.ai"),
        /// The application protocol that was chosen in GenAuth's console; it decides the paths.
        pub protocol: GenauthProtocol = choice(GenauthProtocol::Oidc),
        /// The app id, its secret, and how they are sent.
        pub client: ClientConfig = client().then(posting),
        /// What whole users are logged out with. All of its settings or none; none: subjects are unsupported.
        pub management: Option<GenauthManagementConfig> = all_or_none(),
    }
}

settings! {
    /// The settings of kick-users, GenAuth's management call.
    pub struct GenauthManagementConfig {
        /// Address of the management API, such as `https://api.genauth.ai`. With it and the four settings
        /// below whole users are logged out; without any of them that is unsupported.
        pub host as "management_host": String =
            base("give it with access_key_id, access_key_secret and app_ids, or remove those"),
        /// The access key's id.
        pub access_key_id: String =
            required("give it with management_host, access_key_secret and app_ids, or remove those"),
        /// The access key's secret.
        pub access_key_secret: Secret = required_secret(
            "set access_key_secret or access_key_secret_file, or remove management_host and the like",
        ),
        /// The applications that users are logged out of, 1 to 50.
        pub app_ids: Vec<String> = app_ids(),
        /// What the `sub` of events is.
        pub user_id_type: UserIdType = choice(UserIdType::UserId),
    }
}

choices! {
    /// The application protocol chosen in GenAuth's console; it decides the paths.
    pub enum GenauthProtocol {
        /// `/oidc/token/revocation`
        Oidc = "oidc",
        /// `/oauth/token/revocation`
        Oauth = "oauth",
    }
}

choices! {
    /// The names that GenAuth gives to kinds of user ids, on the wire as in settings.
    pub enum UserIdType {
        /// `user_id`
        UserId = "user_id",
        /// `external_id`
        ExternalId = "external_id",
        /// `phone`
        Phone = "phone",
        /// `email`
        Email = "email",
        /// `username`
        Username = "username",
        /// `identity`
        Identity = "identity",
        /// `sync_relation`
        SyncRelation = "sync_relation",
        /// `custom_field`
        CustomField = "custom_field",
    }
}

fn app_ids() -> Rule<Vec<String>> {
    const REMEDY: &str = "name 1 to 50 applications that users are logged out of";
    optional::<Vec<String>>().default("no default").then(|given, key, section| {
        match &given {
            None => section.missing(key, REMEDY),
            Some(ids) if !(1..=50).contains(&ids.len()) || ids.iter().any(String::is_empty) => {
                section.refuse(key, REMEDY);
            }
            Some(_) => {}
        }
        given.unwrap_or_default()
    })
}
