//! `check` where the broker would let a worker do some of its work: by some routing keys, on few connections.

use std::process::Command;

use serde_json::json;
use url::Url;

use crate::harness::{Operator, Stage};
use crate::program::run;
use crate::queue::declare;

/// The verdict on the broker, and what is said of it.
fn broker(command: &mut Command) -> (bool, String) {
    let report = run(command, &["check", "--json"]).json();
    let checks = report["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["what"] == "broker").expect("the broker's");
    (found["ok"] == true, found["says"].as_str().expect("a sentence").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_would_be_refused_by_its_keys_or_its_number_is_a_problem_and_nothing_else() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let operator = Operator::of(&stage).await;
    let vhost = Url::parse(&stage.amqp_url).expect("a URL").path().trim_start_matches('/').to_owned();
    let (feed, events, all) = ("auth.invalidations", "auth.events", ".*");
    let topic = |exchange: &str, write: &str, read: &str| {
        ("topic-permissions", json!({ "exchange": exchange, "write": write, "read": read }))
    };
    let limit = |what: &'static str, value: usize| (what, json!({ "value": value }));
    let rows = [
        ("a", topic(feed, "^(invalidation\\..*|heartbeat|mark)$", all), None),
        ("b", topic(events, all, "^auth\\."), None),
        ("c", topic(feed, "^check$", all), Some("exchange auth.invalidations by routing key mark")),
        ("d", topic(feed, "^(invalidation\\.main\\..*|mark)$", all), Some("by routing key heartbeat:")),
        (
            "e",
            topic(feed, "^(heartbeat|mark|.*token)$", all),
            Some("by routing key invalidation.main.subject"),
        ),
        (
            "f",
            topic(feed, all, "^heartbeat$"),
            Some("to read from exchange auth.invalidations by routing key"),
        ),
        (
            "g",
            topic(events, all, "^auth\\.logout"),
            Some("auth.events by routing key auth.mass_revocation.#"),
        ),
        ("h", limit("max-connections", 3), Some("user connection limit (3) is reached; raise that limit")),
        ("i", limit("max-connections", 9), Some("a worker has 10 connections")),
        ("j", limit("max-channels", 2), Some("a worker has 10 connections, each with a channel or more")),
        ("k", limit("max-connections", 10), None),
    ];
    for (name, (what, body), wanted) in rows {
        let rights = json!({ "configure": all, "write": all, "read": all });
        let url = operator.add_limited_user(&stage, name, rights).await;
        let user = Url::parse(&url).expect("a URL").username().to_owned();
        let path = match what {
            "topic-permissions" => format!("{what}/{vhost}/{user}"),
            limit => format!("user-limits/{user}/{limit}"),
        };
        operator.put(&path, body).await;
        let mut check = stage.worker("https://127.0.0.1:1/revoke").command();
        let (is_ok, says) = broker(check.env("AMQP_URL", url));
        assert_eq!(is_ok, wanted.is_none(), "{name}: {says}");
        assert!(says.contains(wanted.unwrap_or_default()), "{name}: {says}");
    }
    operator.put(&format!("vhost-limits/{vhost}/max-connections"), json!({ "value": 4 })).await;
    let (is_ok, says) = broker(&mut stage.worker("https://127.0.0.1:1/revoke").command());
    assert!(!is_ok && says.contains("limit (4)") && says.contains("raise that limit"), "{says}");
}
