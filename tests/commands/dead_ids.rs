//! `dead` while others work on the queue: a place moves, an id stays a message's own.

use crate::harness::{RawMessage, Stage, publish_raw};
use crate::program::{Ran, command, run};
use crate::queue::{Broker, declare};

async fn dead(stage: &Stage, numbers: std::ops::RangeInclusive<u32>) {
    let messages: Vec<_> = numbers
        .map(|number| {
            RawMessage::new("revocation.dead", b"auth.logout", format!("body {number}").as_bytes())
                .word("message_id", format!("m-{number}").as_bytes())
        })
        .collect();
    publish_raw(&stage.amqp_url, &messages).await;
}

fn listed(stage: &Stage) -> Vec<(String, String)> {
    let json = run(&mut command(stage), &["dead", "list", "--json"]).json();
    let messages = json["messages"].as_array().expect("a list").clone();
    let text = |message: &serde_json::Value, name: &str| message[name].as_str().expect("a text").to_owned();
    messages.iter().map(|message| (text(message, "id"), text(message, "message_id"))).collect()
}

fn names(stage: &Stage) -> Vec<String> {
    listed(stage).into_iter().map(|(_, name)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_is_hit_or_nothing_is() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let broker = Broker::connect(&stage).await;
    dead(&stage, 1..=5).await;
    let seen = listed(&stage);
    let id = |number: usize| seen[number - 1].0.as_str();
    let table = run(&mut command(&stage), &["dead", "list"]).stdout;
    assert!(seen.iter().all(|(id, _)| table.contains(id.as_str())), "{table}");
    let dead = |arguments: &[&str]| -> Ran { run(&mut command(&stage), &[&["dead"], arguments].concat()) };

    // Somebody else removes the first: every place is another message's now.
    assert_eq!(dead(&["discard", "1", "--yes"]).code, 0);
    let shown = dead(&["show", id(3), "--json"]).json();
    assert_eq!((shown["message_id"].as_str(), shown["place"].as_u64()), (Some("m-3"), Some(2)));
    assert_eq!(dead(&["discard", id(3), "--yes"]).stdout, "1 message discarded\n");
    assert_eq!(dead(&["requeue", id(4)]).stdout, "1 message requeued\n");
    assert_eq!(names(&stage), ["m-2", "m-5"]);
    let back = broker.drain("revocation.logout").await;
    assert_eq!(back.iter().map(|message| message.data.as_slice()).collect::<Vec<_>>(), [b"body 4"]);
    let record = "audit.operations WHERE action LIKE 'dead %' AND detail->'ids' IS NOT NULL";
    assert_eq!(stage.count(record).await, 2);

    // Who is gone is named, and nothing else is touched.
    for arguments in [
        &["show", id(3)][..],
        &["discard", id(1), id(2), "--yes"],
        &["requeue", id(5), id(4)],
        &["requeue", id(3)],
    ] {
        let ran = dead(arguments);
        assert_eq!((ran.code, ran.stdout.contains("m-")), (1, false), "{arguments:?}");
        assert!(
            ran.stderr.contains("may have been requeued or discarded: 2 waiting there"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(names(&stage), ["m-2", "m-5"]);
    for wrong in ["0", "m12", "m123456789g", "x1234567890"] {
        assert_eq!(dead(&["show", wrong]).code, 2, "{wrong}");
    }
}
