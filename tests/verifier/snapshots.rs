//! Starting from a snapshot is starting from the whole log, only sooner; and where a snapshot cannot be
//! relied on, the log is read.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use revocation_verifier::{Denylist, Options, Staleness, StalenessPolicy};
use revocation_worker::broker::{Broker, Folded, Snapshots};
use revocation_worker::config::{AmqpConfig, InvalidationConfig, Secret};
use revocation_worker::invalidation::{Composer, Entry, Envelope, SNAPSHOT_TYPE};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::harness::{Chance, Stage, eventually};
use crate::source::{Source, denials, holds, tokens, verifier};

const HOUR: Duration = Duration::from_secs(3600);

/// A folder as workers have it.
fn folder(amqp_url: &str) -> Snapshots {
    let amqp = AmqpConfig {
        url: Secret::new(amqp_url.to_owned()),
        ca_file: None,
        prefetch: 10,
        bytes_in_hand: 64 << 20,
        declare: false,
    };
    let broker = Broker::new(&amqp, &InvalidationConfig::default(), "folder").expect("usable settings");
    Snapshots { broker: Arc::new(broker), composer: Composer::new("folder") }
}

pub(crate) async fn fold(amqp_url: &str) -> Folded {
    folder(amqp_url).fold_when(|_, _| true).await.expect("it folds").expect("there is something to fold")
}

/// A stage with everything that a worker declares, and no worker.
pub(crate) async fn stage() -> (Stage, Source) {
    let stage = Stage::new().await;
    assert!(stage.worker("http://127.0.0.1:9/revoke").start().await.stop().await.success());
    let source = Source::attach(&stage.amqp_url).await;
    (stage, source)
}

fn random_entry(chance: &mut Chance) -> Entry {
    let now = OffsetDateTime::now_utc();
    let ago = |seconds: u64| now - Duration::from_secs(seconds);
    let name = format!("n{}", chance.gen_range(0..50));
    let iss = (chance.gen_range(0..2) == 0).then(|| format!("https://{}", chance.gen_range(0..3)));
    let not_before = ago(chance.gen_range(0..5000));
    // Some have expired long ago, some live; none expires while the test looks.
    let expires_at = if chance.gen_range(0..4) == 0 {
        ago(1000 + chance.gen_range(0..9000))
    } else {
        now + HOUR * (1 + u32::try_from(chance.gen_range(0..9)).expect("small"))
    };
    match chance.gen_range(0..5) {
        0 => Entry::Subject {
            iss,
            sub: name,
            subject_claims: vec!["uid".to_owned()],
            claims_iss: None,
            not_before,
            expires_at,
        },
        1 => Entry::Session { sid: name, sub: None, iss, not_before, expires_at },
        2 => Entry::Client {
            client_id: name,
            iss,
            client_claims: Vec::new(),
            claims_iss: None,
            not_before,
            expires_at,
        },
        3 => Entry::Issuer { iss: format!("https://{name}"), not_before, expires_at },
        _ => denials(&[name]).remove(0),
    }
}

