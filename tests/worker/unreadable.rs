//! Messages that a client cannot read: refused like others, at once, and in nobody's way.

use std::time::{Duration, Instant};

use revocation_verifier::{TokenView, Verdict};
use serde_json::{Value, json};

use crate::harness::{
    App, CANARY, Operator, PROPERTIES, RawMessage, Stage, Worker, canary_token, eventually, logout, long,
    publish_raw, raw_header, status,
};
use crate::scripted_idp::{Memory, ScriptedIdp};

const BAD: &[u8] = b"caf\xe9\xff";

/// Each short string that a publisher sets, the routing key, and headers of every unreadable sort; and what
/// the refusal names.
fn kinds(exchange: &'static str, key: &[u8], body: &[u8]) -> Vec<(&'static str, RawMessage)> {
    let message = || RawMessage::new(exchange, key, body);
    // RabbitMQ reads the expiration, and compares the user.
    let not_words = ["headers", "delivery_mode", "priority", "timestamp", "expiration", "user_id"];
    let words = PROPERTIES
        .into_iter()
        .filter(|name| !not_words.contains(name))
        .map(|name| (name, message().word(name, BAD)));
    let table = |inner: &[u8]| raw_header(b"n", b'F', &long(inner));
    let array = |inner: &[u8]| [b"A", long(inner).as_slice()].concat();
    let nested = |depth: usize| (0..depth).fold(Vec::new(), |inner, _| table(&inner));
    let arrays = raw_header(b"n", b'A', &long(&(0..25_000).fold(Vec::new(), |inner, _| array(&inner))));
    let headers = [
        raw_header(BAD, b'S', &long(b"fine")),
        table(&raw_header(BAD, b'V', b"")),
        nested(16),
        nested(1_000),
        nested(16_000),
        arrays,
    ];
    words
        .chain([("routing_key", RawMessage::new(exchange, &[key, b".\xff"].concat(), body))])
        .chain(headers.into_iter().map(|headers| ("headers", message().headers(&headers))))
        .collect()
}

async fn yes(stage: &Stage) -> (ScriptedIdp, Worker) {
    let idp = Memory::default().serve().await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    (idp, worker)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cannot_be_read_is_refused_by_name_and_delays_nobody() {
    let stage = Stage::alone().await;
    let (_idp, mut worker) = yes(&stage).await;
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    let body = logout("odd", &canary_token(), &canary_token()).to_string();
    let mut odd = kinds("auth.events", b"auth.logout.web", body.as_bytes());
    odd.extend(kinds("auth.events", b"auth.mass_revocation.web", b"{"));
    let (names, messages): (Vec<_>, Vec<_>) = odd.into_iter().unzip();

    for (number, message) in messages.iter().enumerate() {
        // RabbitMQ itself takes seconds over the deepest tables.
        publish_raw(&stage.amqp_url, std::slice::from_ref(message)).await;
        let began = Instant::now();
        app.publish(&logout(&number.to_string(), &canary_token(), &canary_token())).await;
        let revoked = format!("audit.revocations WHERE event_id = '{number}' AND state = 'revoked'");
        stage.wait_for_count(2, &revoked).await;
        assert!(began.elapsed() < Duration::from_secs(3), "behind {}: {:?}", names[number], began.elapsed());
    }

    stage
        .wait_for_count(names.len().try_into().unwrap(), "audit.rejected_events WHERE code = 'invalid_field'")
        .await;
    let rows = stage.rows("SELECT to_jsonb(r) FROM audit.rejected_events r ORDER BY rejected_at").await;
    let letters = operator.dead_letters(names.len()).await;
    for ((name, row), message) in names.iter().zip(&rows).zip(&messages) {
        assert!(
            row["detail"].as_str().unwrap().starts_with(&format!("AMQP {name}: not UTF-8")),
            "{name}: {row}"
        );
        assert_eq!(row["body_bytes"], json!(message.body.len()));
    }
    for letter in &letters {
        assert!([body.as_bytes(), b"{"].contains(&letter.body.as_slice()), "the body is as it was");
        assert_eq!(letter.header("x-refused-code").as_deref(), Some("invalid_field"));
    }
    let refused_keys: Vec<_> =
        letters.iter().map(|letter| letter.routing_key.as_str()).filter(|key| key.contains('?')).collect();
    assert_eq!(refused_keys, ["auth.logout.web.?", "auth.mass_revocation.web.?"]);
    assert_eq!(stage.count("audit.revocations WHERE event_id = 'odd'").await, 0);
    assert!(worker.stop().await.success());
    let log = worker.log();
    assert!(!log.contains(CANARY) && !log.contains("session failed"), "no session ended: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dozens_at_once_and_a_restart_delay_nobody() {
    let stage = Stage::new().await;
    let (_idp, mut worker) = yes(&stage).await;
    assert!(worker.stop().await.success());
    let messages: Vec<_> = (0..2)
        .flat_map(|_| kinds("auth.events", b"auth.logout", b"{}"))
        .map(|(_, message)| message)
        .collect();
    publish_raw(&stage.amqp_url, &messages).await;
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..20 {
        app.publish(&logout(&number.to_string(), &canary_token(), &canary_token())).await;
    }

    let (_idp, _worker) = yes(&stage).await;

    stage.wait_for_count(40, "audit.revocations WHERE state = 'revoked'").await;
    stage.wait_for_count(messages.len().try_into().unwrap(), "audit.rejected_events").await;
    Operator::of(&stage).await.wait_for_ready(messages.len().try_into().unwrap(), "revocation.dead").await;
}

/// Whoever may publish where workers and verifiers listen.
#[tokio::test(flavor = "multi_thread")]
async fn neither_reports_nor_the_feed_end_at_what_cannot_be_read() {
    let stage = Stage::new().await;
    let (_idp, worker) = yes(&stage).await;
    let (app, denylist) = (App::connect(&stage.amqp_url).await, stage.verifier("shop", "shop-1").await);
    for (exchange, key) in
        [("auth.verifiers", "status.shop"), ("auth.invalidations", "invalidation.main.token")]
    {
        let odd: Vec<_> =
            kinds(exchange, key.as_bytes(), b"{}").into_iter().map(|(_, message)| message).collect();
        publish_raw(&stage.amqp_url, &odd).await;
    }
    app.report(status("shop", "shop-2"), time::OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE instance = 'shop-2'").await;
    let token = canary_token();
    app.publish(&logout("behind", &token, &canary_token())).await;
    let denied = || matches!(denylist.check(&TokenView::bearer(&token)), Verdict::Denied(_));
    eventually("the verifier denies", async || denied().then_some(())).await;
    let log: Vec<Value> = worker.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(
        log.iter().all(|line| !line.to_string().contains("verifiers' reports failed")),
        "no session ended"
    );
}
