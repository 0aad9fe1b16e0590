//! A verifier knows when it cannot vouch for its answer, and does as its owner chose.

use std::time::Instant;

use revocation_verifier::{Denial, Staleness, StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::{Envelope, HEARTBEAT_KEY, HEARTBEAT_TYPE, Heartbeat, TYPE};
use revocation_worker::target::Kind;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::door::Door;
use crate::harness::{Stage, eventually};
use crate::source::{Source, denial, holds, verifier};

#[tokio::test(flavor = "multi_thread")]
async fn three_seconds_without_a_heartbeat_are_silence() {
    let stage = Stage::alone().await;
    let source = Source::declare(&stage.amqp_url, None).await;
    let (open, closed) = (
        verifier(&stage.amqp_url, StalenessPolicy::FailOpen),
        verifier(&stage.amqp_url, StalenessPolicy::FailClosed),
    );
    let token = TokenView::bearer("live");
    source.deny(vec![denial("dead")]).await;
    source
        .beating(eventually("both are up to date", async || {
            (open.staleness().or(closed.staleness()).is_none()).then_some(())
        }))
        .await;
    assert_eq!([open.check(&token), closed.check(&token)], [Verdict::Allowed; 2]);

    let last_beat = Instant::now();
    source.beat().await;
    eventually("both notice the silence", async || {
        (open.staleness().is_some() && closed.staleness().is_some()).then_some(())
    })
    .await;
    let noticed = last_beat.elapsed().as_secs_f64();
    assert!((2.5..4.5).contains(&noticed), "noticed after {noticed} s");
    let why = Staleness::Silent;
    assert_eq!(open.check(&token), Verdict::Stale { accepted: true, why });
    assert_eq!(closed.check(&token), Verdict::Stale { accepted: false, why });
    let dead = TokenView::bearer("dead");
    assert_eq!(
        [open.check(&dead), closed.check(&dead)],
        [Verdict::Denied(Denial::Revoked(Kind::Token)); 2],
        "what is known stays denied"
    );
    assert_eq!([open.figures().stale_accepted, closed.figures().stale_refused], [1, 1]);
    assert_eq!([open.figures().stale_refused, closed.figures().stale_accepted], [0, 0]);

    source
        .beating(eventually("both are up to date again", async || {
            (open.staleness().or(closed.staleness()).is_none()).then_some(())
        }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_heartbeat_vouches_for_nothing() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, None).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    denylist.ready().await;
    let mut late = Envelope::new(
        "/revocation-worker/late",
        HEARTBEAT_TYPE,
        Heartbeat { instance: "late".to_owned(), progress: None },
    );
    late.time = OffsetDateTime::now_utc() - time::Duration::seconds(10);
    source.publish_bytes(HEARTBEAT_KEY, &late.to_json()).await;
    eventually("it sees that it is behind", async || {
        (denylist.staleness() == Some(Staleness::Behind)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_noticed_and_mended() {
    let stage = Stage::new().await;
    let (source, door) = (Source::declare(&stage.amqp_url, None).await, Door::before(&stage.amqp_url).await);
    let denylist = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailOpen);
    let is_fresh = || eventually("it is up to date", async || denylist.staleness().is_none().then_some(()));
    source.beating(is_fresh()).await;
    door.shut();
    source
        .beating(eventually("it notices", async || {
            (denylist.staleness() == Some(Staleness::Disconnected)).then_some(())
        }))
        .await;
    door.open();
    source.beating(is_fresh()).await;
    assert!(denylist.figures().disconnects > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_nothing_is_vouched_for() {
    let denylist = verifier("amqp://127.0.0.1:1/%2f", StalenessPolicy::FailClosed);
    eventually("it has tried", async || (denylist.figures().disconnects > 1).then_some(())).await;
    assert_eq!(
        denylist.check(&TokenView::bearer("any")),
        Verdict::Stale { accepted: false, why: Staleness::Disconnected }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_spoils_nothing_else() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, None).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    let known = serde_json::to_value(denial("dead")).expect("JSON");
    let message = |kind: &str, data: Value| {
        json!({
            "specversion": "1.0", "id": "x", "source": "/other", "type": kind,
            "time": "2026-11-20T22:30:00Z", "data": data,
        })
        .to_string()
    };
    let bodies = [
        "not JSON".to_owned(),
        "{}".to_owned(),
        message("auth.invalidation.v9", json!({ "targets": 7 })),
        message(TYPE, json!({ "targets": "none" })),
        message(
            TYPE,
            json!({
                "phase": "later",
                "targets": [
                    { "kind": "device", "device": "d" },
                    known,
                    { "kind": "token", "token_sha256": "short", "expires_at": "2099-01-01T00:00:00Z" },
                ],
            }),
        ),
    ];
    for body in &bodies {
        source.publish_bytes("invalidation.main.token", body.as_bytes()).await;
    }
    holds(&denylist, 1).await;
    eventually("all are read", async || (denylist.figures().applied == 5).then_some(())).await;
    assert_eq!(denylist.figures().unreadable, 5, "three messages and two entries");
    assert!(matches!(denylist.check(&TokenView::bearer("dead")), Verdict::Denied(_)));
}
