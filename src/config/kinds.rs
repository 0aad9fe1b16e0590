//! `kind` of a provider and the settings that only it has.

use serde::Deserialize;

use super::Secret;

/// The settings of one provider kind.
pub enum KindConfig {
    /// `kind = "rfc7009"`
    Rfc7009(Rfc7009Config),
    /// `kind = "genauth"`
    Genauth(GenauthConfig),
    /// `kind = "baanx"`
    Baanx(BaanxConfig),
    /// `kind = "global_token_revocation"`
    GlobalTokenRevocation(GlobalTokenRevocationConfig),
    /// `kind = "keycloak"`
    Keycloak(KeycloakConfig),
    /// `kind = "okta"`
    Okta(OktaConfig),
    /// `kind = "hydra"`
    Hydra(HydraConfig),
}

/// `kind = "rfc7009"`
pub struct Rfc7009Config {
    /// `revocation_endpoint`; absent: discovered from `issuer`.
    pub revocation_endpoint: Option<String>,
    /// `introspection_endpoint`; absent: discovered from `issuer` where `verify = "introspect"`.
    pub introspection_endpoint: Option<String>,
    /// Client credentials.
    pub client: ClientConfig,
    /// `basic_encoding`: `rfc6749` (default) or `raw`.
    pub basic_encoding: BasicEncoding,
}

/// OAuth client credentials of a provider.
pub struct ClientConfig {
    /// `client_id`
    pub id: String,
    /// `client_secret`, `client_secret_file`; absent only with `client_auth = "none"`.
    pub secret: Option<Secret>,
    /// `client_auth`. Default: `client_secret_basic` (`genauth`: `client_secret_post`).
    pub auth: ClientAuth,
}

/// OAuth client authentication methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum ClientAuth {
    /// `client_secret_basic`
    #[serde(rename = "client_secret_basic")]
    SecretBasic,
    /// `client_secret_post`
    #[serde(rename = "client_secret_post")]
    SecretPost,
    /// `none`: a public client
    #[serde(rename = "none")]
    None,
}

/// How id and secret enter the `Authorization: Basic` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BasicEncoding {
    /// Form-encoded before base64 (RFC 6749 section 2.3.1).
    Rfc6749,
    /// As they are.
    Raw,
}

/// `kind = "genauth"`
pub struct GenauthConfig {
    /// `app_host`, such as `https://shop.genauth.ai`.
    pub app_host: String,
    /// `protocol`: `oidc` (default) or `oauth`.
    pub protocol: GenauthProtocol,
    /// `client_id` (the app id), `client_secret`, `client_auth`.
    pub client: ClientConfig,
    /// What whole users are logged out with. All of its settings or none; none: subjects are unsupported.
    pub management: Option<GenauthManagementConfig>,
}

/// The settings of kick-users, GenAuth's management call.
pub struct GenauthManagementConfig {
    /// `management_host`, such as `https://api.genauth.ai`.
    pub host: String,
    /// `access_key_id`
    pub access_key_id: String,
    /// `access_key_secret`, `access_key_secret_file`
    pub access_key_secret: Secret,
    /// `app_ids`: the applications that users are logged out of, 1 to 50.
    pub app_ids: Vec<String>,
    /// `user_id_type`: what the `sub` of events is. Default `user_id`.
    pub user_id_type: UserIdType,
}

/// The names that GenAuth gives to kinds of user ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserIdType {
    /// `user_id`
    UserId,
    /// `external_id`
    ExternalId,
    /// `phone`
    Phone,
    /// `email`
    Email,
    /// `username`
    Username,
    /// `identity`
    Identity,
    /// `sync_relation`
    SyncRelation,
    /// `custom_field`
    CustomField,
}

impl UserIdType {
    /// Its name on the wire, and as a setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserId => "user_id",
            Self::ExternalId => "external_id",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Username => "username",
            Self::Identity => "identity",
            Self::SyncRelation => "sync_relation",
            Self::CustomField => "custom_field",
        }
    }
}

/// The application protocol chosen in GenAuth's console; it decides the paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenauthProtocol {
    /// `/oidc/token/revocation`
    Oidc,
    /// `/oauth/token/revocation`
    Oauth,
}

/// `kind = "baanx"`
pub struct BaanxConfig {
    /// `base_url`, such as `https://dev.api.baanx.com`.
    pub base_url: String,
    /// `client_key`, `client_key_file`: the `x-client-key` header.
    pub client_key: Secret,
    /// `us_env`: the `x-us-env` header; absent: not sent.
    pub us_env: Option<bool>,
}

/// `kind = "global_token_revocation"` (draft-parecki-oauth-global-token-revocation)
pub struct GlobalTokenRevocationConfig {
    /// `global_token_revocation_endpoint`; absent: discovered from `issuer`.
    pub endpoint: Option<String>,
    /// `subject_format`; absent: `iss_sub` where the target or the provider has an issuer, else `opaque`.
    pub subject_format: Option<SubjectFormat>,
    /// `bearer_token`, or a client that is granted one.
    pub bearer: BearerConfig,
}

/// How `sub_id` names the user (RFC 9493 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectFormat {
    /// The target's `sub` as `id`.
    Opaque,
    /// The target's `sub`, and its `iss`, else the provider's `issuer`.
    IssSub,
    /// The target's `sub` as `email`.
    Email,
}

/// What administrative calls are authorized with.
pub enum BearerConfig {
    /// `bearer_token`, `bearer_token_file`
    Fixed(Secret),
    /// A token of the client's own.
    Granted(GrantConfig),
}

/// An OAuth client that asks for a token of its own (RFC 6749 section 4.4).
pub struct GrantConfig {
    /// `token_endpoint`
    pub token_endpoint: String,
    /// `client_id`, `client_secret`, `client_auth`
    pub client: ClientConfig,
    /// `scope`; absent: the server's default.
    pub scope: Option<String>,
}

/// `kind = "keycloak"`
pub struct KeycloakConfig {
    /// `base_url`, such as `https://id.example.com` (or `…/auth` for Keycloak 16 and older).
    pub base_url: String,
    /// `realm`
    pub realm: String,
    /// `client_id`, `client_secret`, `client_auth`: for sessions and subjects a service account with the role
    /// manage-users of realm-management.
    pub client: ClientConfig,
}

/// `kind = "okta"`
pub struct OktaConfig {
    /// `base_url` of the organisation, such as `https://example.okta.com`.
    pub base_url: String,
    /// `authorization_server_id`: a custom one, whose tokens are revoked; absent: the organisation's own.
    pub authorization_server_id: Option<String>,
    /// `client_id`, `client_secret`, `client_auth`; absent: tokens are unsupported.
    pub client: Option<ClientConfig>,
    /// `api_token`, `api_token_file`; absent: subjects are unsupported.
    pub api_token: Option<Secret>,
}

/// `kind = "hydra"`
pub struct HydraConfig {
    /// `base_url` of the public port.
    pub base_url: String,
    /// `client_id`, `client_secret`, `client_auth`
    pub client: ClientConfig,
    /// `admin_url` of the administrative port; absent: subjects are unsupported.
    pub admin_url: Option<String>,
}
