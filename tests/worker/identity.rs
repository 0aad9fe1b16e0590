//! One identity, several contents: nothing is denied without a record, nothing is acknowledged without an
//! effect, and the same content has one record.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use revocation_worker::invalidation::Phase;
use revocation_worker::target::Token;
use serde_json::{Value, json};

use crate::harness::{App, Feed, Servers, Setup, Stage, Worker, canary_token, eventually, logout, logout_of};
use crate::scripted_idp::{Memory, ScriptedIdp};

pub(crate) const REUSED: &str = "revocation_events_identity_reused_total";
pub(crate) const DUPLICATE: &str = "revocation_events_duplicate_total";

pub(crate) struct Scene {
    pub(crate) stage: Stage,
    memory: Memory,
    pub(crate) idp: ScriptedIdp,
    pub(crate) setup: Setup,
    app: App,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::at(Stage::new().await).await
    }

    pub(crate) async fn at(stage: Stage) -> Self {
        let memory = Memory::default();
        let idp = memory.serve().await;
        let app = App::connect(&stage.amqp_url).await;
        let setup = stage
            .worker(&format!("{}/revoke", idp.url()))
            .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", app.user())
            .set("REVOCATION__LOG__FORMAT", "json");
        Self { stage, memory, idp, setup, app }
    }

    pub(crate) async fn publish(&self, event: &Value) {
        let key = if event["type"] == "auth.logout.v1" { "auth.logout" } else { "auth.mass_revocation" };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_user_id(self.app.user().into());
        self.app.publish_raw(key, event.to_string().as_bytes(), properties).await;
    }

    /// Publishes the first event, waits until it is on record, then publishes the others.
    pub(crate) async fn publish_in_order(&self, id: &str, events: &[Value]) {
        let (first, rest) = events.split_first().expect("events");
        self.publish(first).await;
        self.stage.wait_for_count(1, &format!("revocation.events_as_given WHERE id = '{id}'")).await;
        for event in rest {
            self.publish(event).await;
        }
    }

    pub(crate) async fn wait_for_events(&self, id: &str, events: i64) {
        self.stage
            .wait_for_count(
                events,
                &format!("revocation.events_as_given WHERE id = '{id}' AND source = '/apps/shop'"),
            )
            .await;
    }

    pub(crate) async fn is_revoked(&self, token: &str) {
        let digest = Token::new(token.to_owned()).fingerprint();
        let done = "state = 'revoked' AND denied_at IS NOT NULL AND confirmed_at IS NOT NULL";
        self.stage
            .wait_for_count(1, &format!("audit.revocations WHERE token_sha256 = '{digest}' AND {done}"))
            .await;
        assert!(self.memory.is_revoked(token));
    }
}

pub(crate) fn token(id: &str, token: &str) -> Value {
    logout_of(id, json!([{ "token": token }]))
}

fn changed(mut event: Value, member: &str, value: Value) -> Value {
    event["data"][member] = value;
    event
}

fn ordered(id: &str, incident: &str, target: Value) -> Value {
    let mut event = changed(logout_of(id, json!([target])), "incident", json!(incident));
    event["type"] = json!("auth.mass_revocation.v1");
    event
}

async fn metric(workers: &[Worker], name: &str) -> f64 {
    let mut sum = 0.0;
    for worker in workers {
        sum += worker.metric(name).await;
    }
    sum
}

