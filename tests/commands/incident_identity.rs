//! `incident open`: who else uses its events' identities stops nothing, and nobody can compute them.

use std::process::Command;

use futures::TryStreamExt;
use lapin::BasicProperties;
use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::store::{Rows, Store};
use serde_json::{Value, json};

use crate::harness::{App, Operator, Setup, Stage, canary_token, eventually};
use crate::program::{Ran, command, feed, run};
use crate::queue::{Broker, declare};

const OPEN: [&str; 5] = ["incident", "open", "leak", "--reason", "theft"];
const SOURCE: &str = "/revocation-worker/incident";
const QUEUES: [&str; 2] = ["revocation.mass", "revocation.cutoff"];

/// A command that keeps what it goes on by in a folder of this name.
fn keeping(stage: &Stage, name: &str) -> Command {
    let mut command = command(stage);
    command.env("XDG_STATE_HOME", Setup::state_home().join(name));
    command
}

fn open(command: &mut Command, input: &str) -> Ran {
    feed(command, &OPEN, input)
}

/// The events that wait in the queues, as they are taken out; a cutoff is in both, and counts once.
async fn taken(broker: &Broker) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    for queue in QUEUES {
        let messages = broker.drain(queue).await.into_iter();
        for event in messages.map(|message| serde_json::from_slice::<Value>(&message.data).expect("JSON")) {
            if events.iter().all(|other| other["id"] != event["id"]) {
                events.push(event);
            }
        }
    }
    events
}

