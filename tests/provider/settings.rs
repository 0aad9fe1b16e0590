//! Settings and targets for the tests of this folder.

use std::sync::Arc;
use std::time::Duration;

use revocation_worker::config::{
    AssertionConfig, BaanxConfig, BasicEncoding, BearerConfig, ClaimNames, ClientAuth, ClientConfig,
    DiscoveryConfig, GenauthConfig, GenauthManagementConfig, GenauthProtocol, GlobalTokenRevocationConfig,
    HydraConfig, IdentityConfig, KeycloakConfig, KindConfig, OktaConfig, ProviderConfig, Rfc7009Config,
    Secret, UserIdType, Verify,
};
use revocation_worker::outcome::Answer;
use revocation_worker::provider::Provider;
use revocation_worker::target::{PresentedToken, Selector, Target, Token, TokenIssuer, TokenTypeHint};
use time::OffsetDateTime;

use crate::scripted_idp::ScriptedIdp;

/// The credentials of the wire captures: each character that encodings disagree on.
pub(crate) const CLIENT_ID: &str = "APP/ID";
pub(crate) const CLIENT_SECRET: &str = "s%c:+/=";
pub(crate) const TOKEN: &str = "tok+/=1";

/// A provider of `kind` with room to change what a test is about.
pub(crate) fn config(kind: KindConfig) -> ProviderConfig {
    ProviderConfig {
        issuer: None,
        claims: ClaimNames::default(),
        token_ttl: Duration::from_secs(3600),
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        concurrency: 4,
        rate_per_s: None,
        retry_after_max: Duration::from_secs(86_400),
        allow_http: false,
        ca_file: None,
        identity: IdentityConfig::default(),
        discovery: DiscoveryConfig::default(),
        verify: Verify::Off,
        kind,
    }
}

/// An OAuth client with the captures' credentials.
pub(crate) fn client(auth: ClientAuth) -> ClientConfig {
    let secret = (auth != ClientAuth::None).then(|| Secret::new(CLIENT_SECRET.to_owned()));
    ClientConfig { id: CLIENT_ID.to_owned(), secret, auth, assertion: AssertionConfig::default() }
}

/// `kind = "rfc7009"` without endpoints.
pub(crate) fn oauth_server() -> Rfc7009Config {
    Rfc7009Config {
        revocation_endpoint: None,
        introspection_endpoint: None,
        client: client(ClientAuth::SecretBasic),
        basic_encoding: BasicEncoding::Rfc6749,
    }
}

/// `kind = "rfc7009"` with its endpoints under `base`.
pub(crate) fn rfc7009(base: &str) -> ProviderConfig {
    config(KindConfig::Rfc7009(Rfc7009Config {
        revocation_endpoint: Some(format!("{base}/revoke")),
        introspection_endpoint: Some(format!("{base}/introspect")),
        ..oauth_server()
    }))
}

/// `kind = "genauth"`.
pub(crate) fn genauth(base: &str, protocol: GenauthProtocol, auth: ClientAuth) -> ProviderConfig {
    config(KindConfig::Genauth(GenauthConfig {
        app_host: base.to_owned(),
        protocol,
        client: client(auth),
        management: None,
    }))
}

/// `kind = "baanx"`.
pub(crate) fn baanx(base: &str) -> ProviderConfig {
    let client_key = Secret::new("public-key-1".to_owned());
    config(KindConfig::Baanx(BaanxConfig { base_url: base.to_owned(), client_key, us_env: None }))
}

/// `kind = "genauth"` that can log users out; the management API has the same host.
pub(crate) fn kicking(base: &str) -> ProviderConfig {
    let management = GenauthManagementConfig {
        host: base.to_owned(),
        access_key_id: "key-1".to_owned(),
        access_key_secret: secret(CLIENT_SECRET),
        app_ids: vec!["app-1".to_owned(), "app-2".to_owned()],
        user_id_type: UserIdType::UserId,
    };
    let client = client(ClientAuth::SecretPost);
    let management = Some(management);
    config(KindConfig::Genauth(GenauthConfig {
        app_host: base.to_owned(),
        protocol: GenauthProtocol::Oidc,
        client,
        management,
    }))
}

/// `kind = "global_token_revocation"` with a bearer of its own.
pub(crate) fn global_token_revocation(base: &str) -> ProviderConfig {
    let endpoint = Some(format!("{base}/global-token-revocation"));
    let bearer = BearerConfig::Fixed(secret("fixed-bearer"));
    config(KindConfig::GlobalTokenRevocation(GlobalTokenRevocationConfig {
        endpoint,
        subject_format: None,
        bearer,
    }))
}

/// `kind = "keycloak"`.
pub(crate) fn keycloak(base: &str) -> ProviderConfig {
    let client = client(ClientAuth::SecretBasic);
    config(KindConfig::Keycloak(KeycloakConfig {
        base_url: base.to_owned(),
        realm: "shop".to_owned(),
        client,
    }))
}

/// `kind = "okta"` for tokens and users.
pub(crate) fn okta(base: &str) -> ProviderConfig {
    let (client, api_token) = (Some(client(ClientAuth::SecretBasic)), Some(secret("api-token-1")));
    config(KindConfig::Okta(OktaConfig {
        base_url: base.to_owned(),
        authorization_server_id: None,
        client,
        api_token,
        service: None,
    }))
}

/// `kind = "hydra"` whose both ports are one.
pub(crate) fn hydra(base: &str) -> ProviderConfig {
    let client = client(ClientAuth::SecretBasic);
    config(KindConfig::Hydra(HydraConfig {
        base_url: base.to_owned(),
        client,
        admin_url: Some(base.to_owned()),
    }))
}

/// A secret setting.
pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// The provider `main`.
pub(crate) fn provider(config: &ProviderConfig) -> Provider {
    Provider::new(Arc::from("main"), config).expect("valid settings")
}

/// A token target.
pub(crate) fn token(raw: &str, hint: Option<TokenTypeHint>) -> Target {
    let token = Token::new(raw.to_owned());
    let fingerprint = token.fingerprint();
    target(Selector::Token(PresentedToken {
        token,
        fingerprint,
        signed: None,
        hint,
        jti: None,
        jti_iss: TokenIssuer::NotSaid,
        expires_at: None,
    }))
}

/// A target of any kind.
pub(crate) fn target(selector: Selector) -> Target {
    let deny_until = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    Target {
        provider: Arc::from("main"),
        selector,
        sub: None,
        sid: None,
        client_id: None,
        iss: None,
        deny_until,
    }
}

/// A user.
pub(crate) fn subject(sub: &str) -> Target {
    Target { sub: Some(sub.to_owned()), ..target(Selector::Subject) }
}

/// A client.
pub(crate) fn client_of(client_id: &str) -> Target {
    Target { client_id: Some(client_id.to_owned()), ..target(Selector::Client) }
}

/// A session.
pub(crate) fn session(sid: &str) -> Target {
    Target { sid: Some(sid.to_owned()), ..target(Selector::Session) }
}

/// Method and path of every request so far.
pub(crate) fn calls(idp: &ScriptedIdp) -> Vec<String> {
    idp.ledger().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// One attempt at an access token.
pub(crate) async fn revoke(config: &ProviderConfig) -> Answer {
    provider(config).revoke(&token(TOKEN, Some(TokenTypeHint::AccessToken))).await
}
