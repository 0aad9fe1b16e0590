//! Fair shares: nobody's logout or refusal waits behind the thousands that another broker user has sent.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::BasicProperties;
use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::event::Party;
use revocation_worker::store::{Kinds, Registration, Store, Want, WorkerNo};
use serde_json::{Value, json};
use sqlx::Executor;

use crate::harness::{App, Logout, Operator, Stage, canary_token, logout_of};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};

/// A publisher whose messages carry the broker's word on who sent them, or not.
struct Publisher {
    app: App,
    is_named: bool,
}

impl Publisher {
    async fn named(stage: &Stage, operator: &Operator, name: &str) -> Self {
        let url = operator
            .add_limited_user(stage, name, json!({ "configure": ".*", "write": ".*", "read": ".*" }))
            .await;
        Self { app: App::connect(&url).await, is_named: true }
    }

    async fn unnamed(stage: &Stage) -> Self {
        Self { app: App::connect(&stage.amqp_url).await, is_named: false }
    }

    async fn send(&self, body: &str) {
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let properties =
            if self.is_named { properties.with_user_id(self.app.user().into()) } else { properties };
        self.app.publish_raw("auth.logout", body.as_bytes(), properties).await;
    }

    /// As it is on record.
    fn name(&self) -> Option<&str> {
        self.is_named.then(|| self.app.user())
    }
}

const TOKENS: usize = 1000;
const EVENTS: usize = 10;

fn flood(number: usize) -> Value {
    let targets: Vec<_> = (0..TOKENS).map(|_| json!({ "token": canary_token() })).collect();
    logout_of(&format!("flood-{number}"), targets.into())
}

/// A provider that takes its time; beside it, a worker that makes one call after the other.
async fn slow_provider() -> ScriptedIdp {
    ScriptedIdp::start(|_| Reply::status(200).body("{}").slowly(Duration::from_millis(2))).await
}

fn token(request: &Request) -> String {
    request.field("token").unwrap_or_default()
}

