//! `dead`

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::harness::{
    App, CANARY, RawMessage, Stage, canary_token, eventually, logout, logout_of, long, publish_raw,
    raw_header,
};
use crate::program::{bare, command, run};
use crate::queue::Broker;

/// Bad events, refused by a real worker, which then ends.
async fn refused(events: u32) -> (Stage, Broker) {
    let stage = Stage::new().await;
    let mut worker = stage.worker("https://127.0.0.1:1/revoke").start().await;
    let (app, broker) = (App::connect(&stage.amqp_url).await, Broker::connect(&stage).await);
    for number in 1..=events {
        app.publish_raw("auth.logout", bad(number).as_bytes(), properties(number)).await;
        // One at a time: a worker refuses side by side, in any order.
        eventually("it is refused", async || {
            (broker.length("revocation.dead").await == number).then_some(())
        })
        .await;
    }
    stage.wait_for_count(events.into(), "audit.rejected_events").await;
    assert!(worker.stop().await.success());
    (stage, broker)
}

/// The second is no JSON; the others have the token in the wrong member too.
fn bad(number: u32) -> String {
    let event = logout(&format!("e-{number}"), CANARY, CANARY).to_string();
    if number == 2 { CANARY.to_owned() } else { event.replace("refresh_token", CANARY) }
}

fn properties(number: u32) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("tenant".into(), AMQPValue::LongString(format!("{CANARY}-tenant").into()));
    let properties =
        BasicProperties::default().with_message_id(format!("m-{number}").into()).with_headers(headers);
    properties.with_user_id("guest".into())
}

