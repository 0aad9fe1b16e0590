//! `kind = "global_token_revocation"`.

use revocation_worker::config::{
    BearerConfig, ClientAuth, GlobalTokenRevocationConfig, GrantConfig, KindConfig, ProviderConfig,
    SubjectFormat,
};
use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::provider::Probed;
use revocation_worker::target::{Scope, Target};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{TOKEN, calls, client, global_token_revocation, provider, session, subject, token};

fn changed(config: ProviderConfig, change: impl Fn(&mut GlobalTokenRevocationConfig)) -> ProviderConfig {
    let mut config = config;
    if let KindConfig::GlobalTokenRevocation(kind) = &mut config.kind {
        change(kind);
    }
    config
}

#[tokio::test]
async fn the_user_is_named_in_the_format_that_is_set() {
    let issuer = Some("https://id.example.com".to_owned());
    let rows = [
        (None, None, r#"{"sub_id":{"format":"opaque","id":"u\"1"}}"#),
        (
            None,
            issuer.clone(),
            r#"{"sub_id":{"format":"iss_sub","iss":"https://id.example.com","sub":"u\"1"}}"#,
        ),
        (Some(SubjectFormat::Opaque), issuer, r#"{"sub_id":{"format":"opaque","id":"u\"1"}}"#),
        (Some(SubjectFormat::Email), None, r#"{"sub_id":{"email":"u\"1","format":"email"}}"#),
    ];
    for (format, issuer, body) in rows {
        let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
        let config = changed(global_token_revocation(idp.url()), |kind| kind.subject_format = format);
        let answer = provider(&ProviderConfig { issuer, ..config }).revoke(&subject("u\"1")).await;
        assert_eq!((answer.verdict, answer.http_status), (Verdict::Done(Proof::Accepted), Some(204)));
        let sent = &idp.ledger()[0];
        assert_eq!(
            (sent.method.as_str(), sent.path.as_str(), sent.body.as_str()),
            ("POST", "/global-token-revocation", body)
        );
        assert_eq!(
            (sent.header("authorization"), sent.header("content-type")),
            (Some("Bearer fixed-bearer"), Some("application/json"))
        );
    }
}

#[tokio::test]
async fn the_targets_issuer_goes_before_the_providers() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let config =
        ProviderConfig { issuer: Some("https://a".to_owned()), ..global_token_revocation(idp.url()) };
    provider(&config).revoke(&Target { iss: Some("https://b".to_owned()), ..subject("u") }).await;
    assert_eq!(idp.ledger()[0].body, r#"{"sub_id":{"format":"iss_sub","iss":"https://b","sub":"u"}}"#);
}

#[tokio::test]
async fn a_user_that_cannot_be_named_is_refused_without_a_call() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let config =
        changed(global_token_revocation(idp.url()), |kind| kind.subject_format = Some(SubjectFormat::IssSub));
    assert_eq!(provider(&config).revoke(&subject("u")).await.verdict, Verdict::Refused);
    assert_eq!(idp.ledger().len(), 0);
}

#[tokio::test]
async fn a_client_is_granted_the_bearer() {
    let idp = ScriptedIdp::start(|request| match request.path.as_str() {
        "/token" => {
            Reply::json(200, r#"{"access_token":"granted","token_type":"Bearer","expires_in":"300"}"#)
        }
        _ => Reply::status(204),
    })
    .await;
    let token_endpoint = format!("{}/token", idp.url());
    let config = changed(global_token_revocation(idp.url()), |kind| {
        let (client, scope) = (client(ClientAuth::SecretPost), Some("global revoke".to_owned()));
        kind.bearer =
            BearerConfig::Granted(GrantConfig { token_endpoint: token_endpoint.clone(), client, scope });
    });
    let provider = provider(&config);
    for _ in 0..2 {
        assert_eq!(provider.revoke(&subject("u")).await.verdict, Verdict::Done(Proof::Accepted));
    }
    assert_eq!(
        calls(&idp),
        ["POST /token", "POST /global-token-revocation", "POST /global-token-revocation"]
    );
    let form = "client_id=APP%2FID&client_secret=s%25c%3A%2B%2F%3D&grant_type=client_credentials&scope=global+revoke";
    assert_eq!(idp.ledger()[0].body, form);
    assert_eq!(idp.ledger()[1].header("authorization"), Some("Bearer granted"));
}

#[tokio::test]
async fn the_endpoint_is_found_in_the_issuers_metadata_and_read_again_after_a_failure() {
    let idp = ScriptedIdp::start(|request| match request.path.as_str() {
        "/.well-known/openid-configuration" => {
            let base = format!("http://{}", request.header("host").unwrap());
            Reply::json(
                200,
                format!(r#"{{"issuer":"{base}","global_token_revocation_endpoint":"{base}/gtr"}}"#),
            )
        }
        _ => Reply::status(403),
    })
    .await;
    let config = changed(global_token_revocation(idp.url()), |kind| kind.endpoint = None);
    let provider = provider(&ProviderConfig { issuer: Some(idp.url().to_owned()), ..config });
    for _ in 0..2 {
        assert_eq!(provider.revoke(&subject("u")).await.verdict, Verdict::Doubted);
        assert!(matches!(provider.try_credentials(Scope::Wide).await, Some(Probed::Refused { .. })));
    }
    let (metadata, order) = ("GET /.well-known/openid-configuration", "POST /gtr");
    assert_eq!(calls(&idp), [metadata, order, order, metadata, order, order]);
    let sentence = provider.probe().await.unwrap_err();
    assert!(
        sentence.starts_with(&format!(
            "POST {}/gtr answered 403; check the endpoint, the bearer and its scope",
            idp.url()
        )),
        "{sentence}"
    );
}

#[tokio::test]
async fn only_subjects_are_supported() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let provider = provider(&global_token_revocation(idp.url()));
    for target in [token(TOKEN, None), session("s")] {
        assert!(!provider.supports(&target));
        assert_eq!(provider.revoke(&target).await.verdict, Verdict::Unsupported);
    }
    assert_eq!(idp.ledger().len(), 0);
}
