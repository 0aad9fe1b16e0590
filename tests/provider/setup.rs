//! Settings that no client can be built from are refused by name.

use std::path::PathBuf;
use std::sync::Arc;

use revocation_worker::config::{
    BearerConfig, ClientAuth, GenauthProtocol, GlobalTokenRevocationConfig, HydraConfig, KeycloakConfig,
    KindConfig, OktaConfig, ProviderConfig, Rfc7009Config, Secret, Verify,
};
use revocation_worker::provider::Provider;

use crate::settings::{baanx, client, config, genauth, oauth_server, rfc7009, secret};

const HOST: &str = "https://id.example.com";

fn refusal(config: &ProviderConfig) -> String {
    match Provider::new(Arc::from("main"), config) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

fn server(change: impl Fn(&mut Rfc7009Config)) -> ProviderConfig {
    let mut kind = oauth_server();
    kind.revocation_endpoint = Some(format!("{HOST}/revoke"));
    change(&mut kind);
    config(KindConfig::Rfc7009(kind))
}

#[test]
fn the_refusal_names_the_setting() {
    let mut key = baanx(HOST);
    if let KindConfig::Baanx(kind) = &mut key.kind {
        kind.client_key = Secret::new("a\nb".to_owned());
    }
    let rows = [
        (server(|kind| kind.client.secret = None), "providers.main.client_secret: "),
        (server(|kind| kind.revocation_endpoint = None), "providers.main.revocation_endpoint: "),
        (
            server(|kind| kind.revocation_endpoint = Some("http://id.example.com/".to_owned())),
            "providers.main.revocation_endpoint: ",
        ),
        (
            server(|kind| kind.introspection_endpoint = Some("id.example.com".to_owned())),
            "providers.main.introspection_endpoint: ",
        ),
        (
            ProviderConfig { verify: Verify::Introspect, ..server(|_| ()) },
            "providers.main.introspection_endpoint: ",
        ),
        (
            ProviderConfig {
                issuer: Some("http://id.example.com".to_owned()),
                ..server(|kind| kind.revocation_endpoint = None)
            },
            "providers.main.issuer: ",
        ),
        (
            genauth("http://shop.genauth.ai", GenauthProtocol::Oidc, ClientAuth::None),
            "providers.main.app_host: ",
        ),
        (
            genauth("https://shop.genauth.ai/?x=1", GenauthProtocol::Oidc, ClientAuth::None),
            "providers.main.app_host: ",
        ),
        (baanx("ftp://dev.api.baanx.com"), "providers.main.base_url: "),
        (key, "providers.main.client_key: "),
        (ProviderConfig { verify: Verify::Introspect, ..baanx(HOST) }, "providers.main.verify: "),
        (
            ProviderConfig { ca_file: Some(PathBuf::from("/nonexistent/ca.pem")), ..rfc7009(HOST) },
            "providers.main.ca_file: ",
        ),
        (
            ProviderConfig { ca_file: Some(PathBuf::from("Cargo.toml")), ..rfc7009(HOST) },
            "providers.main.ca_file: ",
        ),
    ];
    for (config, start) in rows {
        let refusal = refusal(&config);
        assert!(refusal.starts_with(start), "{refusal}");
    }
}

#[test]
fn the_refusal_names_the_setting_of_administrative_calls() {
    let text = |text: &str| text.to_owned();
    let (server, unsent) = (|| client(ClientAuth::SecretBasic), "a\nb");
    let keycloak = |base: &str, realm: &str| {
        config(KindConfig::Keycloak(KeycloakConfig {
            base_url: text(base),
            realm: text(realm),
            client: server(),
        }))
    };
    let okta = |id: Option<&str>, token: &str| {
        let (client, api_token) = (Some(server()), Some(secret(token)));
        config(KindConfig::Okta(OktaConfig {
            base_url: text(HOST),
            authorization_server_id: id.map(text),
            client,
            api_token,
            service: None,
        }))
    };
    let hydra = |admin: Option<&str>| {
        config(KindConfig::Hydra(HydraConfig {
            base_url: text(HOST),
            client: server(),
            admin_url: admin.map(text),
        }))
    };
    let global = |endpoint: Option<&str>, token: &str| {
        let (endpoint, bearer) = (endpoint.map(text), BearerConfig::Fixed(secret(token)));
        config(KindConfig::GlobalTokenRevocation(GlobalTokenRevocationConfig {
            endpoint,
            subject_format: None,
            bearer,
        }))
    };
    let verifying = |config| ProviderConfig { verify: Verify::Introspect, ..config };
    let rows = [
        (keycloak("http://id.example.com", "shop"), "base_url"),
        (keycloak(HOST, ""), "realm"),
        (okta(None, unsent), "api_token"),
        (okta(Some(".."), "t"), "authorization_server_id"),
        (hydra(Some("http://hydra.example.com")), "admin_url"),
        (verifying(hydra(None)), "verify"),
        (verifying(global(Some(HOST), "t")), "verify"),
        (global(Some(HOST), unsent), "bearer_token"),
        (global(None, "t"), "global_token_revocation_endpoint"),
        (global(Some("http://id.example.com"), "t"), "global_token_revocation_endpoint"),
    ];
    for (config, setting) in rows {
        let refusal = refusal(&config);
        assert!(refusal.starts_with(&format!("providers.main.{setting}: ")), "{refusal}");
    }
}

#[test]
fn plain_http_is_for_loopback_or_by_leave() {
    let elsewhere = "http://id.example.com";
    assert!(Provider::new(Arc::from("main"), &rfc7009("http://127.0.0.1:1")).is_ok());
    assert!(
        Provider::new(Arc::from("main"), &ProviderConfig { allow_http: true, ..rfc7009(elsewhere) }).is_ok()
    );
    assert!(refusal(&rfc7009(elsewhere)).contains("allow_http"));
}

#[test]
fn the_name_is_kept() {
    let provider = Provider::new(Arc::from("main"), &rfc7009(HOST)).ok().unwrap();
    assert_eq!(provider.name().as_ref(), "main");
}
