//! What a broker user orders beyond its rate: on record before it is acknowledged, denied and revoked once a
//! second person approves.

use std::time::{Duration, Instant};

use revocation_worker::invalidation::{Entry, Phase};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::harness::{Feed, Worker, canary_token, eventually, logout_of};
use crate::program::feed as feed_program;
use crate::publishers::{Gateway, mass, subjects};
use crate::scene::Scene;
use crate::scripted_idp::Reply;

const USERS: &str = "REVOCATION__AUTHORIZATION__USERS";
pub(crate) const REVOKED: &str =
    "audit.revocations WHERE target_kind = 'subject' AND state = 'revoked' AND denied_at IS NOT NULL";
/// A name that no shell and no incident takes as it is.
pub(crate) const FLOOD: &str = "Flood \"EU\".1";

pub(crate) async fn scene(per_minute: u32) -> Scene {
    let users = json!({
        FLOOD: { "wide_targets_per_minute": per_minute }, "other": { "wide_targets_per_minute": 1000 },
    })
    .to_string();
    // A TOML inline table, which has = where JSON has a colon.
    let scene = Scene::new(Duration::ZERO).await.at_okta();
    scene.provider.turns(|call| Some(Reply::status(if call.token.is_empty() { 204 } else { 200 })));
    tell_people(&scene, "shop").await;
    scene
        .set(USERS, &users.replace("\":", "\" ="))
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", FLOOD)
}

/// The publishers are this person's, and the session is Bob's.
async fn tell_people(scene: &Scene, person: &str) {
    let session = scene.stage.text("SELECT session_user::text").await;
    let users = [FLOOD, "other", "unlisted", "unnamed publisher"];
    let mut people = json!({ "bob": { "broker_users": [], "database_roles": [session] } });
    people[person]["broker_users"] = json!(users);
    scene.stage.people(&people).await;
}

