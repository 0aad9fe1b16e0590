//! A worker on a machine whose clock is wrong, played by libfaketime: its times are the database's all the
//! same, and it says so.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use httpdate::fmt_http_date;
use revocation_worker::invalidation::{Entry, Phase};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::harness::{App, Feed, Seen, Servers, Stage, canary_token, eventually, logout_of};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

/// As far as anything may be off that was not waited for.
const CLOSE: time::Duration = time::Duration::seconds(3);

/// A token that dies so many seconds from now.
fn dying_in(seconds: i64) -> String {
    let exp = OffsetDateTime::now_utc().unix_timestamp() + seconds;
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{}", part(json!({ "alg": "RS256" })), part(json!({ "exp": exp })), canary_token())
}

/// Without a `time`, so that the receipt counts.
fn timeless(id: &str, targets: Value) -> Value {
    let mut event = logout_of(id, targets);
    event.as_object_mut().expect("an object").remove("time");
    event
}

fn is_close(at: OffsetDateTime) -> bool {
    (OffsetDateTime::now_utc() - at).abs() < CLOSE
}

#[track_caller]
fn assert_close(what: &str, at: OffsetDateTime) {
    assert!(is_close(at), "{what}: {at}, and it is {}", OffsetDateTime::now_utc());
}

fn cutoff(seen: &Seen) -> OffsetDateTime {
    match seen.data.targets.first() {
        Some(Entry::Subject { not_before, .. }) => *not_before,
        _ => panic!("no subject in {}", seen.body),
    }
}

/// When a message says that it was made.
fn made(seen: &Seen) -> OffsetDateTime {
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    OffsetDateTime::parse(body["time"].as_str().expect("a time"), &Rfc3339).expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_the_databases_whatever_the_machines_clock_says() {
    for ahead in [-300, 600, -86_400] {
        let (stage, idp) = (Stage::new().await, Memory::default().serve().await);
        let worker = stage.worker(&format!("{}/revoke", idp.url())).ahead(ahead).start().await;
        let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);

        app.publish(&timeless("subject", json!([{ "sub": "user-1" }]))).await;
        let seen = feed.wait_for(Phase::Requested, "subject").await;
        assert_close("the cutoff", cutoff(&seen));
        assert_close("the message's time", made(&seen));
        let living = json!([{ "token": dying_in(300) }, { "token": dying_in(30) }]);
        app.publish(&timeless("living", living)).await;
        app.publish(&timeless("dead", json!([{ "token": dying_in(-120) }]))).await;
        stage.wait_for_count(2, "audit.revocations WHERE event_id = 'living' AND state = 'revoked'").await;
        stage.wait_for_count(1, "audit.revocations WHERE event_id = 'dead' AND state = 'expired'").await;

        stage
            .wait_for_count(
                2,
                "audit.revocations WHERE event_id = 'living' AND denied_at IS NOT NULL AND \
            confirmed_at IS NOT NULL",
            )
            .await;
        let off = "abs(extract(epoch FROM now() - at)) > 5";
        let times =
            "VALUES (received_at), (not_before), (denied_at), (revoked_at), (confirmed_at), (finished_at)";
        assert_eq!(
            stage.count(&format!("audit.revocations, LATERAL ({times}) AS t (at) WHERE {off}")).await,
            0,
            "{ahead}"
        );
        assert_eq!(
            stage.count("audit.attempts WHERE abs(extract(epoch FROM now() - started_at)) > 5").await,
            0,
            "{ahead}"
        );
        assert_eq!(
            stage.count("audit.providers WHERE abs(extract(epoch FROM now() - last_success_at)) > 5").await,
            0,
            "{ahead}"
        );
        for row in stage.rows("SELECT to_jsonb(event_id) FROM revocation.events").await {
            let id: Uuid = row.as_str().expect("an id").parse().expect("a UUID");
            let (seconds, _) = id.get_timestamp().expect("a time").to_unix();
            assert_close(
                "the row's id",
                OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).expect("a time")).expect("a time"),
            );
        }
        assert_is_told(&stage, &worker, ahead).await;
    }
}

/// In the view, the metric, `status` and the log, there once however often it is seen.
async fn assert_is_told(stage: &Stage, worker: &crate::harness::Worker, ahead: i64) {
    let told = format!("audit.workers WHERE abs(clock_offset_ms - {}) < 1000", ahead * 1000);
    stage.wait_for_count(1, &told).await;
    let gauge = worker.metric("revocation_clock_offset_seconds").await;
    assert!((gauge - ahead as f64).abs() < 1.0, "{gauge} for {ahead}");
    let status = stage.worker("http://127.0.0.1:9/revoke").command().arg("status").output().expect("run it");
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    let way = if ahead < 0 { "behind" } else { "ahead of" };
    assert!(
        shown.contains("its machine's clock is ") && shown.contains(&format!("s {way} the database's")),
        "{shown}"
    );
    stage.db_ticks().await;
    let lines =
        worker.log().lines().filter(|line| line.contains("clock differs from the database's")).count();
    assert_eq!(lines, 1, "once an episode");
    assert!(worker.log().contains("\"ERROR\""));
}

