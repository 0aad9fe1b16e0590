//! `[providers.<name>]` of every kind.

use super::*;
use crate::config::kinds::{listed, words};

#[test]
fn defaults_of_a_provider() {
    let config = load(&format!("{BASE}{MAIN}"));
    let provider = &config.providers["main"];
    assert_eq!(
        (provider.token_ttl, provider.connect_timeout, provider.timeout),
        (seconds(30 * 86_400), seconds(3), seconds(10))
    );
    assert_eq!((provider.concurrency, provider.allow_http, provider.verify), (32, false, Verify::Off));
    assert_eq!((provider.rate_per_s, provider.retry_after_max), (None, seconds(86_400)));
    let KindConfig::Rfc7009(rfc7009) = &provider.kind else { panic!("wrong kind") };
    assert_eq!(rfc7009.revocation_endpoint.as_deref(), Some("https://id.example.com/revoke"));
    assert_eq!(
        (rfc7009.client.auth, rfc7009.basic_encoding),
        (ClientAuth::SecretBasic, BasicEncoding::Rfc6749)
    );
    assert!(rfc7009.client.secret.as_ref().is_some_and(|secret| secret.expose() == "shop-secret"));
}

#[test]
fn genauth_and_baanx() {
    let config = load(&format!(
        r#"{BASE}
        [providers.shop]
        kind = "genauth"
        app_host = "https://shop.genauth.ai/"
        client_id = "app"
        client_secret = "s"
        [providers.legacy]
        kind = "genauth"
        app_host = "http://127.0.0.1:8080"
        protocol = "oauth"
        client_id = "app"
        client_secret = "s"
        client_auth = "client_secret_basic"
        [providers.card]
        kind = "baanx"
        base_url = "https://dev.api.baanx.com"
        client_key = "k"
        us_env = true
        "#
    ));
    let KindConfig::Genauth(shop) = &config.providers["shop"].kind else { panic!("wrong kind") };
    assert_eq!((shop.app_host.as_str(), shop.protocol), ("https://shop.genauth.ai", GenauthProtocol::Oidc));
    assert_eq!(shop.client.auth, ClientAuth::SecretPost);
    let KindConfig::Genauth(legacy) = &config.providers["legacy"].kind else { panic!("wrong kind") };
    assert_eq!((legacy.protocol, legacy.client.auth), (GenauthProtocol::Oauth, ClientAuth::SecretBasic));
    let KindConfig::Baanx(card) = &config.providers["card"].kind else { panic!("wrong kind") };
    assert_eq!((card.base_url.as_str(), card.us_env), ("https://dev.api.baanx.com", Some(true)));
}

