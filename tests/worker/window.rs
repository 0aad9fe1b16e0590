//! What the worker holds while it waits: as much as `amqp.bytes_in_hand` says, however many and however large
//! the messages are.

use futures::StreamExt;
use lapin::BasicProperties;
use revocation_worker::invalidation::Phase;
use serde_json::{Value, json};

use crate::harness::{App, Feed, Logout, Operator, Servers, Setup, Stage, Worker, eventually};
use crate::scripted_idp::{Memory, ScriptedIdp};

const LOGOUTS: &str = "{queue=\"revocation.logout\"}";
const MIB: usize = 1 << 20;

async fn idp() -> ScriptedIdp {
    Memory::default().serve().await
}

fn setup(stage: &Stage, idp: &ScriptedIdp) -> Setup {
    let user = stage.amqp_url.parse::<url::Url>().expect("a URL").username().to_owned();
    stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", &user)
        .set("REVOCATION__LOG__LEVEL", "info")
}

/// Declares the queues, as a first start does.
async fn declared(setup: &Setup) {
    assert!(setup.start().await.stop().await.success());
}

async fn publish(app: &App, key: &str, bodies: impl IntoIterator<Item = Vec<u8>>) {
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_user_id(app.user().into());
    let sent = bodies.into_iter().map(|body| {
        let properties = properties.clone();
        async move { app.publish_raw(key, &body, properties).await }
    });
    futures::stream::iter(sent).buffer_unordered(64).collect::<Vec<()>>().await;
}

fn bodies(logouts: &[Logout]) -> impl Iterator<Item = Vec<u8>> {
    logouts.iter().map(|logout| logout.event().to_string().into_bytes())
}

/// A valid event that a member nobody knows makes so long.
fn large(logout: &Logout, kind: &str, bytes: usize) -> Vec<u8> {
    let mut event = logout.event();
    event["type"] = kind.into();
    if kind == "auth.mass_revocation.v1" {
        event["data"]["incident"] = "leak".into();
    }
    event["data"]["padding"] = "x".repeat(bytes).into();
    event.to_string().into_bytes()
}

fn named(prefix: &str, count: usize) -> Vec<Logout> {
    Logout::many(count)
        .into_iter()
        .map(|logout| Logout { id: format!("{prefix}-{}", logout.id), ..logout })
        .collect()
}

