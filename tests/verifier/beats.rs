//! Heartbeats beside the log: what they name must have been read.

use std::time::{Duration, Instant};

use revocation_verifier::{Denylist, Staleness, StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::{BEATS_STREAM, EXCHANGE, HEARTBEAT_KEY, MARK_KEY, STREAM};
use serde_json::json;
use time::OffsetDateTime;

use crate::door::Door;
use crate::harness::{App, Feed, Operator, Setup, Stage, canary_token, eventually, logout};
use crate::source::{Source, denial, holds, verifier};

async fn is_fresh(denylist: &Denylist) {
    eventually("it is up to date", async || denylist.staleness().is_none().then_some(())).await;
}

async fn is_behind(denylist: &Denylist) {
    eventually("it is behind", async || (denylist.staleness() == Some(Staleness::Behind)).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_heartbeat_names_must_have_been_read() {
    let stage = Stage::new().await;
    let source = Source::declare_apart(&stage.amqp_url).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    let now = OffsetDateTime::now_utc();
    source.deny_as("a", 1, denial("t1")).await;
    source.naming("a", 1, now, is_fresh(&denylist)).await;
    source.naming("a", 2, now, is_behind(&denylist)).await;
    source.naming("b", 0, now, is_behind(&denylist)).await;
    source.deny_as("a", 2, denial("t2")).await;
    // An attempt that failed leaves a gap.
    source.deny_as("a", 4, denial("t3")).await;
    source.naming("a", 4, now, is_fresh(&denylist)).await;
    let denied = || matches!(denylist.check(&TokenView::bearer("t3")), Verdict::Denied(_)).then_some(());
    source.naming("a", 4, now, eventually("the token behind the gap is denied", async || denied())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_publisher_that_is_not_known_the_time_counts() {
    let stage = Stage::new().await;
    let source = Source::declare_apart(&stage.amqp_url).await;
    source.deny(vec![denial("t")]).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    let now = OffsetDateTime::now_utc();
    source.naming("of old", 9, now - Duration::from_secs(3700), is_fresh(&denylist)).await;
    source.naming("of today", 9, now - Duration::from_secs(60), is_behind(&denylist)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_names_nothing_counts_in_the_log_alone() {
    let stage = Stage::new().await;
    let source = Source::declare_apart(&stage.amqp_url).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    denylist.ready().await;
    let silent = eventually("it goes on being silent", async || {
        (denylist.staleness() == Some(Staleness::Silent)).then_some(Instant::now())
    });
    source.beating(silent).await;
    for _ in 0..5 {
        source.beat().await;
        assert_eq!(denylist.staleness(), Some(Staleness::Silent));
    }
    source.bind(STREAM, EXCHANGE, HEARTBEAT_KEY).await;
    source.beating(is_fresh(&denylist)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_gets_only_heartbeats_is_noticed_by_those_who_read_nothing_else() {
    let stage = Stage::new().await;
    let source = Source::declare_apart(&stage.amqp_url).await;
    source.delete(BEATS_STREAM).await;
    source.bind(STREAM, EXCHANGE, HEARTBEAT_KEY).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    let now = OffsetDateTime::now_utc();
    source.deny_as("a", 1, denial("t1")).await;
    source.naming("a", 1, now, is_fresh(&denylist)).await;
    source.naming("a", 2, now, is_behind(&denylist)).await;
    source.deny_as("a", 2, denial("t2")).await;
    source.naming("a", 2, now, is_fresh(&denylist)).await;
}

/// A worker's log is unbound while something is published; returns the verifier, and the token that it cannot
/// know.
async fn unbound(stage: &Stage, worker: &Setup) -> (Denylist, crate::harness::Worker, String) {
    assert!(worker.start().await.stop().await.success(), "everything is declared");
    let running = worker.clone().set("REVOCATION__AMQP__DECLARE", "false").start().await;
    // Takes what the log does not get, so that the broker returns nothing.
    let feed = Feed::listen(&stage.amqp_url).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    is_fresh(&denylist).await;
    let source = Source::attach(&stage.amqp_url).await;
    source.unbind(STREAM, EXCHANGE, "invalidation.#").await;
    source.unbind(STREAM, EXCHANGE, MARK_KEY).await;
    let access = canary_token();
    App::connect(&stage.amqp_url).await.publish(&logout("1", &access, &canary_token())).await;
    is_behind(&denylist).await;
    assert!(!denylist.check(&TokenView::bearer(&access)).is_accepted());
    drop(feed);
    (denylist, running, access)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_receives_nothing_is_noticed_once_something_was_published() {
    let stage = Stage::new().await;
    let (denylist, _worker, access) = unbound(&stage, &stage.worker("http://127.0.0.1:9/revoke")).await;
    let source = Source::attach(&stage.amqp_url).await;
    source.bind(STREAM, EXCHANGE, MARK_KEY).await;
    eventually("what came meanwhile is missed", async || {
        (denylist.staleness() == Some(Staleness::Truncated)).then_some(())
    })
    .await;
    assert!(!denylist.check(&TokenView::bearer(&access)).is_accepted());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_lost_and_a_worker_published_again_is_not_missed_whatever_its_clock() {
    let ahead = Duration::from_secs(300);
    let stage = Stage::new().await;
    let (source, door) = (Source::declare_apart(&stage.amqp_url).await, Door::before(&stage.amqp_url).await);
    let denylist = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailClosed);
    source.deny_as("a", 1, denial("t1")).await;
    source.naming_ahead("a", 1, ahead, is_fresh(&denylist)).await;
    // It was confirmed and said, and is not there any more when the connection is.
    source.naming_ahead("a", 2, ahead, is_behind(&denylist)).await;
    door.shut();
    eventually("the connection is lost", async || (denylist.figures().disconnects > 0).then_some(())).await;
    door.open();
    is_behind(&denylist).await;
    source.deny_as("a", 3, denial("t2")).await;
    source.naming_ahead("a", 3, ahead, is_fresh(&denylist)).await;
    assert_eq!(denylist.figures().truncations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_read_heartbeats_it_is_stale_unless_they_are_in_the_log() {
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    let mut running = worker.start().await;
    let operator = Operator::of(&stage).await;
    let old =
        json!({ "configure": "^$", "write": "^auth\\.verifiers$", "read": "^auth\\.invalidations\\.log$" });
    let denylist =
        verifier(&operator.add_limited_user(&stage, "old", old).await, StalenessPolicy::FailClosed);
    denylist.ready().await;
    let all = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    is_fresh(&all).await;
    assert_eq!(denylist.staleness(), Some(Staleness::Silent));
    assert!(running.stop().await.success());
    let _worker = worker.set("REVOCATION__INVALIDATION__HEARTBEATS_IN_LOG", "true").start().await;
    is_fresh(&denylist).await;
    is_fresh(&all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_workers_dead_is_silence_within_three_seconds() {
    let stage = Stage::alone().await;
    let mut workers = [(); 2].map(|()| stage.worker("http://127.0.0.1:9/revoke").spawn());
    for worker in &mut workers {
        worker.ready().await;
    }
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    is_fresh(&denylist).await;
    workers.iter_mut().for_each(crate::harness::Worker::kill);
    let killed = Instant::now();
    eventually("it is stale", async || denylist.staleness()).await;
    assert!(killed.elapsed() < Duration::from_millis(3300), "after {:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_stream_is_followed_by_those_who_were_there_before_it() {
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    assert!(worker.start().await.stop().await.success());
    // As older workers leave it: everything lies in the log.
    let source = Source::attach(&stage.amqp_url).await;
    source.delete(BEATS_STREAM).await;
    source.bind(STREAM, EXCHANGE, "#").await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    source.deny(vec![denial("t")]).await;
    source.beating(is_fresh(&denylist)).await;
    holds(&denylist, 1).await;
    // Newer workers come: they declare the stream, and unbind the log from everything.
    let _worker = worker.start().await;
    is_fresh(&denylist).await;
    assert_eq!(denylist.figures().disconnects, 0);
}