#[test]
fn providers_of_users() {
    let config = load(&format!(
        r#"{BASE}
        [providers.shop]
        kind = "genauth"
        app_host = "https://shop.genauth.ai"
        client_id = "app"
        client_secret = "s"
        management_host = "https://api.genauth.ai/"
        access_key_id = "k"
        access_key_secret = "ks"
        app_ids = "a, b"
        rate_per_s = 20
        retry_after_max = "10m"
        [providers.sso]
        kind = "keycloak"
        base_url = "https://id.example.com/"
        realm = "shop"
        client_id = "worker"
        client_secret = "s"
        [providers.staff]
        kind = "okta"
        base_url = "https://example.okta.com"
        api_token = "t"
        [providers.partner]
        kind = "global_token_revocation"
        issuer = "https://partner.example.com"
        subject_format = "email"
        bearer_token = "t"
        [providers.machines]
        kind = "hydra"
        base_url = "https://hydra.example.com"
        client_id = "worker"
        client_auth = "none"
        "#
    ));
    let KindConfig::Genauth(shop) = &config.providers["shop"].kind else { panic!("wrong kind") };
    let management = shop.management.as_ref().unwrap();
    assert_eq!(
        (management.host.as_str(), management.access_key_id.as_str()),
        ("https://api.genauth.ai", "k")
    );
    assert_eq!(
        (management.app_ids.as_slice(), management.user_id_type),
        (["a", "b"].map(str::to_owned).as_slice(), UserIdType::UserId)
    );
    assert_eq!((config.providers["shop"].rate_per_s, config.providers["sso"].rate_per_s), (Some(20), None));
    assert_eq!(
        ["shop", "sso"].map(|name| config.providers[name].retry_after_max),
        [seconds(600), seconds(86_400)]
    );
    let KindConfig::Keycloak(sso) = &config.providers["sso"].kind else { panic!("wrong kind") };
    assert_eq!(
        (sso.base_url.as_str(), sso.realm.as_str(), sso.client.auth),
        ("https://id.example.com", "shop", ClientAuth::SecretBasic)
    );
    let KindConfig::Okta(staff) = &config.providers["staff"].kind else { panic!("wrong kind") };
    assert!(staff.client.is_none() && staff.api_token.is_some());
    let KindConfig::GlobalTokenRevocation(partner) = &config.providers["partner"].kind else {
        panic!("wrong kind")
    };
    assert_eq!((partner.endpoint.as_deref(), partner.subject_format), (None, Some(SubjectFormat::Email)));
    let KindConfig::Hydra(machines) = &config.providers["machines"].kind else { panic!("wrong kind") };
    assert_eq!((machines.client.auth, machines.admin_url.as_deref()), (ClientAuth::None, None));
}

#[test]
fn every_kind_is_offered_and_stands_on_its_page() {
    let page = include_str!("../../../../docs/providers.md");
    let offered = listed(&words(), "or").replace(" or ", ", ");
    let refusal = problems(&format!("{BASE}\n[providers.main]\nkind = 'x'"), &[]).join("\n");
    let known: Vec<&str> = refusal.split('`').skip(1).step_by(2).collect();
    assert_eq!(offered.split(", ").collect::<Vec<_>>(), known, "{refusal}");
    for kind in known {
        assert!(page.contains(&format!("\n| `{kind}`")), "{kind} has no row in docs/providers.md");
    }
}

#[test]
fn discovery_and_public_clients() {
    let config = load(&format!(
        r#"{BASE}
        [providers.main]
        kind = "rfc7009"
        issuer = "https://id.example.com"
        verify = "introspect"
        client_id = "spa"
        client_auth = "none"
        timeout = "2s"
        "#
    ));
    let provider = &config.providers["main"];
    assert_eq!(provider.verify, Verify::Introspect);
    assert_eq!(provider.connect_timeout, seconds(2), "it never exceeds the whole timeout");
    let KindConfig::Rfc7009(rfc7009) = &provider.kind else { panic!("wrong kind") };
    assert!(rfc7009.revocation_endpoint.is_none() && rfc7009.client.secret.is_none());
}

#[test]
fn origins_of_discovery() {
    let main = |lines: &str| {
        load(&format!(
            "{BASE}\n[providers.main]\nkind = 'rfc7009'\nclient_id = 'a'\nclient_secret = 'b'\n{lines}"
        ))
    };
    let origins = |lines: &str| main(lines).providers["main"].discovery.origins.clone();
    let google = "issuer = 'https://accounts.google.com'";
    assert_eq!(origins("issuer = 'https://id.example.com'"), [""; 0]);
    assert_eq!(origins(google), ["https://oauth2.googleapis.com"]);
    let more = format!(
        "{google}\ndiscovery_origins = ['https://a.example.com/', \
            'https://b.example.com:8443']\nallow_private_addresses = true"
    );
    assert_eq!(
        origins(&more),
        ["https://oauth2.googleapis.com", "https://a.example.com", "https://b.example.com:8443"]
    );
    assert!(
        main(&more).providers["main"].discovery.allow_private_addresses
            && !main(google).providers["main"].discovery.allow_private_addresses
    );
}
