//! What a verifier makes of an `iat` that lies ahead of its clock.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use revocation_verifier::{StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::{Entry, Envelope, HEARTBEAT_KEY, HEARTBEAT_TYPE, Heartbeat};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::harness::{Stage, eventually};
use crate::source::{Source, holds, verifier};

#[tokio::test(flavor = "multi_thread")]
async fn the_feeds_time_keeps_a_slow_clock_from_locking_anybody_out() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, None).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailOpen);
    let (now, hour) = (OffsetDateTime::now_utc(), Duration::hours(1));
    let (subject_claims, claims_iss) = (Vec::new(), None);
    let cutoff = Entry::Subject {
        iss: None,
        sub: "s".to_owned(),
        subject_claims,
        claims_iss,
        not_before: now,
        expires_at: now + 2 * hour,
    };
    source.deny(vec![cutoff]).await;
    holds(&denylist, 1).await;
    let claims = json!({ "iss": "https://id.example.com", "sub": "s", "iat": (now + hour).unix_timestamp() })
        .to_string();
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let is_denied = || matches!(denylist.check(&TokenView::bearer(&token)), Verdict::Denied(_));
    assert!(is_denied(), "by its own clock the token comes from the future");
    assert_eq!(denylist.issued_in_the_future(), [("https://id.example.com".to_owned(), 1)]);
    assert_eq!(denylist.figures().future_iat, 1);

    // To a verifier that is an hour slow, every worker's beat looks like this.
    let mut beat = Envelope::new(
        "/revocation-worker/right",
        HEARTBEAT_TYPE,
        Heartbeat { instance: "right".to_owned(), progress: None },
    );
    beat.time = now + hour;
    source.publish_bytes(HEARTBEAT_KEY, &beat.to_json()).await;
    eventually("it takes the feed's time for the better one", async || (!is_denied()).then_some(())).await;
}