fn log_lines(worker: &Worker, text: &str) -> Vec<Value> {
    worker
        .log()
        .lines()
        .filter(|line| line.contains(text))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

async fn all_denied(feed: &Feed, logouts: &[Logout]) {
    let digests = Logout::digests(logouts);
    eventually("all are denied", async || {
        let denied = feed.digests(Phase::Requested);
        digests.iter().all(|digest| denied.binary_search(digest).is_ok()).then_some(())
    })
    .await;
}

async fn wait_for_metric(worker: &Worker, name: &str, wanted: f64) {
    eventually(&format!("{name} is {wanted}"), async || (worker.metric(name).await == wanted).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_logouts_are_denied_while_postgres_is_away() {
    let servers = Servers::own_database().await;
    let (stage, idp, logouts) = (Stage::on(&servers).await, idp().await, Logout::many(3000));
    let mut worker = setup(&stage, &idp).start().await;
    let (feed, app, idle) = (
        Feed::listen(&stage.amqp_url).await,
        App::connect(&stage.amqp_url).await,
        worker.memory_mib("VmRSS"),
    );
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    publish(&app, "auth.logout", bodies(&logouts)).await;
    all_denied(&feed, &logouts).await;
    wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 3000.0).await;
    assert_eq!(worker.metric(&format!("revocation_window_full{LOGOUTS}")).await, 0.0);
    let (counted, held) =
        (worker.metric(&format!("revocation_bytes_in_hand{LOGOUTS}")).await, worker.memory_mib("VmHWM"));
    assert!(held <= idle + 64, "{held} MiB, {idle} MiB idle, {counted} bytes counted");
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    stage.wait_for_count(3000, "revocation.events").await;
    wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 0.0).await;
    wait_for_metric(&worker, &format!("revocation_bytes_in_hand{LOGOUTS}"), 0.0).await;
    assert_eq!(worker.metric("revocation_events_duplicate_total").await, 0.0, "no event was delivered twice");
    assert!(worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_window_is_an_error_once_and_stops_no_other_queue() {
    let servers = Servers::own_database().await;
    let (stage, idp, logouts) = (Stage::on(&servers).await, idp().await, Logout::many(500));
    let worker = setup(&stage, &idp).set("REVOCATION__AMQP__BYTES_IN_HAND", "1048576").start().await;
    let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    publish(&app, "auth.logout", bodies(&logouts)).await;
    wait_for_metric(&worker, &format!("revocation_window_full{LOGOUTS}"), 1.0).await;
    let bytes = worker.metric(&format!("revocation_bytes_in_hand{LOGOUTS}")).await;
    assert!(
        (200_000.0..=524_288.0).contains(&bytes),
        "half the budget is for logouts, {bytes} bytes are used"
    );
    // Others go on: a mass revocation's tokens by their queue, its cutoffs by theirs.
    let mut cutoff = named("cutoff", 1)[0].event();
    (cutoff["type"], cutoff["data"]["incident"]) = ("auth.mass_revocation.v1".into(), "leak".into());
    cutoff["data"]["targets"] = json!([{ "sub": "user-1" }]);
    publish(&app, "auth.mass_revocation.cutoff", [cutoff.to_string().into_bytes()]).await;
    let mass = named("mass", 1);
    publish(&app, "auth.mass_revocation", [large(&mass[0], "auth.mass_revocation.v1", 0)]).await;
    feed.wait_for(Phase::Requested, "cutoff-1").await;
    all_denied(&feed, &mass).await;
    assert_eq!(log_lines(&worker, "no room for more deliveries").len(), 1, "said once");
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    stage.wait_for_count(502, "revocation.events").await;
    wait_for_metric(&worker, &format!("revocation_window_full{LOGOUTS}"), 0.0).await;
    all_denied(&feed, &logouts).await;
    assert_eq!(log_lines(&worker, "there is room for deliveries again").len(), 1);
    assert_eq!(Operator::of(&stage).await.ready("revocation.dead").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_breaks_does_not_leave_its_deliveries_in_memory() {
    let servers = Servers::private().await;
    let (stage, idp, logouts) = (Stage::on(&servers).await, idp().await, Logout::many(500));
    let mut worker = setup(&stage, &idp).start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let vhost = url::Url::parse(&stage.amqp_url).expect("a URL").path().trim_start_matches('/').to_owned();
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    publish(&App::connect(&stage.amqp_url).await, "auth.logout", bodies(&logouts)).await;
    all_denied(&feed, &logouts).await;
    for _ in 0..3 {
        servers.broker(|broker| {
            broker.ctl(&["close_all_connections", "--vhost", &vhost, "a test asks for it"]).expect("close")
        });
        worker.wait_for_log("consuming session failed").await;
        wait_for_metric(&worker, "revocation_broker_up{side=\"consume\"}", 1.0).await;
        wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 500.0).await;
    }
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    stage.wait_for_count(500, "revocation.events").await;
    wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 0.0).await;
    assert!(worker.stop().await.success());
    assert_eq!(
        Operator::of(&stage).await.ready("revocation.dead").await,
        0,
        "the delivery limit is far away"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn before_it_is_registered_a_worker_denies_and_holds_no_more_than_later() {
    let servers = Servers::private().await;
    let (stage, idp, logouts) = (Stage::on(&servers).await, idp().await, Logout::many(500));
    let setup = setup(&stage, &idp);
    declared(&setup).await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let vhost = url::Url::parse(&stage.amqp_url).expect("a URL").path().trim_start_matches('/').to_owned();
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    publish(&App::connect(&stage.amqp_url).await, "auth.logout", bodies(&logouts)).await;
    let worker = setup.spawn();
    all_denied(&feed, &logouts).await;
    servers.broker(|broker| {
        broker.ctl(&["close_all_connections", "--vhost", &vhost, "a test asks for it"]).expect("close")
    });
    worker.wait_for_log("consuming session failed").await;
    wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 500.0).await;
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    stage.wait_for_count(500, "revocation.events").await;
    wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_messages_end_no_denials_while_postgres_is_away() {
    let servers = Servers::private().await;
    let (stage, idp, logouts) = (Stage::on(&servers).await, idp().await, Logout::many(1500));
    let worker = setup(&stage, &idp).start().await;
    let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    for (number, logouts) in logouts.chunks(500).enumerate() {
        let huge = [vec![b'x'; 16 * MIB], vec![b'{'; 3 * MIB], vec![b'x'; 12 * MIB]];
        publish(&app, "auth.logout", huge).await;
        publish(&app, "auth.logout", bodies(logouts)).await;
        all_denied(&feed, logouts).await;
        wait_for_metric(
            &worker,
            &format!("revocation_deliveries_in_hand{LOGOUTS}"),
            503.0 * (number + 1) as f64,
        )
        .await;
    }
    let peak = worker.memory_mib("VmHWM");
    assert!(peak <= 200, "{peak} MiB");
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    stage.wait_for_count(1500, "revocation.events").await;
    Operator::of(&stage).await.wait_for_ready(9, "revocation.dead").await;
    stage.wait_for_count(9, "audit.rejected_events WHERE code = 'too_large'").await;
    wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 0.0).await;
}

/// What is published before the worker starts, and what becomes of it.
struct Flood {
    name: &'static str,
    key: &'static str,
    small_first: usize,
    large: Vec<Vec<u8>>,
    refused: bool,
}

impl Flood {
    fn new(
        name: &'static str,
        key: &'static str,
        small_first: usize,
        large: Vec<Vec<u8>>,
        refused: bool,
    ) -> Self {
        Self { name, key, small_first, large, refused }
    }

    /// Runs it on a stage of its own; returns the worker's memory in MiB: idle and peak.
    async fn run(self) -> (u64, u64) {
        let (stage, idp) = (Stage::new().await, idp().await);
        let setup = setup(&stage, &idp);
        declared(&setup).await;
        let (app, small, count) =
            (App::connect(&stage.amqp_url).await, named("small", self.small_first), self.large.len());
        publish(&app, "auth.logout", bodies(&small)).await;
        publish(&app, self.key, self.large).await;
        let worker = setup.start().await;
        let idle = worker.memory_mib("VmRSS");
        let (accepted, rejected) = if self.refused { (small.len(), count) } else { (small.len() + count, 0) };
        stage.wait_for_count(i64::try_from(rejected).expect("few"), "audit.rejected_events").await;
        stage.wait_for_count(i64::try_from(accepted).expect("few"), "revocation.events").await;
        wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 0.0).await;
        let operator = Operator::of(&stage).await;
        operator.wait_for_ready(u32::try_from(rejected).expect("few"), "revocation.dead").await;
        let returned: u64 = log_lines(&worker, "larger messages than there is room for")
            .iter()
            .filter_map(|line| line["deliveries"].as_u64())
            .sum();
        assert!(returned <= 2 * count as u64, "{}: {returned} returns of {count} messages", self.name);
        let peak = worker.memory_mib("VmHWM");
        (idle, peak)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_follow_the_size_of_messages() {
    let (logout, mass) = ("auth.logout.v1", "auth.mass_revocation.v1");
    let long = |count, kind: &str| {
        named("large", count).iter().map(|logout| large(logout, kind, 9 * MIB / 10)).collect::<Vec<_>>()
    };
    let floods = [
        Flood::new("300 events of 0.9 MiB", "auth.logout", 0, long(300, logout), false),
        Flood::new(
            "300 of 0.9 MiB that are no JSON",
            "auth.logout",
            0,
            vec![vec![b'x'; 9 * MIB / 10]; 300],
            true,
        ),
        Flood::new("16 of 16 MiB", "auth.logout", 0, vec![vec![b'x'; 16 * MIB]; 16], true),
        Flood::new("200 of 0.9 MiB behind 600 small ones", "auth.logout", 600, long(200, logout), false),
        Flood::new(
            "100 mass revocations of 0.9 MiB beside 300 logouts",
            "auth.mass_revocation",
            300,
            long(100, mass),
            false,
        ),
    ];
    for flood in floods {
        let (name, is_surprise) = (flood.name, flood.small_first > 300);
        let (idle, peak) = flood.run().await;
        // Large ones right behind many small ones are on their way before the first of them is seen: the
        // client has them until they are put back.
        let most = if is_surprise { 280 } else { 200 };
        assert!(peak <= most, "{name}: {peak} MiB, {idle} MiB after the start");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_smaller_than_one_message_takes_them_one_at_a_time() {
    let (stage, idp) = (Stage::new().await, idp().await);
    let worker = setup(&stage, &idp).set("REVOCATION__AMQP__BYTES_IN_HAND", "65536").start().await;
    let app = App::connect(&stage.amqp_url).await;
    for round in 0..3 {
        let long = named(&format!("long-{round}"), 3);
        publish(&app, "auth.logout", bodies(&named(&format!("small-{round}"), 50))).await;
        publish(&app, "auth.logout", long.iter().map(|logout| large(logout, "auth.logout.v1", 9 * MIB / 10)))
            .await;
    }
    stage.wait_for_count(159, "revocation.events").await;
    wait_for_metric(&worker, &format!("revocation_deliveries_in_hand{LOGOUTS}"), 0.0).await;
    let operator = Operator::of(&stage).await;
    assert_eq!((operator.ready("revocation.logout").await, operator.ready("revocation.dead").await), (0, 0));
}
