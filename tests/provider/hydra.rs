//! `kind = "hydra"`: tokens at the public port, subjects at the administrative one.

use revocation_worker::config::{KindConfig, ProviderConfig, Verify};
use revocation_worker::outcome::{Proof, Verdict};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{TOKEN, calls, hydra, provider, session, subject, token};

const CONSENT: &str = "DELETE /admin/oauth2/auth/sessions/consent?subject=u+1%26all%3Dfalse&all=true";
const LOGIN: &str = "DELETE /admin/oauth2/auth/sessions/login?subject=u+1%26all%3Dfalse";

#[tokio::test]
async fn a_subject_loses_consents_with_their_tokens_then_logins() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let answer = provider(&hydra(idp.url())).revoke(&subject("u 1&all=false")).await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(calls(&idp), [CONSENT, LOGIN]);
    assert!(
        idp.ledger().iter().all(|request| request.header("authorization").is_none()),
        "the port knows no authentication"
    );
}

#[tokio::test]
async fn both_calls_are_made_again_where_either_fails() {
    for (failing, attempts) in
        [("consent", vec![CONSENT, CONSENT]), ("login", vec![CONSENT, LOGIN, CONSENT, LOGIN])]
    {
        let idp = ScriptedIdp::start(move |request| {
            Reply::status(if request.path.contains(failing) { 500 } else { 204 })
        })
        .await;
        let provider = provider(&hydra(idp.url()));
        for _ in 0..2 {
            let answer = provider.revoke(&subject("u 1&all=false")).await;
            assert_eq!(answer.verdict, Verdict::Transient);
            assert!(!answer.error.unwrap().contains("u+1"), "the subject stays out of error texts");
        }
        assert_eq!(calls(&idp), attempts);
    }
}

#[tokio::test]
async fn tokens_are_verified_at_the_administrative_port() {
    let (public, admin) = (
        ScriptedIdp::start(|_| Reply::status(200)).await,
        ScriptedIdp::start(|_| Reply::json(200, r#"{"active":true}"#)).await,
    );
    let mut config = ProviderConfig { verify: Verify::Introspect, ..hydra(public.url()) };
    if let KindConfig::Hydra(kind) = &mut config.kind {
        kind.admin_url = Some(admin.url().to_owned());
    }
    // Hydra answers 200 where it could not store the revocation.
    assert_eq!(provider(&config).revoke(&token(TOKEN, None)).await.verdict, Verdict::Contradicted);
    assert_eq!(calls(&public), ["POST /oauth2/revoke"]);
    assert_eq!(calls(&admin), ["POST /admin/oauth2/introspect"; 2]);
}

#[tokio::test]
async fn sessions_and_without_the_administrative_port_subjects_are_unsupported() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let mut config = hydra(idp.url());
    assert_eq!(provider(&config).revoke(&session("s")).await.verdict, Verdict::Unsupported);
    if let KindConfig::Hydra(kind) = &mut config.kind {
        kind.admin_url = None;
    }
    assert_eq!(provider(&config).revoke(&subject("u")).await.verdict, Verdict::Unsupported);
    assert_eq!(calls(&idp), [""; 0]);
}