impl Stage {
    /// Waits until the worker has renewed its lease twice more.
    async fn db_ticks(&self) {
        const SEEN: &str = "SELECT to_jsonb(last_seen_at) FROM audit.workers";
        for _ in 0..2 {
            let before = self.rows(SEEN).await;
            eventually("the lease is renewed", async || (self.rows(SEEN).await != before).then_some(()))
                .await;
        }
    }
}

/// The wait for a date is counted from the answer's own `Date`, where it has one, else from the time of the
/// database.
#[tokio::test(flavor = "multi_thread")]
async fn a_dated_retry_after_is_waited_for_as_long_as_it_was_meant() {
    let date = |seconds: i64| {
        fmt_http_date(SystemTime::from(OffsetDateTime::now_utc() + time::Duration::seconds(seconds)))
    };
    for (ahead, theirs) in
        [(-300, None), (600, None), (0, Some(3600)), (-300, Some(-3600)), (600, Some(0)), (0, Some(-86_400))]
    {
        let (stage, calls) = (Stage::new().await, AtomicUsize::new(0));
        let idp = ScriptedIdp::start(move |_| match (calls.fetch_add(1, Ordering::SeqCst), theirs) {
            (0, None) => Reply::status(429).header("Retry-After", date(3)),
            (0, Some(theirs)) => {
                Reply::status(503).header("Date", date(theirs)).header("Retry-After", date(theirs + 3))
            }
            _ => Reply::status(200),
        })
        .await;
        let setup = stage.worker(&format!("{}/revoke", idp.url()));
        let _worker = setup.ahead(ahead).start().await;
        App::connect(&stage.amqp_url)
            .await
            .publish(&timeless("1", json!([{ "token": canary_token() }])))
            .await;
        stage.wait_for_count(1, "audit.revocations WHERE state = 'revoked' AND attempts = 2").await;
        let asked = stage.rows("SELECT to_jsonb(retry_after_ms) FROM audit.attempts WHERE attempt = 1").await;
        let asked = asked[0].as_i64().expect("a wait");
        assert!((1000..=4000).contains(&asked), "{asked} ms for 3 s, {ahead} {theirs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_stepped_while_the_worker_runs_moves_nothing() {
    let (stage, idp) = (Stage::new().await, Memory::default().serve().await);
    let file = std::env::temp_dir().join(format!("clock-{}", Uuid::now_v7()));
    let step = |seconds: i64| std::fs::write(&file, format!("{seconds:+}\n")).expect("write the clock");
    step(0);
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).told_the_time_by(file.to_str().expect("UTF-8"));
    let worker = setup.start().await;
    let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
    stage.wait_for_count(1, "audit.workers WHERE abs(clock_offset_ms) < 1000").await;
    for (seconds, line) in
        [(3600, "clock differs from"), (-7200, "clock differs from"), (0, "agrees with the database's again")]
    {
        step(seconds);
        // At once, before the next reading.
        for (part, wait) in [("at-once", false), ("later", true)] {
            if wait {
                stage
                    .wait_for_count(
                        1,
                        &format!("audit.workers WHERE abs(clock_offset_ms - {}) < 1000", seconds * 1000),
                    )
                    .await;
                worker.wait_for_log(line).await;
            }
            let id = format!("{part}{seconds}");
            app.publish(&timeless(&id, json!([{ "sub": "user-1" }, { "token": dying_in(60) }]))).await;
            let seen = eventually("the cutoff is published", async || {
                feed.seen()
                    .into_iter()
                    .find(|seen| seen.data.event.id == id && seen.routing_key.ends_with("subject"))
            })
            .await;
            assert_close("the cutoff", cutoff(&seen));
            stage
                .wait_for_count(
                    1,
                    &format!("audit.revocations WHERE event_id = '{id}' AND state = 'revoked'"),
                )
                .await;
        }
    }
    assert_eq!(
        worker.log().lines().filter(|line| line.contains("clock differs from")).count(),
        1,
        "one episode"
    );
    std::fs::remove_file(&file).expect("remove the clock");
}

/// Denials wait for no database: what was denied by the own clock is denied again by the right one as soon as
/// that is known.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_the_databases_clock_was_known_is_corrected() {
    for ahead in [-300, 600, 0] {
        let servers = Servers::own_database().await;
        let (stage, idp) = (Stage::on(&servers).await, Memory::default().serve().await);
        let setup = stage
            .worker(&format!("{}/revoke", idp.url()))
            .set("REVOCATION__AUTHORIZATION__USERS", "{ shop = { wide_targets_per_minute = 2 } }");
        assert!(setup.start().await.stop().await.success(), "it declares");
        servers.database(|postgres| postgres.stop().expect("stop Postgres"));
        let worker = setup.ahead(ahead).spawn();
        let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
        app.publish(&timeless("1", json!([{ "sub": "user-1" }, { "token": canary_token() }]))).await;
        // Beyond the rate of those without a name: in part, and wholly.
        let beyond = [
            timeless(
                "2",
                json!([
                    { "sub": "user-2" }, { "token": canary_token() },
                    { "sub": "user-3" }, { "sub": "user-4" },
                ]),
            ),
            timeless("3", json!([{ "sub": "user-5" }, { "sub": "user-6" }])),
        ];
        for event in &beyond {
            app.publish(event).await;
        }
        let cutoffs = || {
            let of_it = feed
                .seen()
                .into_iter()
                .filter(|seen| seen.data.event.id == "1" && seen.routing_key.ends_with("subject"));
            of_it.map(|seen| cutoff(&seen)).collect::<Vec<_>>()
        };
        eventually("it is denied without Postgres", async || (!cutoffs().is_empty()).then_some(())).await;
        let (sent, told) = (OffsetDateTime::now_utc(), cutoffs()[0]);
        assert!((told - sent - time::Duration::seconds(ahead)).abs() < CLOSE, "by the own clock: {told}");
        servers.database(|postgres| postgres.restart().expect("start Postgres again"));
        stage.wait_for_count(1, "audit.revocations WHERE event_id = '1' AND state = 'revoked'").await;
        stage.wait_for_count(2, "audit.revocations WHERE event_id = '1' AND denied_at IS NOT NULL").await;
        stage.wait_for_count(8, "audit.revocations").await;
        assert_eq!(cutoffs().len(), if ahead == 0 { 1 } else { 2 }, "{ahead}");
        assert!((cutoffs().pop().expect("a cutoff") - sent).abs() < CLOSE, "{ahead}: {:?}", cutoffs());
        let off = format!(
            "abs(extract(epoch FROM received_at - '{sent}'::timestamptz)) > 3 OR not_before <> received_at"
        );
        assert_eq!(stage.count(&format!("audit.revocations WHERE {off}")).await, 0, "{ahead}");
        let held = "audit.revocations WHERE incident LIKE 'rate-%' AND denied_at IS NULL AND event_id";
        assert_eq!(
            (stage.count(&format!("{held} = '2'")).await, stage.count(&format!("{held} = '3'")).await),
            (2, 2)
        );
        // Read by the right clock from the start, copies are the same events.
        for event in [&beyond[0], &beyond[1], &timeless("1", json!([{ "sub": "user-1" }]))] {
            app.publish(event).await;
        }
        stage.wait_for_count(1, "audit.revocations WHERE identity_reused").await;
        let copies = async || worker.metric("revocation_events_duplicate_total").await;
        eventually("copies are counted", async || (copies().await == 2.0).then_some(())).await;
        assert_eq!(stage.count("audit.revocations").await, 9, "{ahead}");
    }
}

