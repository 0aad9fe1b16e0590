//! `check` reaches every provider and changes nothing there.

use revocation_worker::config::{ClientAuth, GenauthProtocol, KindConfig, ProviderConfig, Verify};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{
    baanx, calls, config, genauth, global_token_revocation, hydra, keycloak, kicking, oauth_server, okta, provider, rfc7009,
};

#[tokio::test]
async fn a_host_that_answers_anything_is_reached_without_touching_an_endpoint() {
    let idp = ScriptedIdp::start(|_| Reply::status(404)).await;
    for config in [rfc7009(idp.url()), genauth(idp.url(), GenauthProtocol::Oidc, ClientAuth::None), baanx(idp.url())] {
        let sentence = provider(&config).probe().await.unwrap();
        assert!(sentence.starts_with(&format!("HEAD {}/ answered 404", idp.url())), "{sentence}");
    }
    for request in idp.ledger() {
        assert_eq!((request.method.as_str(), request.path.as_str(), request.header("authorization")), ("HEAD", "/", None));
    }
}

#[tokio::test]
async fn metadata_is_read_where_endpoints_come_from_it() {
    let idp = ScriptedIdp::start(|request| {
        let base = format!("http://{}", request.header("host").unwrap());
        Reply::json(200, format!(r#"{{"issuer":"{base}","revocation_endpoint":"{base}/revoke"}}"#))
    })
    .await;
    let discovering = |verify| ProviderConfig { issuer: Some(idp.url().to_owned()), verify, ..config(KindConfig::Rfc7009(oauth_server())) };
    let sentence = provider(&discovering(Verify::Off)).probe().await.unwrap();
    assert_eq!(sentence, format!("metadata of {0} names revocation_endpoint {0}/revoke", idp.url()));
    let sentence = provider(&discovering(Verify::Introspect)).probe().await.unwrap_err();
    assert!(sentence.contains("introspection_endpoint is not in it"), "{sentence}");
    assert!(idp.ledger().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn each_host_of_a_provider_is_reached_once() {
    let (public, admin) = (ScriptedIdp::start(|_| Reply::status(404)).await, ScriptedIdp::start(|_| Reply::status(200)).await);
    let mut config = hydra(public.url());
    if let KindConfig::Hydra(kind) = &mut config.kind {
        kind.admin_url = Some(admin.url().to_owned());
    }
    let sentence = provider(&config).probe().await.unwrap();
    assert!(sentence.contains(&format!("HEAD {}/ answered 404", public.url())), "{sentence}");
    assert!(sentence.contains(&format!("; HEAD {}/ answered 200", admin.url())), "{sentence}");
    for config in [keycloak(public.url()), okta(public.url()), kicking(public.url()), global_token_revocation(public.url())] {
        let before = public.ledger().len();
        provider(&config).probe().await.unwrap();
        assert_eq!(calls(&public)[before..], ["HEAD /"]);
    }
    assert_eq!(calls(&admin), ["HEAD /"]);
    drop(admin);
    assert!(provider(&config).probe().await.is_err());
}

#[tokio::test]
async fn a_host_that_is_away_is_said_to_be_so() {
    let idp = ScriptedIdp::start(|_| Reply::close()).await;
    let sentence = provider(&rfc7009(idp.url())).probe().await.unwrap_err();
    assert!(sentence.starts_with(&format!("HEAD {}/ failed: ", idp.url())), "{sentence}");
}