async fn ready(denylist: &Denylist) -> Vec<String> {
    denylist.ready().await;
    denylist.contents()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_from_a_snapshot_is_a_start_from_the_whole_log() {
    let (stage, source) = stage().await;
    let steady = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    let mut chance = Chance::new();
    let mut published = 0;
    for round in 0..3 {
        let entries: Vec<_> = (0..1500).map(|_| random_entry(&mut chance)).collect();
        published += entries.len() as u64;
        source.deny(entries).await;
        if round < 2 {
            let folded = fold(&stage.amqp_url).await;
            assert!(folded.messages < 1600, "only what lies behind the snapshot before was read: {folded:?}");
        }
    }
    eventually("all is read", async || (steady.figures().applied >= published).then_some(())).await;
    let late = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    assert!(ready(&late).await == steady.contents());
    assert!(late.figures().applied < 1600, "it read {} messages of the log", late.figures().applied);
    assert_eq!(late.figures().truncations, 0);
    source.deny(denials(&tokens("after", 10))).await;
    eventually("it goes on reading", async || {
        (late.contents() == steady.contents() && late.figures().applied > 1500).then_some(())
    })
    .await;
}

/// A history of a snapshot's length, its fold, and what `spoil` makes of it.
async fn spoilt(spoil: impl AsyncFnOnce(&Source, &str)) -> Denylist {
    let (stage, source) = stage().await;
    source.deny(denials(&tokens("t", 1200))).await;
    spoil(&source, &stage.amqp_url).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    denylist.ready().await;
    holds(&denylist, 1200).await;
    denylist
}

fn message(data: &Value) -> Vec<u8> {
    json!({
        "specversion": "1.0", "id": "x", "source": "/test", "type": "auth.invalidation.snapshot.v1",
        "time": "2026-11-20T22:30:00Z", "data": data,
    })
    .to_string()
    .into_bytes()
}

/// An end that speaks of so many parts with an entry each, and of a message of the log.
fn end(parts: u64, mark: &Value) -> Value {
    json!({
        "parts": parts, "entries": parts, "after": null, "mark": mark, "complete_since": null,
        "publishers": {}, "publishers_since": null,
    })
}

/// The log's last message as it lies there: a snapshot that names it leaves nothing to be read.
async fn last(amqp_url: &str) -> Value {
    let ends = revocation_verifier::feed::ends(&connection(amqp_url).await).await.expect("readable");
    json!(ends.last.expect("a message").to_wire())
}

/// Publishes these parts without entries, and an end that speaks of so many.
async fn publish_parts(source: &Source, numbers: &[u64], end: Value) {
    let message = |data| message(&data);
    for part in numbers {
        source
            .publish_snapshot(&message(
                json!({ "snapshot": "s", "previous": null, "part": part, "targets": [] }),
            ))
            .await;
    }
    let end = json!({ "snapshot": "s", "previous": null, "part": end["parts"], "targets": [], "end": end });
    source.publish_snapshot(&message(end)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_lacks_parts_or_entries_is_not_relied_on() {
    for (numbers, parts) in [(&[][..], 3), (&[0, 2], 2), (&[1, 2], 2), (&[0, 1], 2)] {
        let spoilt = spoilt(async |source, amqp_url| {
            publish_parts(source, numbers, end(parts, &last(amqp_url).await)).await
        })
        .await;
        assert!(spoilt.figures().applied >= 1200, "of {parts} parts {numbers:?}: it read the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_snapshot_is_not_relied_on() {
    let foreign = spoilt(async |source, _| source.publish_snapshot(b"\xff not a snapshot").await);
    assert!(foreign.await.figures().applied >= 1200, "it read the log");
    let mark = |sha256: &str| json!({ "offset": 1100, "time": "2026-11-20T22:30:00Z", "sha256": sha256 });
    for sha256 in ["00".repeat(32), "no digest".to_owned()] {
        let of_another_log =
            spoilt(async |source, _| publish_parts(source, &[], end(0, &mark(&sha256))).await).await;
        assert!(
            of_another_log.figures().applied >= 1200,
            "another message lies where its mark should: it read the log"
        );
    }
}

/// Publishes a whole snapshot without entries that reaches to the end of the log, made `ahead` of now.
async fn publish_ahead(source: &Source, amqp_url: &str, ahead: time::Duration) {
    let end = end(0, &last(amqp_url).await);
    let data = json!({ "snapshot": "s", "previous": null, "part": 0, "targets": [], "end": end });
    let time = OffsetDateTime::now_utc() + ahead;
    source.publish_snapshot(&Envelope::at(time, "/test", SNAPSHOT_TYPE, data).to_json()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_by_a_clock_that_is_ahead_is_not_relied_on() {
    for minutes in [11, 24 * 60, 3650 * 24 * 60] {
        let ahead = time::Duration::minutes(minutes);
        let spoilt = spoilt(async |source, amqp_url| publish_ahead(source, amqp_url, ahead).await).await;
        assert!(spoilt.figures().applied >= 1200, "{ahead}: it read the log");
    }
    let folded = spoilt(async |source, amqp_url| {
        publish_ahead(source, amqp_url, time::Duration::days(1)).await;
        assert!(fold(amqp_url).await.messages >= 1200, "nor do workers");
    });
    assert!(folded.await.figures().applied < 100, "it started from the next one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_an_unusable_snapshot_held_of_a_former_log_is_missed() {
    for unusable in ["it lacks parts", "it lacks entries", "its clock was ahead"] {
        let (stage, source) = stage().await;
        source.deny(denials(&tokens("before", 10))).await;
        match unusable {
            "it lacks parts" => publish_parts(&source, &[], end(1, &last(&stage.amqp_url).await)).await,
            "it lacks entries" => publish_parts(&source, &[0], end(1, &last(&stage.amqp_url).await)).await,
            _ => publish_ahead(&source, &stage.amqp_url, time::Duration::days(1)).await,
        }
        source.delete_stream().await;
        source.declare_stream(None).await;
        source.deny(denials(&tokens("after", 10))).await;
        for is_folded in [false, true] {
            if is_folded {
                fold(&stage.amqp_url).await;
            }
            let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
            let truncated = eventually("it knows that it lacks something", async || {
                (denylist.staleness() == Some(Staleness::Truncated)).then_some(())
            });
            source.beating(truncated).await;
            holds(&denylist, 10).await;
            assert_eq!(denylist.figures().truncations, 1, "{unusable}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_unfinished_one_it_goes_back_to_the_one_before() {
    let unfinished = spoilt(async |source, amqp_url| {
        fold(amqp_url).await;
        // As by a folder that was killed: it named the one before it.
        let previous = revocation_verifier::feed::latest(&connection(amqp_url).await)
            .await
            .expect("readable")
            .complete
            .expect("one")
            .offset;
        for part in 0..3 {
            source
                .publish_snapshot(&message(
                    &json!({ "snapshot": "killed", "previous": previous, "part": part, "targets": [] }),
                ))
                .await;
        }
    });
    assert!(unfinished.await.figures().applied < 100, "it started from the snapshot before");
}

async fn connection(amqp_url: &str) -> lapin::Connection {
    lapin::Connection::connect(amqp_url, lapin::ConnectionProperties::default())
        .await
        .expect("connect to the broker")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_fold_at_once_make_two_whole_snapshots() {
    let both = spoilt(async |_, amqp_url| {
        let (one, other) = tokio::join!(fold(amqp_url), fold(amqp_url));
        assert_eq!([one.entries, other.entries], [1200; 2]);
    });
    assert!(both.await.figures().applied < 100, "it started from one of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_made_anew_is_read_anew_and_doubted() {
    let (stage, source) = stage().await;
    source.deny(denials(&tokens("before", 1500))).await;
    fold(&stage.amqp_url).await;
    source.delete_stream().await;
    source.declare_stream(None).await;
    let options =
        Options::new(&*stage.amqp_url, "shop-api", StalenessPolicy::FailClosed).max_token_lifetime(HOUR);
    source.deny(denials(&tokens("after", 2000))).await;
    let denylist = Denylist::connect(options).expect("usable options");
    holds(&denylist, 3500).await;
    let folded = fold(&stage.amqp_url).await;
    assert_eq!(folded.entries, 3500, "what the last snapshot held is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_log_beside_a_snapshot_is_not_all_that_was_published() {
    for after in [0, 20, 900] {
        let (stage, source) = stage().await;
        source.deny(denials(&tokens("before", 1200))).await;
        fold(&stage.amqp_url).await;
        source.delete_stream().await;
        source.declare_stream(None).await;
        source.deny(denials(&tokens("after", after))).await;
        let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
        let fresh = eventually("it is up to date", async || denylist.staleness().is_none().then_some(()));
        source.beating(fresh).await;
        assert_eq!(denylist.figures().entries, 1200 + after as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_log_that_was_cut_short_the_snapshot_holds_the_rest() {
    let (stage, source) = stage().await;
    source.delete_stream().await;
    source.declare_stream(Some(20_000)).await;
    let (connection, mut denied) = (connection(&stage.amqp_url).await, 0);
    // Until the first segment is dropped, the last snapshot is of the whole log.
    while revocation_verifier::feed::ends(&connection)
        .await
        .expect("readable")
        .first
        .is_none_or(|first| first.offset == 0)
    {
        folder(&stage.amqp_url).fold_when(|_, _| true).await.expect("it folds, or there is nothing yet");
        source.deny(denials(&tokens(&denied.to_string(), 10))).await;
        denied += 10;
    }
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    denylist.ready().await;
    holds(&denylist, denied).await;
    assert!(
        denied < 1000 && denylist.figures().applied < denied as u64,
        "a short log that was cut: {denied} messages"
    );
    assert_eq!(denylist.figures().truncations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_folds_a_log_that_has_grown_and_says_so() {
    let (stage, source) = stage().await;
    source.deny(denials(&tokens("t", 1200))).await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    worker.wait_for_log("folded the log into a snapshot").await;
    assert!(worker.metric("revocation_snapshots_total{result=\"written\"}").await > 0.0);
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    eventually("it is up to date", async || denylist.staleness().is_none().then_some(())).await;
    holds(&denylist, 1200).await;
    assert!(denylist.figures().applied < 100, "it started from the snapshot");
}