/// Names that are denied so far, in order.
pub(crate) fn denied(feed: &Feed) -> Vec<String> {
    let entries = feed
        .seen()
        .into_iter()
        .filter(|seen| seen.data.phase == Phase::Requested)
        .flat_map(|seen| seen.data.targets);
    let mut names: Vec<_> = entries
        .filter_map(|entry| if let Entry::Subject { sub, .. } = entry { Some(sub) } else { None })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Everything was acknowledged.
pub(crate) async fn ends(scene: &Scene, workers: &mut [Worker]) {
    for worker in workers {
        assert!(worker.stop().await.success());
    }
    scene.stage.queues_are_empty().await;
}

/// The incidents that hold what was beyond a rate.
pub(crate) async fn held(scene: &Scene) -> Vec<Value> {
    scene
        .stage
        .rows(
            "SELECT to_jsonb(i) FROM audit.incidents i WHERE incident LIKE 'rate-%' ORDER BY \
        incident COLLATE \"C\"",
        )
        .await
}

pub(crate) async fn approve(scene: &Scene, incident: &Value) {
    let (name, targets) =
        (incident["incident"].as_str().expect("a name"), incident["targets_received"].to_string());
    let ran = scene.incident("bob", &["approve", name, "--targets", &targets]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_denied_up_to_the_rate_and_the_rest_waits_for_a_second_person() {
    let scene = scene(100).await;
    let [worker]: [Worker; 1] = scene.workers().await;
    let (feed, gateway) = (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await);
    let tokens: Vec<String> = (0..11).map(|_| canary_token()).collect();
    let began = Instant::now();
    for (number, token) in tokens.iter().enumerate() {
        let mut targets = subjects(&format!("u{number}"), 300);
        targets.insert(150, json!({ "token": token }));
        gateway.publish(Some(FLOOD), &logout_of(&format!("f-{number}"), json!(targets))).await;
    }
    scene.stage.wait_for_count(11 * 301, "audit.revocations").await;
    scene
        .stage
        .wait_for_count(
            11,
            "audit.revocations WHERE target_kind = 'token' AND state = 'revoked' AND incident IS NULL",
        )
        .await;
    let goes =
        scene.stage.count("audit.revocations WHERE target_kind = 'subject' AND incident IS NULL").await;
    // A hundred, and what the bucket gained while they were published.
    let most = 100 + 100 * (began.elapsed().as_secs() + 1).cast_signed() / 60;
    assert!((100..=most).contains(&goes), "{goes} of at most {most} went at once");
    scene.stage.wait_for_count(goes, &format!("{REVOKED} AND incident IS NULL")).await;
    let waiting = "audit.revocations WHERE incident LIKE 'rate-%' AND state = 'pending' AND attempts = 0 AND \
        denied_at IS NULL";
    scene.stage.wait_for_count(3300 - goes, waiting).await;
    scene.passes_a_logout(&feed, "meanwhile").await;
    assert_eq!(denied(&feed).len() as i64, goes);
    assert!((0..100).all(|number| denied(&feed).contains(&format!("u0-{number}"))), "the first of them");
    tells(&scene, &worker, (3300 - goes) as f64).await;

    for incident in held(&scene).await {
        assert_eq!(incident["state"], "awaiting_approval", "{incident}");
        approve(&scene, &incident).await;
    }
    scene.stage.wait_for_count(3300, REVOKED).await;
    assert_eq!(denied(&feed).len(), 3300);
    scene.stage.wait_for_count(0, "audit.incidents WHERE finished_at IS NULL").await;
    let whole =
        "audit.revocations WHERE event_id = 'f-5' AND event_type = 'auth.logout.v1' AND NOT identity_reused";
    assert_eq!(scene.stage.count(whole).await, 301, "one event, under its own identity");
}

async fn tells(scene: &Scene, worker: &Worker, targets: f64) {
    worker.wait_for_log("more wide targets than this broker user may order in a minute").await;
    assert_eq!(worker.metric("revocation_targets_over_rate_total").await, targets);
    eventually("the gauge tells", async || {
        (worker.metric("revocation_incidents_awaiting_approval").await >= 1.0).then_some(())
    })
    .await;
    let incident = &held(scene).await[0];
    let name = incident["incident"].as_str().expect("a name");
    assert!(name.starts_with("rate-Flood__EU_.1+") && name.ends_with('Z'), "{name}");
    assert_eq!((&incident["approval_for"], &incident["opened_by"]), (&json!(["subject"]), &json!(FLOOD)));
    for command in [&["incident", "list", "--wide"][..], &["status", "--wide"]] {
        let listed = tokio::task::block_in_place(|| feed_program(&mut scene.worker().command(), command, ""));
        assert!(listed.stdout.contains(name), "{}", listed.stdout);
    }
    tell_people(scene, "bob").await;
    let same = scene.incident("carol", &["approve", name, "--targets", "100000"]);
    assert!(same.code == 1 && same.stderr.contains("second person"), "{}", same.stderr);
    tell_people(scene, "shop").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_not_held_back_and_a_logouts_actor_may_approve() {
    let scene = scene(0).await;
    let [_worker]: [Worker; 1] = scene.workers().await;
    let (feed, gateway) = (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await);
    for user in [Some(FLOOD), Some("other"), Some("unlisted"), None] {
        let mut event = logout_of(user.unwrap_or("unnamed"), json!(subjects(user.unwrap_or("unnamed"), 2)));
        event["data"]["actor"] = json!("bob");
        gateway.publish(user, &event).await;
    }
    scene.stage.wait_for_count(4, "audit.revocations WHERE state = 'revoked'").await;
    assert_eq!(denied(&feed), ["other-0", "other-1", "unlisted-0", "unlisted-1"]);
    scene.stage.wait_for_count(2, "audit.incidents WHERE incident LIKE 'rate-%'").await;
    let incidents = held(&scene).await;
    assert_eq!(
        incidents.len(),
        2,
        "{FLOOD}'s, and that of those without a name, who may no more than any listed user: {incidents:?}"
    );
    assert!(
        incidents[0]["incident"].as_str().is_some_and(|name| name.starts_with("rate-+unnamed-")),
        "{incidents:?}"
    );
    let name = incidents[1]["incident"].as_str().expect("a name");
    let ran = scene.incident("carol", &["cancel", name, "--reason", "a flood"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    scene.stage.wait_for_count(2, "audit.revocations WHERE state = 'cancelled' AND denied_at IS NULL").await;
    approve(&scene, &incidents[0]).await;
    scene
        .stage
        .wait_for_count(6, "audit.revocations WHERE state = 'revoked' AND denied_at IS NOT NULL")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_the_same_event_and_one_within_the_rate_waits_no_longer() {
    let scene = scene(3).await;
    let [mut first]: [Worker; 1] = scene.workers().await;
    let (feed, gateway) = (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await);
    let part = logout_of(
        "part",
        json!([{ "sub": "a" }, { "sub": "b" }, { "token": canary_token() }, { "sub": "c" }, { "sub": "d" }]),
    );
    let whole = logout_of("whole", json!([{ "sub": "e" }, { "sub": "f" }]));
    for event in [&part, &whole, &part, &whole, &part] {
        gateway.publish(Some(FLOOD), event).await;
    }
    scene.stage.wait_for_count(7, "audit.revocations").await;
    eventually("copies are counted", async || {
        (first.metric("revocation_events_duplicate_total").await == 3.0).then_some(())
    })
    .await;
    scene.passes_a_logout(&feed, "meanwhile").await;
    assert_eq!(denied(&feed), ["a", "b", "c"]);
    scene
        .stage
        .wait_for_count(
            3,
            "audit.revocations WHERE incident LIKE 'rate-%' AND state = 'pending' AND denied_at IS NULL",
        )
        .await;
    assert_eq!(scene.stage.count("audit.revocations WHERE identity_reused").await, 0);

    // Another worker, whose bucket is full: it knows of no copy. It has the rights of a worker, and no more.
    ends(&scene, std::slice::from_mut(&mut first)).await;
    scene.stage.roles().await;
    let second = scene
        .worker()
        .clone()
        .set("DATABASE_URL", &scene.stage.login("revocation_worker").await.url)
        .start()
        .await;
    gateway.publish(Some(FLOOD), &whole).await;
    scene
        .stage
        .wait_for_count(
            2,
            "audit.revocations WHERE event_id = 'whole' AND state = 'revoked' AND denied_at IS NOT NULL AND \
                incident IS NULL",
        )
        .await;
    gateway.publish(Some("unlisted"), &part).await;
    scene
        .stage
        .wait_for_count(
            5,
            "audit.revocations WHERE event_id = 'part' AND state = 'revoked' AND denied_at IS \
            NOT NULL AND incident IS NULL",
        )
        .await;
    assert_eq!((denied(&feed).len(), scene.stage.count("audit.revocations").await), (6, 9));
    let emptied =
        "audit.incidents WHERE incident LIKE 'rate-%' AND finished_at IS NOT NULL AND targets_received = 0";
    scene.stage.wait_for_count(held(&scene).await.len() as i64, emptied).await;
    ends(&scene, &mut [second]).await;
}

/// Somebody has cancelled or approved what waited by then: nobody has decided on what comes later in the same
/// minute.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_a_decision_waits_in_an_incident_of_its_own() {
    let scene = scene(0).await;
    let [worker]: [Worker; 1] = scene.workers().await;
    let (feed, gateway) = (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await);
    eventually("a minute begins", async || (OffsetDateTime::now_utc().second() < 25).then_some(())).await;
    let copy = logout_of("e-0", json!(subjects("e-0", 2)));
    let mut names: Vec<String> = Vec::new();
    for (number, decision) in ["cancel", "approve", "cancel", "approve"].into_iter().enumerate() {
        let mut targets = subjects(&format!("e-{number}"), 2);
        targets.extend((number == 3).then(|| json!({ "token": canary_token() })));
        let event =
            if number == 0 { copy.clone() } else { logout_of(&format!("e-{number}"), json!(targets)) };
        gateway.publish(Some(FLOOD), &event).await;
        scene.stage.wait_for_count(number as i64 + 1, "audit.incidents").await;
        let incident = held(&scene).await.pop().expect("an incident");
        let name = incident["incident"].as_str().expect("a name").to_owned();
        assert_eq!(
            (&incident["state"], &incident["targets_received"]),
            (&json!("awaiting_approval"), &json!(2)),
            "{incident}"
        );
        assert_eq!(denied(&feed).len(), 2 * (number / 2), "nothing goes without a second person");
        match decision {
            "cancel" => {
                assert_eq!(scene.incident("carol", &["cancel", &name, "--reason", "a flood"]).code, 0)
            }
            _ => approve(&scene, &incident).await,
        }
        scene
            .stage
            .wait_for_count(
                1,
                &format!("audit.incidents WHERE incident = '{name}' AND finished_at IS NOT NULL"),
            )
            .await;
        names.push(name);
    }
    let further =
        [String::new(), "-2".into(), "-3".into(), "-4".into()].map(|end| format!("{}{end}", names[0]));
    assert_eq!(names, further);
    gateway.publish(Some(FLOOD), &copy).await;
    eventually("the copy is one", async || {
        (worker.metric("revocation_events_duplicate_total").await == 1.0).then_some(())
    })
    .await;
    scene.passes_a_logout(&feed, "meanwhile").await;
    for (state, targets) in [("cancelled", 4), ("revoked", 4)] {
        assert_eq!(
            scene
                .stage
                .count(&format!("audit.revocations WHERE incident IS NOT NULL AND state = '{state}'"))
                .await,
            targets
        );
    }
    assert_eq!((scene.stage.count("audit.incidents").await, denied(&feed).len()), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_revocation_beyond_the_rate_waits_in_its_own_incident_but_for_its_tokens() {
    let scene = scene(2).await;
    let [_worker]: [Worker; 1] = scene.workers().await;
    let (feed, gateway) = (Feed::listen(&scene.stage.amqp_url).await, Gateway::of(&scene.stage).await);
    let token = canary_token();
    let targets = [&subjects("m", 5)[..], &[json!({ "token": token })]].concat();
    gateway.publish(Some(FLOOD), &mass("m-1", "breach", &targets)).await;
    scene.stage.wait_for_count(6, "audit.revocations WHERE incident = 'breach'").await;
    eventually("the token is denied", async || (feed.digests(Phase::Requested).len() == 1).then_some(()))
        .await;
    assert_eq!(denied(&feed), ["m-0", "m-1"]);
    let row = scene
        .stage
        .rows("SELECT to_jsonb(i) FROM audit.incidents i WHERE incident = 'breach'")
        .await
        .remove(0);
    assert_eq!((&row["state"], &row["approval_for"]), (&json!("awaiting_approval"), &json!(["subject"])));
    approve(&scene, &row).await;
    scene
        .stage
        .wait_for_count(6, "audit.revocations WHERE state = 'revoked' AND denied_at IS NOT NULL")
        .await;
    scene.stage.wait_for_count(1, "audit.incidents WHERE state = 'finished'").await;
}
