//! A worker dies, or freezes, at each step of an event: another ends what it began, and the record has
//! neither hole nor double.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use revocation_worker::failpoint;

use crate::harness::{App, Feed, Logout, Stage, eventually};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

const EVENTS: usize = 5;

macro_rules! killed_at {
    ($($test:ident: $place:literal, $nth:literal;)*) => {
        const COVERED: &[&str] = &[$($place),*];
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                dies_at(&format!("{}:{}", $place, $nth)).await;
            }
        )*
    };
}

// Places that are passed once a batch are passed at least once, the others once an event or target.
killed_at! {
    killed_when_an_event_is_received: "received", 3;
    killed_when_an_event_is_parsed: "parsed", 3;
    killed_when_an_event_is_denied: "denied", 3;
    killed_when_events_are_committed: "committed", 1;
    killed_when_an_event_is_acked: "acked", 3;
    killed_when_a_target_is_claimed: "claimed", 4;
    killed_before_a_request_is_sent: "sent", 4;
    killed_when_the_provider_has_answered: "responded", 4;
    killed_when_the_confirmation_is_published: "confirmed", 1;
    killed_when_results_are_recorded: "recorded", 1;
}

#[test]
fn every_failpoint_has_its_test() {
    assert_eq!(COVERED, failpoint::NAMES);
}

async fn dies_at(place: &str) {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    let mut doomed = setup.clone().set("KILL_AT", place).start().await;
    let (feed, app, logouts) =
        (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await, Logout::many(EVENTS));
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    assert_eq!(doomed.ended().await.signal(), Some(9), "killed at {place}");

    let mut heir = setup.start().await;
    stage.all_revoked(&logouts, &memory).await;
    stage.all_announced(&feed, &logouts).await;

    let before = stage.snapshot().await;
    let known = heir.metric("revocation_events_duplicate_total").await;
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    let all = known + EVENTS as f64;
    eventually("the same events again are known", async || {
        (heir.metric("revocation_events_duplicate_total").await == all).then_some(())
    })
    .await;
    assert!(heir.stop().await.success());
    assert_eq!(stage.snapshot().await, before, "an event delivered again changes nothing");
    stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_commit_and_ack_of_events_of_one_identity() {
    for place in ["committed:1", "denied:2", "acked:1"] {
        let (stage, memory) = (Stage::new().await, Memory::default());
        let idp = memory.serve().await;
        let setup = stage.worker(&format!("{}/revoke", idp.url()));
        let mut doomed = setup.clone().set("KILL_AT", place).start().await;
        let variants: Vec<_> =
            Logout::many(4).into_iter().map(|logout| Logout { id: "1".to_owned(), ..logout }).collect();
        let app = App::connect(&stage.amqp_url).await;
        for logout in &variants {
            app.publish(&logout.event()).await;
        }
        assert_eq!(doomed.ended().await.signal(), Some(9), "killed at {place}");
        let mut heir = setup.start().await;
        stage.all_revoked(&variants, &memory).await;
        assert_eq!(stage.count("revocation.events_as_given WHERE id = '1' AND identity_reused").await, 3);
        assert!(heir.stop().await.success());
        stage.queues_are_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_workers_late_answer_is_kept_and_overwrites_nothing() {
    let stage = Stage::new().await;
    let idp = {
        // Those of the refresh token: the heir may call for the access token before it.
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let is_refresh = |hint: Option<String>| hint.as_deref() == Some("refresh_token");
        ScriptedIdp::start(move |request| {
            if !is_refresh(request.field("token_type_hint")) {
                return Reply::status(200);
            }
            match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Reply::status(503),
                // Slow enough for the late answer to arrive while this attempt is under way.
                1 => Reply::status(200).body(vec![b'.'; 150]).slowly(Duration::from_millis(100)),
                _ => Reply::status(200),
            }
        })
        .await
    };
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__PROVIDERS__MAIN__TIMEOUT", "60s");
    let frozen = setup.clone().set("PAUSE_AT", "responded:1").start().await;
    let logout = &Logout::many(1)[0];
    App::connect(&stage.amqp_url).await.publish(&logout.event()).await;
    frozen.frozen().await;

    let _heir = setup.start().await;
    let held =
        "revocation.targets WHERE token_type_hint = 'refresh_token' AND lease_owner = 2 AND attempts = 2";
    stage.wait_for_count(1, held).await;
    frozen.signal("CONT");
    stage
        .wait_for_count(
            1,
            "revocation.attempts WHERE worker_no = 1 AND attempt = 1 AND answered AND http_status = 503",
        )
        .await;
    assert_eq!(stage.count(held).await, 1, "the heir's attempt goes on");
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL").await;
    assert_eq!(
        stage.count("revocation.attempts WHERE worker_no = 1 AND attempt = 1 AND NOT answered").await,
        2,
        "closed at the takeover"
    );
    let refresh =
        "audit.attempts JOIN audit.revocations USING (revocation_id) WHERE token_type_hint = 'refresh_token'";
    assert_eq!(
        stage.count(&format!("{refresh} AND attempt = 1 AND outcome = 'transient'")).await,
        1,
        "the answer came after all"
    );
    assert_eq!(stage.count(&format!("{refresh} AND attempt = 2 AND outcome = 'revoked'")).await, 1);
    stage.is_whole(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_too_late_is_no_revocation_on_record() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    let frozen = setup.clone().set("PAUSE_AT", "responded:1").start().await;
    App::connect(&stage.amqp_url).await.publish(&Logout::many(1)[0].event()).await;
    frozen.frozen().await;

    let heir = setup.start().await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked'").await;
    frozen.signal("CONT");
    frozen.wait_for_log(r#""superseded":true"#).await;
    let revocations = "revocation_revocation_seconds_count";
    eventually("the heir's are counted", async || (heir.metric(revocations).await == 2.0).then_some(()))
        .await;
    assert_eq!(frozen.metric(revocations).await, 0.0, "neither of them is on record by this worker");
    let calls = r#"revocation_attempts_total{provider="main",outcome="revoked"}"#;
    assert!(frozen.metric(calls).await >= 1.0, "its calls were made");
}