/// Ten thousand tokens of one user, more than fit in memory; then a logout of each of the others.
async fn logouts_beside_a_flood_of_tokens(stage: &Stage, flooder: &Publisher, others: &[Publisher]) {
    let idp = slow_provider().await;
    let setup =
        stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", "1");
    let _worker = setup.start().await;
    for number in 0..EVENTS {
        flooder.send(&flood(number).to_string()).await;
    }
    stage
        .wait_for_count(
            i64::try_from(TOKENS * EVENTS).expect("a count"),
            "audit.revocations WHERE event_id LIKE 'flood-%'",
        )
        .await;
    let logouts = Logout::many(others.len());
    for (other, logout) in others.iter().zip(&logouts) {
        other.send(&logout.event().to_string()).await;
    }
    let theirs = i64::try_from(2 * others.len()).expect("a count");
    stage
        .wait_for_count(theirs, "audit.revocations WHERE event_id NOT LIKE 'flood-%' AND state = 'revoked'")
        .await;
    let calls: Vec<_> = idp.ledger().iter().map(token).collect();
    assert!(calls.len() < TOKENS * EVENTS / 2, "{} calls before the others were served", calls.len());
    for logout in &logouts {
        let [access, refresh] =
            [0, 1].map(|kind| calls.iter().position(|token| *token == logout.tokens[kind]).expect("a call"));
        assert!(
            (refresh + 1..refresh + 20).contains(&access),
            "refresh token first, and no crowd between: {refresh}, {access}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_tokens_of_one_user_keeps_no_others_logout_waiting() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let flooder = Publisher::named(&stage, &operator, "flood").await;
    let others = [
        Publisher::named(&stage, &operator, "shop").await,
        Publisher::unnamed(&stage).await,
        Publisher::named(&stage, &operator, "crm").await,
    ];
    logouts_beside_a_flood_of_tokens(&stage, &flooder, &others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_tokens_without_a_name_is_one_users() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let others = [Publisher::named(&stage, &operator, "shop").await];
    logouts_beside_a_flood_of_tokens(&stage, &Publisher::unnamed(&stage).await, &others).await;
}

/// While the table of refusals cannot be written, 250 of one user wait for it, and two of others.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_wait_for_nobody_elses_and_hold_up_no_logout() {
    let (stage, idp) = (Stage::new().await, ScriptedIdp::start(|_| Reply::status(200)).await);
    let operator = Operator::of(&stage).await;
    let mut worker = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__DATABASE__MAX_CONNECTIONS", "4")
        .start()
        .await;
    let (flooder, other) = (
        Publisher::named(&stage, &operator, "flood").await,
        Publisher::named(&stage, &operator, "shop").await,
    );
    let nameless = Publisher::unnamed(&stage).await;
    let mut lock = stage.db.begin().await.expect("a transaction");
    lock.execute("LOCK TABLE revocation.rejected_events IN ACCESS EXCLUSIVE MODE").await.expect("the lock");
    for number in 0..250 {
        flooder.send(&format!("{{{number}")).await;
    }
    other.send("{").await;
    nameless.send("[]").await;
    let logout = &Logout::many(1)[0];
    other.send(&logout.event().to_string()).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked' AND denied_at IS NOT NULL").await;
    worker.wait_for_readiness(200).await;
    assert_eq!(operator.ready("revocation.dead").await, 0, "the row comes first");
    lock.rollback().await.expect("unlock");
    stage.wait_for_count(252, "audit.rejected_events").await;
    let flooders = flooder.name().expect("a name");
    let last = format!(
        "(SELECT max(rejected_no) FROM revocation.rejected_events WHERE broker_user IS DISTINCT FROM \
            '{flooders}')"
    );
    let before = stage
        .count(&format!(
            "revocation.rejected_events WHERE broker_user = '{flooders}' AND rejected_no < {last}"
        ))
        .await;
    assert!(before < 100, "{before} of the flood are before the others' single ones");
    operator.wait_for_ready(252, "revocation.dead").await;
    assert!(worker.stop().await.success());
    assert_eq!(operator.ready("revocation.logout").await, 0, "all are acknowledged");
}

/// So many targets due of a user: tokens, or wide ones.
struct Due {
    user: Option<&'static str>,
    tokens: i32,
    wide: i32,
    due: &'static str,
}

const NOW: &str = "now() - interval '1 second'";

fn due(user: &'static str, tokens: i32, wide: i32) -> Due {
    Due { user: Some(user), tokens, wide, due: NOW }
}

impl Due {
    async fn insert(&self, stage: &Stage) {
        let party = Party::of(self.user).stored();
        for (kind, count, sha256, sealed, key) in [
            ("token", self.tokens, "sha256('t')", "'x'", "'k'"),
            ("subject", self.wide, "NULL", "NULL", "NULL"),
        ] {
            let sql = format!(
                "WITH event AS (
                     INSERT INTO revocation.events (event_id, source, id, event_type, lane, received_at, \
                     not_before, body_sha256, accepted_by)
                     SELECT gen_random_uuid(), '{party}', '{kind}-' || number, 'auth.logout.v1', \
                     'interactive', now(), now(), sha256(''), 1
                     FROM generate_series(1, {count}) AS number RETURNING event_id
                 )
                 INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_sha256, sub, \
                 deny_until, give_up_at, state, due_at, sealed,
                     sealed_key, party)
                 SELECT event_id, 0, 'main', 'interactive', '{kind}', {sha256}, 'u', now(), now(), \
                 'pending', {}, {sealed}, {key}, {party} FROM event",
                self.due
            );
            stage.db.execute(sqlx::AssertSqlSafe(sql)).await.expect("the rows are valid");
        }
    }
}

/// A store that has just started, and its worker.
async fn started(stage: &Stage) -> (Store, WorkerNo) {
    let store =
        Store::new(&DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 2 })
            .expect("a store");
    let registration = Registration { instance: "test", version: "0", lease: Duration::from_secs(60) };
    let (number, _) = store.register(&registration).await.expect("a number");
    (store, number)
}

const BOTH: Kinds = Kinds { tokens: true, wide: true };