/// Pairs of events of one identity that mean different things, by what differs.
fn pairs() -> BTreeMap<&'static str, (Value, Value)> {
    let user = |id: &str| logout_of(id, json!([{ "sub": "user-1" }]));
    let t = canary_token();
    let hinted = |hint: &str| logout_of("hint", json!([{ "token": t, "token_type_hint": hint }]));
    let kind = |member: &str| logout_of("kind", json!([{ member: "same" }]));
    BTreeMap::from([
        ("token", (token("token", &canary_token()), token("token", &canary_token()))),
        ("subject", (logout_of("subject", json!([{ "sub": "somebody-else" }])), user("subject"))),
        ("kind", (kind("sid"), kind("sub"))),
        ("hint", (hinted("refresh_token"), hinted("access_token"))),
        ("fewer", (user("fewer"), logout_of("fewer", json!([{ "sub": "user-1" }, { "sub": "user-2" }])))),
        ("cutoff", (changed(user("cutoff"), "not_before", json!("2020-01-01T00:00:00Z")), user("cutoff"))),
        ("type", (user("type"), ordered("type", "leak", json!({ "sub": "user-1" })))),
        (
            "incident",
            (
                ordered("incident", "one", json!({ "sub": "u" })),
                ordered("incident", "two", json!({ "sub": "u" })),
            ),
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_used_beforehand_swallows_nothing() {
    let scene = Scene::new().await;
    let mut worker = scene.setup.start().await;
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    let pairs = pairs();
    for (id, (beforehand, genuine)) in &pairs {
        scene
            .publish_in_order(id, &[beforehand.clone(), genuine.clone(), beforehand.clone(), genuine.clone()])
            .await;
        scene.wait_for_events(id, 2).await;
        let rows = format!("audit.revocations WHERE event_source = '/apps/shop' AND event_id = '{id}'");
        let of = |event: &Value| event["data"]["targets"].as_array().map_or(0, Vec::len) as i64;
        scene.stage.wait_for_count(of(genuine), &format!("{rows} AND identity_reused")).await;
        scene.stage.wait_for_count(of(beforehand), &format!("{rows} AND NOT identity_reused")).await;
        scene
            .stage
            .wait_for_count(of(genuine) + of(beforehand), &format!("{rows} AND denied_at IS NOT NULL"))
            .await;
        let requested = || {
            feed.seen()
                .into_iter()
                .filter(|seen| seen.data.phase == Phase::Requested)
                .filter(|seen| seen.body.contains(&format!("\"id\":\"{id}\"")))
                .count()
        };
        eventually("both are denied under their real identity", async || (requested() >= 2).then_some(()))
            .await;
    }
    let (reused, all) = (pairs.len() as f64, 2.0 * pairs.len() as f64);
    eventually("copies are known", async || (worker.metric(DUPLICATE).await == all).then_some(())).await;
    assert_eq!(worker.metric(REUSED).await, reused);
    let told = worker
        .log()
        .lines()
        .filter(|line| line.contains("is on record under this identity") && line.contains("\"WARN\""))
        .count();
    assert_eq!(told, pairs.len());
    assert!(feed.seen().iter().all(|seen| !seen.body.contains("====")), "no message shows the key of a row");
    assert!(worker.stop().await.success());
    scene.stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_under_a_taken_identity_is_revoked_and_confirmed_like_any_other() {
    let scene = Scene::new().await;
    let mut worker = scene.setup.start().await;
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    let tokens: Vec<_> = (0..5).map(|_| canary_token()).collect();
    for token_of in &tokens {
        scene.publish(&token("1", token_of)).await;
    }
    for token_of in &tokens {
        scene.is_revoked(token_of).await;
    }
    eventually("all are confirmed", async || {
        (feed.digests(Phase::Confirmed).len() == tokens.len()).then_some(())
    })
    .await;
    assert_eq!(feed.digests(Phase::Requested), feed.digests(Phase::Confirmed));
    let of_others = feed.seen().into_iter().filter(|seen| seen.data.event.id != "1").count();
    assert_eq!(of_others, 0, "every message names the event as it came");
    assert_eq!(scene.stage.count("audit.revocations WHERE event_id = '1' AND identity_reused").await, 4);
    assert_eq!(
        scene.stage.count("audit.propagation WHERE event_source = '/apps/shop' AND event_id = '1'").await,
        5
    );
    assert!(worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_in_another_spelling_is_one_event() {
    let scene = Scene::new().await;
    let mut worker = scene.setup.start().await;
    let (access, refresh) = (canary_token(), canary_token());
    let plain = logout("1", &access, &refresh);
    let list = plain["data"]["targets"].as_array().cloned().expect("targets");
    let spelled = [
        changed(plain.clone(), "targets", json!([list[1], list[0]])),
        changed(plain.clone(), "targets", json!([list[0], list[1], list[0], list[1]])),
        changed(plain.clone(), "unknown", json!({ "a": [1] })),
        changed(plain.clone(), "provider", json!("main")),
        changed(plain.clone(), "reason", json!("another word")),
        serde_json::from_str(&plain.to_string().replace("22:30:00.123Z", "23:30:00.123+01:00"))
            .expect("JSON"),
    ];
    scene.publish_in_order("1", &[std::slice::from_ref(&plain), &spelled[..]].concat()).await;
    let pretty =
        serde_json::to_string_pretty(&plain).expect("JSON").replace("refresh_token", "\\u0072efresh_token");
    scene.app.publish_raw("auth.logout.by-hand", pretty.as_bytes(), BasicProperties::default()).await;
    eventually("all are known", async || (worker.metric(DUPLICATE).await == 7.0).then_some(())).await;
    scene
        .stage
        .wait_for_count(2, "audit.revocations WHERE confirmed_at IS NOT NULL AND NOT identity_reused")
        .await;
    scene.stage.is_whole(1).await;
    assert_eq!(worker.metric(REUSED).await, 0.0);
    assert!(worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_copies_of_four_contents_are_four_events() {
    let scene = Scene::new().await;
    let workers = [scene.setup.start().await, scene.setup.start().await];
    let tokens: Vec<_> = (0..4).map(|_| canary_token()).collect();
    for copy in 0..1000 {
        scene.publish(&token("1", &tokens[(copy * 7 + copy / 13) % 4])).await;
    }
    eventually("every copy is accounted for", async || {
        let accepted = metric(&workers, "revocation_events_accepted_total{lane=\"interactive\"}").await;
        (accepted + metric(&workers, DUPLICATE).await == 1000.0).then_some(())
    })
    .await;
    assert_eq!(metric(&workers, REUSED).await, 3.0);
    for token in &tokens {
        scene.is_revoked(token).await;
    }
    scene.stage.is_whole(4).await;
    for mut worker in workers {
        assert!(worker.stop().await.success());
    }
    scene.stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_that_come_while_postgres_is_away_are_denied_at_once_and_on_record_afterwards() {
    let servers = Servers::own_database().await;
    let scene = Scene::at(Stage::on(&servers).await).await;
    let mut worker = scene.setup.start().await;
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    let tokens: Vec<_> = (0..3).map(|_| canary_token()).collect();
    for token_of in &tokens {
        scene.publish(&token("1", token_of)).await;
    }
    eventually("all are denied", async || (feed.digests(Phase::Requested).len() == 3).then_some(())).await;
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    for token_of in &tokens {
        scene.is_revoked(token_of).await;
    }
    assert_eq!(scene.stage.count("audit.revocations WHERE identity_reused").await, 2);
    assert!(worker.stop().await.success());
    scene.stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_of_a_mass_revocation_open_and_extend_their_incidents() {
    let scene = Scene::new().await;
    let mut worker = scene.setup.start().await;
    let tokens: Vec<_> = (0..4).map(|_| canary_token()).collect();
    let order = |place: usize, incident: &str| ordered("1", incident, json!({ "token": tokens[place] }));
    scene
        .publish_in_order(
            "1",
            &[token("1", &tokens[0]), order(1, "one"), order(2, "one"), order(3, "two"), order(1, "one")],
        )
        .await;
    for token in &tokens {
        scene.is_revoked(token).await;
    }
    eventually("the copy is known", async || (worker.metric(DUPLICATE).await == 1.0).then_some(())).await;
    for (incident, targets) in [("one", 2), ("two", 1)] {
        let row = format!(
            "audit.incidents WHERE incident = '{incident}' AND targets_received = {targets} AND denied = \
                {targets} AND revoked = {targets}"
        );
        scene.stage.wait_for_count(1, &row).await;
    }
    assert!(worker.stop().await.success());
    scene.stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_row_cannot_be_taken_beforehand() {
    let scene = Scene::new().await;
    let mut worker = scene.setup.start().await;
    scene.publish_in_order("1", &[token("1", &canary_token()), token("1", &canary_token())]).await;
    scene.wait_for_events("1", 2).await;
    let key =
        scene.stage.text("SELECT id FROM revocation.events WHERE identity_reused").await.expect("a key");
    for id in [key.as_str(), &key[..255], key.trim_end_matches('=')] {
        let last = canary_token();
        scene.publish(&token(id, &last)).await;
        scene.publish(&token("1", &last)).await;
    }
    scene.wait_for_events("1", 5).await;
    scene
        .stage
        .wait_for_count(
            1,
            "audit.rejected_events WHERE code = 'invalid_field' AND detail LIKE 'id is longer%'",
        )
        .await;
    assert_eq!(scene.stage.count("audit.revocations WHERE NOT identity_reused").await, 3);
    assert!(worker.stop().await.success());
}
