//! One logout, from event to audit row.

use revocation_worker::invalidation::Phase;
use revocation_worker::target::Token;

use crate::harness::{App, CANARY, Feed, Stage, canary_token, logout};
use crate::scripted_idp::Memory;

#[tokio::test(flavor = "multi_thread")]
async fn both_tokens_die_everywhere_and_the_record_tells_it() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let (access, refresh) = (canary_token(), canary_token());

    App::connect(&stage.amqp_url).await.publish(&logout("1", &access, &refresh)).await;

    let requested = feed.wait_for(Phase::Requested, "1").await;
    assert_eq!(requested.routing_key, "invalidation.main.token");
    assert_eq!(requested.data.targets.len(), 2);
    feed.wait_for(Phase::Confirmed, "1").await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL AND \
        denied_at IS NOT NULL",
        )
        .await;
    assert!(memory.is_revoked(&access) && memory.is_revoked(&refresh));
    let ledger = idp.ledger();
    let order: Vec<_> =
        ledger.iter().map(|request| request.field("token_type_hint").expect("a hint")).collect();
    assert_eq!(order, ["refresh_token", "access_token"], "refresh tokens are revoked first, each once");
    let mut digests: Vec<_> =
        [access, refresh].map(|token| Token::new(token).fingerprint().to_string()).into();
    digests.sort_unstable();
    assert_eq!(feed.digests(Phase::Requested), digests);
    assert_eq!(feed.digests(Phase::Confirmed), digests);
    assert_eq!(stage.count("audit.attempts WHERE outcome = 'revoked' AND http_status = 200").await, 2);
    assert_eq!(stage.count("revocation.targets WHERE sealed IS NOT NULL").await, 0);
    assert!(worker.stop().await.success());
    assert!(!worker.log().contains(r#""level":"ERROR""#), "a clean day has no error, its end included");
    let log = worker.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let calls: Vec<_> = lines.filter(|line| line["message"] == "target").collect();
    assert_eq!(calls.len(), 2);
    assert!(
        calls.iter().all(|call| call["duration_ms"].is_u64() && call["attempt"].is_number()),
        "{calls:?}"
    );
    assert!(!worker.log().contains(CANARY), "no token in the log");
    assert!(!worker.log().contains("shop-secret-canary"), "no secret in the log");
}
