//! `kind = "okta"`: tokens as an application, whole users by API token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use revocation_worker::config::{KindConfig, ProviderConfig};
use revocation_worker::outcome::{Proof, Verdict};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{TOKEN, calls, okta, provider, rfc7009, session, subject, token};

fn changed(base: &str, change: impl Fn(&mut revocation_worker::config::OktaConfig)) -> ProviderConfig {
    let mut config = okta(base);
    if let KindConfig::Okta(kind) = &mut config.kind {
        change(kind);
    }
    config
}

#[tokio::test]
async fn tokens_go_to_the_authorization_server_that_is_named() {
    for (id, path) in [(None, "/oauth2/v1/revoke"), (Some("aus/1"), "/oauth2/aus%2F1/v1/revoke")] {
        let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
        let config = changed(idp.url(), |kind| kind.authorization_server_id = id.map(str::to_owned));
        assert_eq!(
            provider(&config).revoke(&token(TOKEN, None)).await.verdict,
            Verdict::Done(Proof::Accepted)
        );
        assert_eq!(calls(&idp), [format!("POST {path}")]);
        let sent = &idp.ledger()[0];
        assert!(
            sent.header("authorization").unwrap().starts_with("Basic "),
            "the API token is not for tokens"
        );
    }
}

#[tokio::test]
async fn a_users_sessions_and_tokens_are_ended_in_one_call() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let answer = provider(&okta(idp.url())).revoke(&subject("a b@example.com")).await;
    assert_eq!((answer.verdict, answer.http_status), (Verdict::Done(Proof::Accepted), Some(204)));
    assert_eq!(calls(&idp), ["DELETE /api/v1/users/a%20b%40example.com/sessions?oauthTokens=true"]);
    let sent = &idp.ledger()[0];
    assert_eq!((sent.header("authorization"), sent.body.as_str()), (Some("SSWS api-token-1"), ""));
}

#[tokio::test]
async fn what_has_no_credentials_is_unsupported() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let tokens_only = provider(&changed(idp.url(), |kind| kind.api_token = None));
    let users_only = provider(&changed(idp.url(), |kind| kind.client = None));
    assert!(tokens_only.supports(&token(TOKEN, None)) && !tokens_only.supports(&subject("u")));
    assert!(!users_only.supports(&token(TOKEN, None)) && users_only.supports(&subject("u")));
    for (provider, target) in
        [(&tokens_only, subject("u")), (&users_only, token(TOKEN, None)), (&users_only, session("s"))]
    {
        assert_eq!(provider.revoke(&target).await.verdict, Verdict::Unsupported);
    }
    assert_eq!(calls(&idp), [""; 0]);
}

#[tokio::test]
async fn a_refused_api_token_is_asked_with_once() {
    let idp = ScriptedIdp::start(|_| {
        Reply::json(401, r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided"}"#)
    })
    .await;
    let answer = provider(&okta(idp.url())).revoke(&subject("u")).await;
    assert_eq!(answer.verdict, Verdict::Doubted);
    assert!(answer.error.unwrap().ends_with("answered 401 E0000011: Invalid token provided"));
    assert_eq!(calls(&idp).len(), 1);
}

#[tokio::test]
async fn the_reset_of_the_rate_limit_is_waited_for() {
    let in_a_minute = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    let idp = ScriptedIdp::start(move |request| {
        let limited = Reply::status(429).header("X-Rate-Limit-Reset", in_a_minute.as_secs().to_string());
        if request.path.starts_with("/oauth2") { limited.header("Retry-After", "5") } else { limited }
    })
    .await;
    let okta = provider(&okta(idp.url()));
    let answer = okta.revoke(&subject("u")).await;
    assert_eq!(answer.verdict, Verdict::Transient);
    assert!((50..=60).contains(&answer.retry_after.unwrap().as_secs()), "{:?}", answer.retry_after);
    assert_eq!(
        okta.revoke(&token(TOKEN, None)).await.retry_after,
        Some(Duration::from_secs(5)),
        "what is said outright counts"
    );
    // Others count seconds or milliseconds in a header of this name.
    assert_eq!(provider(&rfc7009(idp.url())).revoke(&token(TOKEN, None)).await.retry_after, None);
}

#[tokio::test]
async fn the_reset_counts_for_429_alone() {
    let idp = ScriptedIdp::start(|_| Reply::status(503).header("X-Rate-Limit-Reset", "4000000000")).await;
    assert_eq!(provider(&okta(idp.url())).revoke(&subject("u")).await.retry_after, None);
}
