//! What a verifier makes of clocks that differ: its own, the workers', the issuers', the broker's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use revocation_verifier::{Denylist, Options, StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::{Entry, Envelope, HEARTBEAT_KEY, HEARTBEAT_TYPE, Heartbeat, TYPE};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::harness::clocks::faked;
use crate::harness::{Stage, eventually};
use crate::source::{Source, again_and_again, denial, holds, verifier};

fn beat_at(time: OffsetDateTime) -> Vec<u8> {
    let beat = Heartbeat { instance: "right".to_owned(), progress: None };
    Envelope::at(time, "/revocation-worker/right", HEARTBEAT_TYPE, beat).to_json()
}

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
    source.publish_bytes(HEARTBEAT_KEY, &beat_at(now + hour)).await;
    eventually("it takes the feed's time for the better one", async || (!is_denied()).then_some(())).await;
}

/// Verifiers ask the broker for what it wrote since a time. It is 700 s behind everybody else, and more would
/// only leave out more.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_whose_clock_is_behind_hides_nothing() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, None).await;
    let now = || OffsetDateTime::now_utc() + Duration::seconds(700);
    for token in ["first", "second"] {
        let data = json!({ "phase": "requested", "provider": "main", "targets": [denial(token)] });
        let message = Envelope::at(now(), "/revocation-worker/right", TYPE, data);
        source.publish_bytes("invalidation.main.token", &message.to_json()).await;
    }
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "clocks::with_everybodys_clock", "--ignored"]).env("BROKER", &stage.amqp_url);
    child.envs(faked()).env("FAKETIME", "+700");
    let beat = async || source.publish_bytes(HEARTBEAT_KEY, &beat_at(now())).await;
    let output = again_and_again(beat, child.output()).await.expect("start it");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the one above, with another clock"]
async fn with_everybodys_clock() {
    let amqp_url = std::env::var("BROKER").expect("a broker");
    let options = Options::new(&*amqp_url, "shop-api", StalenessPolicy::FailClosed)
        .max_token_lifetime(std::time::Duration::from_secs(60));
    let denylist = Denylist::connect(options).expect("usable options");
    eventually("it is up to date", async || denylist.staleness().is_none().then_some(())).await;
    for token in ["first", "second"] {
        assert!(matches!(denylist.check(&TokenView::bearer(token)), Verdict::Denied(_)), "{token}");
    }
    assert_eq!(denylist.figures().truncations, 0);
}