async fn left(broker: &Broker) -> Vec<String> {
    let messages = broker.drain("revocation.dead").await;
    messages.iter().map(|m| m.properties.message_id().as_ref().expect("an id").to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_shows_everything_but_the_body_and_keeps_the_order() {
    let (stage, broker) = refused(12).await;
    let ran = run(&mut command(&stage), &["dead", "list", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let list = ran.json();
    assert_eq!(list["waiting"], 12);
    let messages = list["messages"].as_array().expect("a list");
    let ids: Vec<_> = messages.iter().map(|m| m["message_id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(ids, (1..=12).map(|number| format!("m-{number}")).collect::<Vec<_>>());
    let mut first = messages[0].clone();
    assert!(first["refused_at"].take().as_str().is_some_and(|at| at.starts_with("20")));
    assert!(
        first["detail"]
            .take()
            .as_str()
            .is_some_and(|detail| detail.contains("data.targets[1].token_type_hint"))
    );
    assert!(first["id"].take().as_str().is_some_and(|id| id.starts_with('m') && id.len() == 11));
    assert!(first["bytes"].take().as_u64().is_some_and(|bytes| bytes > 100));
    let rest = json!({
        "place": 1, "id": null, "code": "invalid_field", "detail": null, "queue": "revocation.logout",
        "routing_key": "auth.logout", "user": "guest", "refused_at": null, "bytes": null,
        "message_id": "m-1",
    });
    assert_eq!(first, rest);
    assert_eq!(messages[1]["code"], "not_json");

    let table = run(&mut command(&stage), &["dead", "list", "--limit", "3"]);
    let lines: Vec<_> = table.stdout.lines().collect();
    assert_eq!((table.code, lines.len(), table.stderr.as_str()), (0, 4, "the first 3 of 12 messages:\n"));
    assert!(lines[0].contains("code") && lines[3].contains("m-3"), "{}", table.stdout);

    let shown = run(&mut command(&stage), &["dead", "show", "2"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    assert!(shown.stdout.contains("not_json") && shown.stdout.contains("tenant"), "{}", shown.stdout);
    for output in [&list.to_string(), &table.stdout, &shown.stdout] {
        assert!(!output.contains(CANARY), "shown without --body: {output}");
    }
    let openly = run(&mut command(&stage), &["dead", "show", "11", "--body", "--json"]);
    let (body, headers) =
        (openly.json()["body"].as_str().expect("a body").to_owned(), openly.json()["headers"].clone());
    assert!(body.contains(r#""id":"e-11""#), "{body}");
    assert_eq!(headers, json!({ "tenant": format!("{CANARY}-tenant") }));
    assert!(openly.stderr.contains("raw tokens"), "{}", openly.stderr);
    assert!(
        run(&mut command(&stage), &["dead", "show", "2", "--body"])
            .stdout
            .ends_with(&format!("\n\n{CANARY}\n"))
    );

    assert_eq!(left(&broker).await, ids, "what was looked at is back in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_queue_says_so() {
    let (stage, _broker) = refused(0).await;
    assert_eq!(run(&mut command(&stage), &["dead", "list"]).stdout, "revocation.dead is empty\n");
    assert_eq!(
        run(&mut command(&stage), &["dead", "list", "--json"]).json(),
        json!({ "waiting": 0, "messages": [] })
    );
    assert_eq!(run(&mut command(&stage), &["dead", "requeue", "--all"]).stdout, "0 messages requeued\n");
    assert_eq!(stage.count("audit.operations").await, 0, "nothing was done, so nothing is recorded");
    let ran = run(&mut command(&stage), &["dead", "show", "1"]);
    assert_eq!((ran.code, ran.stderr.contains("no place 1")), (1, true), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_discarded_for_good_and_the_others_stay_in_order() {
    let (stage, broker) = refused(12).await;
    let without = run(&mut command(&stage), &["dead", "discard", "2"]);
    assert_eq!((without.code, without.stderr.contains("--yes")), (2, true));
    let beyond = run(&mut command(&stage), &["dead", "discard", "2", "13", "--yes"]);
    assert_eq!((beyond.code, beyond.stderr.contains("no place 13")), (1, true), "{}", beyond.stderr);
    assert_eq!(
        (broker.length("revocation.dead").await, stage.count("audit.operations").await),
        (12, 0),
        "half an order was carried out"
    );

    let ran =
        run(&mut command(&stage), &["dead", "discard", "11", "2", "--yes", "--json", "--actor", "alice"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let result = ran.json();
    assert_eq!(result["recorded"], true);
    let settled: Vec<_> =
        result["messages"].as_array().expect("a list").iter().map(|m| m["message_id"].clone()).collect();
    assert_eq!(settled, ["m-2", "m-11"]);
    let record = "audit.operations WHERE actor = 'alice' AND action = 'dead discard' AND detail->'messages' \
        = '2' \
                  AND detail->'codes' = '{\"not_json\": 1, \"invalid_field\": 1}'";
    assert_eq!(stage.count(record).await, 1);
    assert_eq!(left(&broker).await, ["m-1", "m-3", "m-4", "m-5", "m-6", "m-7", "m-8", "m-9", "m-10", "m-12"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_one_code_are_discarded() {
    let (stage, broker) = refused(3).await;
    let ran = run(&mut command(&stage), &["dead", "discard", "--all", "--code", "not_json", "--yes"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1 message discarded\n"));
    assert_eq!(left(&broker).await, ["m-1", "m-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeued_message_is_as_its_publisher_sent_it() {
    let (stage, broker) = refused(2).await;
    let ran =
        run(bare(&[("AMQP_URL", &stage.amqp_url)]).env("USER", "bob"), &["dead", "requeue", "2", "--json"]);
    assert_eq!((ran.code, &ran.json()["recorded"]), (0, &json!(false)));
    assert_eq!(ran.stderr, "no database is configured: this was not recorded in audit.operations\n");
    let back = broker.drain("revocation.logout").await;
    assert_eq!((back.len(), back[0].data.as_slice()), (1, CANARY.as_bytes()));
    let properties = &back[0].properties;
    assert_eq!(properties.user_id().as_ref().map(|user| user.as_str()), Some("guest"));
    assert_eq!(properties.message_id().as_ref().map(|id| id.as_str()), Some("m-2"));
    let headers = properties.headers().clone().unwrap_or_default();
    // The queue adds its own on each delivery.
    let names: Vec<_> =
        headers.inner().keys().map(|name| name.as_str()).filter(|name| *name != "x-delivery-count").collect();
    assert_eq!(names, ["tenant", "x-original-user"]);
    assert_eq!(
        headers.inner().get("x-original-user"),
        Some(&AMQPValue::LongString("guest".into())),
        "who sent it first"
    );
    assert_eq!(left(&broker).await, ["m-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requeueing_all_ends_although_a_worker_refuses_them_again() {
    let (stage, broker) = refused(3).await;
    let _worker = stage.worker("https://127.0.0.1:1/revoke").start().await;
    let ran = run(command(&stage).env("LOGNAME", "carol"), &["dead", "requeue", "--all"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "3 messages requeued\n"), "{}", ran.stderr);
    assert_eq!(
        stage
            .count(
                "audit.operations WHERE actor = 'carol' AND action = 'dead requeue' AND \
        detail->'messages' = '3'"
            )
            .await,
        1
    );
    stage.wait_for_count(6, "audit.rejected_events").await;
    eventually("they are back", async || (broker.length("revocation.dead").await == 3).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_refused_for_its_provider_is_revoked_after_a_requeue() {
    let stage = Stage::new().await;
    let mut worker = stage.worker("https://127.0.0.1:1/revoke").start().await;
    let mut event: Value = logout_of("late", json!([{ "token": canary_token() }]));
    event["data"]["provider"] = "new".into();
    App::connect(&stage.amqp_url).await.publish(&event).await;
    stage.wait_for_count(1, "audit.rejected_events WHERE code = 'unknown_provider'").await;
    assert!(worker.stop().await.success());

    let setup = stage.worker("https://127.0.0.1:1/revoke").set("REVOCATION__PROVIDERS__NEW__KIND", "rfc7009");
    let setup = setup.set("REVOCATION__PROVIDERS__NEW__REVOCATION_ENDPOINT", "https://127.0.0.1:1/revoke");
    let setup = setup
        .set("REVOCATION__PROVIDERS__NEW__CLIENT_ID", "shop")
        .set("REVOCATION__PROVIDERS__NEW__CLIENT_AUTH", "none");
    let _worker = setup.start().await;
    assert_eq!(
        run(&mut command(&stage), &["dead", "requeue", "--all", "--code", "unknown_provider"]).code,
        0
    );
    stage.wait_for_count(1, "audit.revocations WHERE event_id = 'late' AND provider = 'new'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_that_a_configured_database_could_not_record() {
    let (stage, broker) = refused(1).await;
    let mut command = bare(&[("AMQP_URL", &stage.amqp_url), ("DATABASE_URL", "postgres://127.0.0.1:1/x")]);
    let ran = run(&mut command, &["dead", "discard", "1", "--yes"]);
    assert_eq!((ran.code, ran.stderr.contains("Postgres cannot be reached")), (1, true), "{}", ran.stderr);
    assert_eq!(left(&broker).await, ["m-1"]);
}

/// What a terminal obeys, hides or turns round: BEL, ESC, an OSC, DEL, C1 in both spellings, bidi, no width,
/// ends of lines.
const HOSTILE: [char; 13] = [
    '\u{7}', '\u{1b}', '\r', '\u{7f}', '\u{85}', '\u{9b}', '\u{9d}', '\u{ad}', '\u{200b}', '\u{200e}',
    '\u{202e}', '\u{2067}', '\u{feff}',
];

/// What a refused message says of itself, through each command that shows it, as text and as JSON.
#[tokio::test(flavor = "multi_thread")]
async fn no_character_of_a_publisher_reaches_the_terminal_as_it_is() {
    let (stage, broker) = refused(0).await;
    let _worker = stage.worker("https://127.0.0.1:1/revoke").start().await;
    let word: String = HOSTILE.iter().flat_map(|c| ['a', *c]).collect();
    let mut headers = FieldTable::default();
    headers.insert(word.as_str().into(), AMQPValue::LongString(word.as_str().into()));
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_message_id(word.as_str().into())
        .with_type(word.as_str().into());
    let body = format!("{{\"type\":\"{word}");
    App::connect(&stage.amqp_url)
        .await
        .publish_raw(&format!("auth.logout.{word}"), body.as_bytes(), properties)
        .await;
    eventually("it is refused", async || (broker.length("revocation.dead").await == 1).then_some(())).await;

    let commands: [&[&str]; 8] = [
        &["dead", "list"],
        &["dead", "list", "--json"],
        &["dead", "show", "1"],
        &["dead", "show", "1", "--json"],
        &["dead", "show", "1", "--body"],
        &["dead", "show", "1", "--body", "--json"],
        &["incident", "show", &word],
        &["status", "--event", &word, &word],
    ];
    for arguments in commands {
        let ran = run(&mut command(&stage), arguments);
        let printed = ran.stdout.clone() + &ran.stderr;
        assert!(printed.contains('a') && !printed.contains(HOSTILE), "{arguments:?}: {printed:?}");
        if arguments.contains(&"--json") {
            assert!(
                ran.json().to_string().contains(&serde_json::to_string(&word).expect("JSON")),
                "{arguments:?}: the value is the same"
            );
        }
    }
    assert_eq!(
        run(&mut command(&stage), &["dead", "show", "1", "--body", "--raw"]).stdout,
        body,
        "to a file, as it was published"
    );
    let discarded = run(&mut command(&stage), &["dead", "discard", "1", "--yes", "--json"]);
    assert!(!discarded.stdout.contains(HOSTILE), "{:?}", discarded.stdout);
}

/// Messages that the broker dead-lettered without anybody's reading them, and one whose headers leave no room
/// in a frame.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_is_too_large_is_listed_shown_requeued_and_discarded() {
    let (stage, broker) = refused(0).await;
    let large = raw_header(b"x", b'S', &long(&vec![b'h'; 131_064 - 14 - 1 - 4 - 4 - 2 - 5]));
    let message = || RawMessage::new("revocation.dead", b"auth.logout.\xff", CANARY.as_bytes());
    let odd = [
        message().word("content_type", b"\xff"),
        message().word("correlation_id", b"\xff"),
        message().headers(&raw_header(b"\xff", b'V', b"")),
        message().word("message_id", b"m-4").headers(&large),
        message().word("message_id", b"m-5"),
    ];
    publish_raw(&stage.amqp_url, &odd).await;
    for _twice in 0..2 {
        let list = run(&mut command(&stage), &["dead", "list", "--json"]).json();
        let details: Vec<_> = list["messages"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|m| m["detail"].as_str().expect("a text"))
            .collect();
        assert_eq!(details.len(), 5);
        assert!(details[0].contains("AMQP routing_key, content_type: not UTF-8"), "{details:?}");
    }
    assert_eq!(run(&mut command(&stage), &["dead", "show", "5", "--json"]).json()["message_id"], "m-5");
    assert_eq!(run(&mut command(&stage), &["dead", "requeue", "3", "4"]).stdout, "2 messages requeued\n");
    let back = broker.drain("revocation.logout").await;
    assert!(
        back.len() == 2
            && back.iter().all(|m| m.data == CANARY.as_bytes() && m.routing_key.as_str() == "auth.logout.?")
    );
    assert_eq!(
        run(&mut command(&stage), &["dead", "discard", "--all", "--yes"]).stdout,
        "3 messages discarded\n"
    );
}

/// What has the cutoffs' routing key comes to two queues, and is refused from each.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_cutoff_does_not_multiply_however_often_it_is_requeued() {
    let (stage, broker) = refused(0).await;
    let app = App::connect(&stage.amqp_url).await;
    for number in 1..=3 {
        app.publish_raw("auth.mass_revocation.cutoff", bad(number).as_bytes(), properties(number)).await;
    }
    for _again in 0..3 {
        let mut worker = stage.worker("https://127.0.0.1:1/revoke").start().await;
        eventually("each is refused twice", async || {
            (broker.length("revocation.dead").await == 6).then_some(())
        })
        .await;
        assert!(worker.stop().await.success());
        assert_eq!(run(&mut command(&stage), &["dead", "requeue", "--all"]).stdout, "6 messages requeued\n");
        assert_eq!(
            [broker.length("revocation.cutoff").await, broker.length("revocation.mass").await],
            [3, 3]
        );
    }
}
