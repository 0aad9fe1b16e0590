//! The trace of an event, from its publisher to the provider, the verifiers, the record and the log; and the
//! spans that are sent to a receiver.

#[cfg(feature = "otlp")]
mod receiver;
#[cfg(feature = "otlp")]
mod sent;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use revocation_worker::invalidation::Phase;
use revocation_worker::trace::Trace;
use serde_json::{Value, json};

use crate::harness::{App, Feed, Stage, canary_token, eventually, logout_of};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};

const OWN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const HEADER: &str = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00";

/// Publishes an event of one token, with this extension, and this header of the message.
async fn publish(app: &App, id: &str, extension: Option<&str>, header: Option<&str>, binary: bool) -> String {
    let token = canary_token();
    let mut event = logout_of(id, json!([{ "token": token }]));
    if let Some(extension) = extension {
        event["traceparent"] = json!(extension);
    }
    let mut headers = FieldTable::default();
    if let Some(header) = header {
        headers.insert("traceparent".into(), AMQPValue::LongString(header.into()));
    }
    let mut body = event.to_string();
    if binary {
        for (name, value) in event.as_object().expect("an event").iter().filter(|(name, _)| *name != "data") {
            let value = value.as_str().expect("a text");
            headers
                .insert(format!("cloudEvents:{name}").as_str().into(), AMQPValue::LongString(value.into()));
        }
        body = event["data"].to_string();
    }
    let properties =
        BasicProperties::default().with_content_type("application/json".into()).with_headers(headers);
    app.publish_raw("auth.logout", body.as_bytes(), properties).await;
    token
}

fn id_of(traceparent: &str) -> &str {
    &traceparent[3..35]
}

fn span_of(traceparent: &str) -> &str {
    &traceparent[36..52]
}

/// The requests about a token, each with the trace that it carries.
fn carried(idp: &ScriptedIdp, token: &str) -> Vec<Option<String>> {
    let is_of_it = |request: &Request| request.field("token").as_deref() == Some(token);
    let of_it = idp.ledger().into_iter().filter(is_of_it);
    of_it.map(|request| request.header("traceparent").map(str::to_owned)).collect()
}

/// The trace ids that log lines tell of an event.
fn logged(log: &str, id: &str) -> BTreeSet<Option<String>> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_it = lines.filter(|line| line["message"] == "target" && line["event_id"] == id);
    of_it.map(|line| line["trace_id"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_events_trace_is_carried_everywhere() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
    let malformed = OWN.to_uppercase();
    let rows = [
        ("extension", Some(OWN), None, false, Some(OWN)),
        ("binary", Some(OWN), Some(HEADER), true, Some(OWN)),
        ("header", None, Some(HEADER), false, Some(HEADER)),
        ("both", Some(OWN), Some(HEADER), false, Some(OWN)),
        ("malformed", Some(&*malformed), None, false, None),
        ("malformed-header", None, Some("00-0-0-01"), false, None),
        ("malformed-beside", Some(&*malformed), Some(HEADER), false, Some(HEADER)),
        ("none", None, None, false, None),
    ];
    for (id, extension, header, binary, wanted) in rows {
        let token = publish(&app, id, extension, header, binary).await;
        let revoked = format!("audit.revocations WHERE event_id = '{id}' AND confirmed_at IS NOT NULL");
        stage.wait_for_count(1, &revoked).await;
        let sql = format!("SELECT trace_id FROM audit.revocations WHERE event_id = '{id}'");
        assert_eq!(stage.text(&sql).await.as_deref(), wanted.map(id_of), "{id}");
        for phase in [Phase::Requested, Phase::Confirmed] {
            let body: Value = serde_json::from_str(&feed.wait_for(phase, id).await.body).expect("JSON");
            assert_eq!(body["traceparent"].as_str(), wanted, "{id}: {body}");
            assert_eq!(body["data"]["events"][0]["traceparent"].as_str(), wanted, "{id}: {body}");
        }
        let carried = carried(&idp, &token);
        assert_eq!(carried.len(), 1, "{id}");
        match (&carried[0], wanted) {
            (None, None) => {}
            (Some(carried), Some(wanted)) => {
                assert_eq!((id_of(carried), &carried[52..]), (id_of(wanted), &wanted[52..]), "{id}");
                assert_ne!(span_of(carried), span_of(wanted), "{id}: a span of its own");
                assert!(Trace::parse(carried).is_some(), "{carried}");
            }
            (carried, _) => panic!("{id}: {carried:?} instead of {wanted:?}"),
        }
        worker.wait_for_log(&format!("\"event_id\":\"{id}\"")).await;
        eventually("the line is whole", async || (!logged(&worker.log(), id).is_empty()).then_some(())).await;
        assert_eq!(
            logged(&worker.log(), id),
            BTreeSet::from([wanted.map(|it| id_of(it).to_owned())]),
            "{id}"
        );
    }
    assert!(!worker.get("/metrics").await.contains("revocation_spans_total{"), "no span without a receiver");
    assert!(worker.stop().await.success());
    assert_eq!(stage.count("audit.rejected_events").await, 0, "none was refused for its trace");
}

/// Who takes over goes on with the trace, and each attempt is a span of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_trace_survives_its_worker() {
    let (stage, answers) = (Stage::new().await, Arc::new(AtomicBool::new(false)));
    let idp = {
        let answers = answers.clone();
        ScriptedIdp::start(move |_| Reply::status(if answers.load(Ordering::Relaxed) { 200 } else { 503 }))
    };
    let idp = idp.await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    let mut first = setup.start().await;
    let app = App::connect(&stage.amqp_url).await;
    let token = publish(&app, "1", Some(OWN), None, false).await;
    eventually("it was tried", async || (!carried(&idp, &token).is_empty()).then_some(())).await;
    stage.wait_for_count(1, "audit.revocations WHERE event_id = '1' AND attempts > 0").await;
    first.kill();
    let before = carried(&idp, &token).len();
    answers.store(true, Ordering::Relaxed);
    let feed = Feed::listen(&stage.amqp_url).await;
    let mut second = setup.start().await;
    stage.wait_for_count(1, "audit.revocations WHERE event_id = '1' AND state = 'revoked'").await;
    let carried = carried(&idp, &token);
    assert!(carried.len() > before);
    let carried: Vec<_> = carried.iter().map(|carried| carried.as_deref().expect("a trace")).collect();
    assert!(carried.iter().all(|carried| id_of(carried) == id_of(OWN)), "{carried:?}");
    let spans: BTreeSet<_> = carried.iter().map(|carried| span_of(carried)).collect();
    assert_eq!(spans.len(), carried.len(), "each attempt is a span of its own: {carried:?}");
    let body = feed.wait_for(Phase::Confirmed, "1").await.body;
    assert!(body.contains(&format!("\"traceparent\":\"{OWN}\"")), "{body}");
    assert!(second.stop().await.success());
}