/// A cutoff that lies in the future of this machine alone is none that anybody may be refused for.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_before_the_databases_clock_was_known_is_judged_again() {
    let servers = Servers::own_database().await;
    let (stage, idp) = (Stage::on(&servers).await, Memory::default().serve().await);
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    assert!(setup.start().await.stop().await.success(), "it declares");
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    let worker = setup.ahead(-600).spawn();
    let app = App::connect(&stage.amqp_url).await;
    let not_before = OffsetDateTime::now_utc().format(&Rfc3339).expect("a time");
    for (id, target) in [
        ("subject", json!({ "sub": "user-1" })),
        ("session", json!({ "sid": "s-1" })),
        ("token", json!({ "token": canary_token() })),
    ] {
        let mut event = timeless(id, json!([target]));
        event["data"]["not_before"] = json!(not_before);
        app.publish(&event).await;
    }
    app.publish_raw("auth.logout", b"no event", Default::default()).await;
    eventually("they are refused", async || {
        (worker.log().matches("event refused").count() == 4).then_some(())
    })
    .await;
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    stage.wait_for_count(3, "audit.revocations WHERE denied_at IS NOT NULL").await;
    stage.wait_for_count(1, "audit.rejected_events WHERE code = 'not_json'").await;
    assert_eq!(stage.count("audit.rejected_events").await, 1, "no other is refused by the right time");
}