/// How many a claim takes, by user and by whether they are wide.
async fn claim(
    (store, worker): &(Store, WorkerNo),
    limit: i64,
    kinds: Kinds,
) -> BTreeMap<(i16, bool), usize> {
    let want = Want {
        provider: "main",
        lane: "interactive",
        kinds,
        incident: "",
        limit,
        max_waiting: 0,
        is_likely: true,
    };
    let mut claimed = BTreeMap::new();
    for target in store.claim(*worker, &[want]).await.expect("a claim") {
        *claimed.entry((target.party, target.kind != "token")).or_default() += 1;
    }
    assert!(
        i64::try_from(claimed.values().sum::<usize>()).is_ok_and(|all| all <= limit),
        "{claimed:?} of {limit}"
    );
    claimed
}

fn of(user: &str, wide: bool) -> (i16, bool) {
    (Party::of(Some(user)).stored(), wide)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_takes_of_each_user_as_many_as_of_the_others() {
    let stage = Stage::new().await;
    due("flood", 2000, 0).insert(&stage).await;
    let later = "now()";
    for user in [
        Due { due: later, ..due("one", 3, 0) },
        Due { due: later, ..due("wide", 5, 40) },
        Due { due: later, user: None, ..due("", 1, 0) },
    ] {
        user.insert(&stage).await;
    }
    Due { due: "now() + interval '1 hour'", ..due("not yet", 1000, 1000) }.insert(&stage).await;
    let worker = started(&stage).await;
    let first = claim(&worker, 400, BOTH).await;
    let expected = [
        (of("flood", false), 100),
        (of("one", false), 3),
        (of("wide", false), 5),
        (of("wide", true), 40),
        ((0, false), 1),
    ];
    assert_eq!(first, BTreeMap::from(expected), "a quarter for each");
    // Another process, with nothing in memory.
    let worker = started(&stage).await;
    assert_eq!(
        claim(&worker, 400, BOTH).await,
        BTreeMap::from([(of("flood", false), 400)]),
        "nobody else has any"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_targets_come_first_within_a_share_and_only_kinds_that_are_wanted_are_taken() {
    let stage = Stage::new().await;
    for user in [due("a", 50, 300), due("b", 300, 20), due("c", 300, 0)] {
        user.insert(&stage).await;
    }
    let worker = started(&stage).await;
    let wide = Kinds { tokens: false, wide: true };
    assert_eq!(claim(&worker, 20, wide).await, BTreeMap::from([(of("a", true), 10), (of("b", true), 10)]));
    let tokens = Kinds { tokens: true, wide: false };
    assert_eq!(claim(&worker, 30, tokens).await, ["a", "b", "c"].map(|user| (of(user, false), 10)).into());
    let both = claim(&worker, 90, BOTH).await;
    let expected = [(of("a", true), 30), (of("b", true), 10), (of("b", false), 20), (of("c", false), 30)];
    assert_eq!(both, BTreeMap::from(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_users_are_more_than_there_is_room_for_each_that_is_lucky_has_one() {
    let stage = Stage::new().await;
    let users =
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"];
    for user in users {
        due(user, 3, 0).insert(&stage).await;
    }
    let worker = started(&stage).await;
    let claimed = claim(&worker, 6, BOTH).await;
    assert_eq!((claimed.len(), claimed.values().max()), (6, Some(&1)));
    for _ in 0..200 {
        claim(&worker, 6, BOTH).await;
    }
    assert_eq!(stage.count("revocation.targets WHERE lease_owner IS NULL").await, 0, "all come in the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_claim_at_once_share_everything_out_between_them() {
    let stage = Stage::new().await;
    for user in [due("a", 500, 0), due("b", 40, 30), due("c", 1, 1)] {
        user.insert(&stage).await;
    }
    let workers = [started(&stage).await, started(&stage).await];
    for _ in 0..30 {
        tokio::join!(claim(&workers[0], 60, BOTH), claim(&workers[1], 60, BOTH));
    }
    assert_eq!(stage.count("revocation.targets WHERE lease_owner IS NULL").await, 0);
    assert_eq!(stage.count("revocation.targets WHERE attempts <> 1").await, 0, "none was claimed twice");
}