fn ids(events: &[Value]) -> Vec<&str> {
    let mut ids: Vec<_> = events.iter().map(|event| event["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_cannot_be_computed_from_name_and_targets_and_stay_the_same_for_who_ordered() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let broker = Broker::connect(&stage).await;
    let input = format!("{{\"token\":\"{}\"}}\n{{\"sub\":\"u\"}}\n", canary_token());
    let name = uuid::Uuid::now_v7();
    let mut found = Vec::new();
    for keeper in ["a", "a", "b", "c"] {
        let ran = open(&mut keeping(&stage, &format!("{name}-{keeper}")), &input);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        found.push(taken(&broker).await);
    }
    assert_eq!(ids(&found[0]), ids(&found[1]));
    let cutoff = |events: &[Value]| {
        events
            .iter()
            .find(|event| event["data"]["targets"][0]["sub"] == "u")
            .map(|event| event["time"].clone())
    };
    assert_eq!(cutoff(&found[0]), cutoff(&found[1]), "the cutoff is that of the first order");
    for (one, other) in [(0, 2), (0, 3), (2, 3)] {
        assert!(ids(&found[one]).iter().all(|id| !ids(&found[other]).contains(id)), "{one} {other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_kept_the_order_goes_out_and_says_so_and_a_dry_run_keeps_nothing() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let broker = Broker::connect(&stage).await;
    for home in ["/dev/null/x", "/proc/1/nowhere", "/sys"] {
        let ran = open(command(&stage).env("XDG_STATE_HOME", home), "{\"sub\":\"u\"}\n");
        assert_eq!(
            (ran.code, ran.stderr.starts_with("cannot keep what the same command would go on by")),
            (0, true),
            "{home}: {}",
            ran.stderr
        );
        assert_eq!(taken(&broker).await.len(), 1);
    }
    let home = format!("dry-{}", uuid::Uuid::now_v7());
    let ran = run(&mut keeping(&stage, &home), &[&OPEN[..], &["--dry-run", "--sub", "u"]].concat());
    assert_eq!((ran.code, Setup::state_home().join(home).exists()), (0, false));
}

/// The same identities with other content: what somebody would publish to have the order dropped.
fn fakes(genuine: &[Value]) -> Vec<Value> {
    let other = |event: &Value, change: &dyn Fn(&mut Value)| {
        let mut event = event.clone();
        event["data"]["targets"] = json!([{ "token": canary_token() }]);
        change(&mut event);
        event
    };
    let logout = |event: &mut Value| {
        event["type"] = json!("auth.logout.v1");
        let data = event["data"].as_object_mut().expect("data");
        data.retain(|member, _| member == "targets");
    };
    genuine
        .iter()
        .flat_map(|event| {
            [
                other(event, &logout),
                other(event, &|_| ()),
                other(event, &|event| event["data"]["incident"] = json!("other")),
            ]
        })
        .collect()
}

/// One event's story tells all of its identity, an incident's record each row once.
async fn everything_is_shown_once(stage: &Stage, id: &str) {
    let told = run(&mut command(stage), &["status", "--event", SOURCE, id]);
    assert_eq!(
        (told.code, told.stdout.contains("several events with this identity are on record")),
        (0, true),
        "{}",
        told.stdout
    );
    let json = run(&mut command(stage), &["status", "--event", SOURCE, id, "--json"]).json();
    let rows = stage.count(&format!("audit.revocations WHERE event_id = '{id}'")).await;
    assert_eq!(json["revocations"].as_array().map(|rows| rows.len() as i64), Some(rows));
    let config = DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 4 };
    let store = Store::new(&config).unwrap_or_else(|error| panic!("{error}"));
    let mut snapshot =
        store.snapshot("leak").await.unwrap_or_else(|error| panic!("{error}")).expect("an incident");
    for (rows, view) in [(Rows::Revocations, "audit.revocations"), (Rows::Propagation, "audit.propagation")] {
        let rows: Vec<String> =
            snapshot.rows(rows).try_collect().await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            rows.len() as i64,
            stage.count(&format!("{view} WHERE incident = 'leak'")).await,
            "{view}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_ids_were_published_beforehand_is_carried_out_all_the_same() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let (broker, operator) = (Broker::connect(&stage).await, Operator::of(&stage).await);
    let tokens = [canary_token(), canary_token()];
    let input =
        format!("{{\"token\":\"{}\"}}\n{{\"token\":\"{}\"}}\n{{\"sub\":\"victim\"}}\n", tokens[0], tokens[1]);
    assert_eq!(open(&mut command(&stage), &input).code, 0);
    let genuine = taken(&broker).await;
    let of_others = fakes(&genuine);
    assert_eq!((ids(&genuine).len(), ids(&of_others)), (2, ids(&genuine)));

    let unique = uuid::Uuid::now_v7();
    let users = [format!("entitled-{unique}"), format!("rightless-{unique}")];
    let setup = stage
        .worker("https://127.0.0.1:1/revoke")
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", &format!("guest,{}", users[0]));
    let worker = setup.start().await;
    for user in &users {
        let app = App::connect(&operator.add_user(&stage, user, false).await).await;
        for event in &of_others {
            let key = if event["type"] == "auth.logout.v1" { "auth.logout" } else { "auth.mass_revocation" };
            let properties = BasicProperties::default()
                .with_content_type("application/json".into())
                .with_user_id(user.as_str().into());
            app.publish_raw(key, event.to_string().as_bytes(), properties).await;
        }
    }
    // Six of the entitled user; of the other, two logouts, which are the same, and four that are refused.
    let mine = format!("revocation.events_as_given WHERE source = '{SOURCE}'");
    stage.wait_for_count(6, &mine).await;
    stage.wait_for_count(4, "audit.rejected_events WHERE code = 'not_allowed'").await;

    for published in [2, 0] {
        let ran = feed(&mut command(&stage), &[&OPEN[..], &["--json"]].concat(), &input);
        assert_eq!((ran.code, ran.json()["published"].clone()), (0, json!(published)), "{}", ran.stderr);
        stage.wait_for_count(8, &mine).await;
    }
    for token in &tokens {
        let digest = revocation_worker::target::Token::new(token.clone()).fingerprint();
        let row = format!(
            "audit.revocations WHERE token_sha256 = '{digest}' AND incident = 'leak' AND denied_at IS NOT \
                NULL AND identity_reused"
        );
        stage.wait_for_count(1, &row).await;
    }
    stage
        .wait_for_count(
            1,
            "audit.revocations WHERE sub = 'victim' AND incident = 'leak' AND denied_at IS NOT NULL",
        )
        .await;
    eventually("the queues are empty", async || {
        let lengths = [broker.length(QUEUES[0]).await, broker.length(QUEUES[1]).await];
        (lengths == [0, 0]).then_some(())
    })
    .await;
    stage.wait_for_count(8, &mine).await;
    drop(worker);
    everything_is_shown_once(&stage, ids(&genuine)[0]).await;
}
