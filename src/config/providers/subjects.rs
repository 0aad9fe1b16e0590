//! The settings of kinds and calls that end whole users.

use super::Reader;
use crate::config::raw::{RawProvider, Words};
use crate::config::{
    BearerConfig, ClientAuth, ClientConfig, GenauthManagementConfig, GlobalTokenRevocationConfig,
    GrantConfig, HydraConfig, KeycloakConfig, OktaConfig, Secret, UserIdType, Verify,
};

impl Reader<'_> {
    /// All of its settings or none.
    pub(super) fn genauth_management(&mut self) -> Option<GenauthManagementConfig> {
        if !manages(&self.raw) {
            return None;
        }
        let (host, id, apps) =
            (self.raw.management_host.take(), self.raw.access_key_id.take(), self.raw.app_ids.take());
        let host = self.base(
            "management_host",
            host,
            "give it with access_key_id, access_key_secret and app_ids, or remove those",
        );
        let id = self.text(
            "access_key_id",
            id,
            "give it with management_host, access_key_secret and app_ids, or remove those",
        );
        let secret = self.secret("access_key_secret", |raw| {
            (raw.access_key_secret.take(), raw.access_key_secret_file.take())
        });
        if secret.is_none() {
            self.missing(
                "access_key_secret",
                "set access_key_secret or access_key_secret_file, or remove management_host and the like",
            );
        }
        let app_ids = self.app_ids(apps);
        let user_id_type = self.raw.user_id_type.unwrap_or(UserIdType::UserId);
        Some(GenauthManagementConfig {
            host: host?,
            access_key_id: id?,
            access_key_secret: secret?,
            app_ids: app_ids?,
            user_id_type,
        })
    }

    fn app_ids(&mut self, given: Option<Words>) -> Option<Vec<String>> {
        const REMEDY: &str = "name 1 to 50 applications that users are logged out of";
        match given.map(|words| words.0) {
            None => self.missing("app_ids", REMEDY),
            Some(ids) if !(1..=50).contains(&ids.len()) || ids.iter().any(String::is_empty) => {
                self.refuse("app_ids", REMEDY)
            }
            ids => return ids,
        }
        None
    }

    pub(super) fn global_token_revocation(&mut self) -> Option<GlobalTokenRevocationConfig> {
        let endpoint = self.raw.global_token_revocation_endpoint.take();
        match (&endpoint, self.raw.issuer.clone()) {
            (Some(_), _) => {}
            (None, Some(issuer)) => drop(self.endpoint("issuer", issuer)),
            (None, None) => self.missing(
                "global_token_revocation_endpoint",
                "give its address, or set issuer to have it discovered",
            ),
        }
        let endpoint = endpoint.and_then(|url| self.endpoint("global_token_revocation_endpoint", url));
        Some(GlobalTokenRevocationConfig {
            endpoint,
            subject_format: self.raw.subject_format,
            bearer: self.bearer()?,
        })
    }

    /// A token that is given, or a client that is granted one; never both.
    fn bearer(&mut self) -> Option<BearerConfig> {
        let grants = self.raw.token_endpoint.is_some() || self.raw.client_id.is_some();
        let fixed = self.raw.bearer_token.is_some() || self.raw.bearer_token_file.is_some();
        match (fixed, grants) {
            (true, true) => self.refuse(
                "bearer_token",
                "given together with token_endpoint or client_id; keep one way to authorize",
            ),
            (true, false) => return self.fixed_bearer().map(BearerConfig::Fixed),
            (false, true) => return self.grant().map(BearerConfig::Granted),
            (false, false) => self.missing(
                "bearer_token",
                "set bearer_token or bearer_token_file, or token_endpoint and a client",
            ),
        }
        None
    }

    fn fixed_bearer(&mut self) -> Option<Secret> {
        for (key, is_given) in [
            ("scope", self.raw.scope.is_some()),
            ("client_auth", self.raw.client_auth.is_some()),
            ("client_secret", self.raw.client_secret.is_some() || self.raw.client_secret_file.is_some()),
        ] {
            if is_given {
                self.refuse(key, "without effect beside bearer_token; remove it");
            }
        }
        self.secret("bearer_token", |raw| (raw.bearer_token.take(), raw.bearer_token_file.take()))
    }

    fn grant(&mut self) -> Option<GrantConfig> {
        let (endpoint, scope) = (self.raw.token_endpoint.take(), self.raw.scope.take());
        let endpoint = self.text(
            "token_endpoint",
            endpoint,
            "give the address where the client is granted a token, or set bearer_token",
        );
        let token_endpoint = endpoint.and_then(|url| self.endpoint("token_endpoint", url));
        let client = self.confidential_client();
        Some(GrantConfig { token_endpoint: token_endpoint?, client: client?, scope })
    }

    fn confidential_client(&mut self) -> Option<ClientConfig> {
        if self.raw.client_auth == Some(ClientAuth::None) {
            self.refuse(
                "client_auth",
                "none is not enough: the client asks for a token of its own; use \
                client_secret_basic or _post",
            );
            return None;
        }
        self.client(ClientAuth::SecretBasic)
    }

    pub(super) fn keycloak(&mut self) -> Option<KeycloakConfig> {
        let (base_url, realm) = (self.raw.base_url.take(), self.raw.realm.take());
        let base_url =
            self.base("base_url", base_url, "give the server's address, such as https://id.example.com");
        let realm = self.text("realm", realm, "name the realm whose tokens are to be revoked");
        let client = self.confidential_client();
        Some(KeycloakConfig { base_url: base_url?, realm: realm?, client: client? })
    }

    /// A client for tokens, an API token for subjects; at least one of the two.
    pub(super) fn okta(&mut self) -> Option<OktaConfig> {
        let base_url = self.raw.base_url.take();
        let base_url = self.base(
            "base_url",
            base_url,
            "give the organisation's address, such as https://example.okta.com",
        );
        let api_token = self.secret("api_token", |raw| (raw.api_token.take(), raw.api_token_file.take()));
        let wants_client = api_token.is_none() || names_client(&self.raw);
        let client = if wants_client { Some(self.client(ClientAuth::SecretBasic)?) } else { None };
        let authorization_server_id = self.raw.authorization_server_id.take();
        Some(OktaConfig { base_url: base_url?, authorization_server_id, client, api_token })
    }

    pub(super) fn hydra(&mut self) -> Option<HydraConfig> {
        let (base_url, admin_url) = (self.raw.base_url.take(), self.raw.admin_url.take());
        let base_url =
            self.base("base_url", base_url, "give the public port's address, such as https://id.example.com");
        let client = self.client(ClientAuth::SecretBasic);
        let admin_url = match admin_url {
            None if self.raw.verify != Some(Verify::Introspect) => None,
            given => Some(self.base(
                "admin_url",
                given,
                "introspection is at the administrative port: give its address, or remove verify",
            )?),
        };
        Some(HydraConfig { base_url: base_url?, client: client?, admin_url })
    }
}

fn manages(raw: &RawProvider) -> bool {
    raw.management_host.is_some()
        || raw.access_key_id.is_some()
        || raw.access_key_secret.is_some()
        || raw.access_key_secret_file.is_some()
        || raw.app_ids.is_some()
        || raw.user_id_type.is_some()
}

/// Whether anything is given that only revoking tokens has a use for.
fn names_client(raw: &RawProvider) -> bool {
    raw.client_id.is_some()
        || raw.client_secret.is_some()
        || raw.client_secret_file.is_some()
        || raw.client_auth.is_some()
        || raw.authorization_server_id.is_some()
        || raw.verify == Some(Verify::Introspect)
}
