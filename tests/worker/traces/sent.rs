//! What a receiver of spans gets, and what becomes of a worker whose receiver is away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::receiver::{Receiver, attribute};
use super::{HEADER, OWN, id_of, publish, span_of};
use crate::harness::{App, CANARY, Setup, Stage, canary_token, eventually, logout};
use crate::scripted_idp::{Reply, ScriptedIdp};

const TAKEN: &str = "revocation_spans_total{result=\"exported\"}";
const NOT_TAKEN: &str = "revocation_spans_total{result=\"not_taken\"}";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn said(span: &Span, name: &str) -> Option<String> {
    attribute(&span.attributes, name)
}

/// A worker whose provider has the token in the path of its calls, which a file of this name declares.
fn setup(stage: &Stage, idp: &ScriptedIdp, receiver: &Receiver, name: &str) -> Setup {
    let file = std::env::temp_dir().join(format!("traces-{}-{name}.toml", std::process::id()));
    let url = format!("{}/tokens/{{token}}?t={{token}}", idp.url());
    let calls = format!("[providers.main.token]\nurl = {url:?}\nrevoked = [\"200\"]\n");
    std::fs::write(&file, calls).expect("write the settings");
    let main = |key: &str| format!("REVOCATION__PROVIDERS__MAIN__{key}");
    let unset = ["REVOCATION_ENDPOINT", "CLIENT_ID", "CLIENT_SECRET"];
    let setup = unset.iter().fold(stage.worker(""), |setup, key| setup.unset(&main(key)));
    setup
        .set(&main("KIND"), "http")
        .set("REVOCATION__TELEMETRY__OTLP_ENDPOINT", &receiver.url)
        .set("REVOCATION__TELEMETRY__OTLP_HEADERS", "authorization=Bearer c0ll3ct0r,x-tenant=shop")
        .set("REVOCATION__INSTANCE", "pod-7")
        .flag("--config")
        .flag(&file.display().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spans_of_an_event_are_one_trace_without_a_secret() {
    let (stage, receiver) = (Stage::new().await, Receiver::start(Some(200)).await);
    // The first call fails, so that there is an attempt that is no success.
    let idp = ScriptedIdp::start(|request| match request.connection {
        0 => Reply::status(503).then_close(),
        _ => Reply::status(200),
    })
    .await;
    let mut worker = setup(&stage, &idp, &receiver, "one").start().await;
    let app = App::connect(&stage.amqp_url).await;
    publish(&app, "own", Some(OWN), None, false).await;
    stage.wait_for_count(1, "audit.revocations WHERE confirmed_at IS NOT NULL").await;
    let process = receiver.wait_for(1, "process revocation.logout").await.remove(0);
    let (sends, calls) = (receiver.wait_for(2, "send").await, receiver.wait_for(2, "POST").await);
    let records = receiver.wait_for(2, "record").await;

    assert_eq!((hex(&process.trace_id).as_str(), process.kind()), (id_of(OWN), SpanKind::Consumer));
    assert_eq!(hex(&process.parent_span_id), span_of(OWN));
    for (name, value) in [
        ("messaging.system", "rabbitmq"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "revocation.logout"),
        ("messaging.rabbitmq.destination.routing_key", "auth.logout"),
        ("cloudevents.event_id", "own"),
    ] {
        assert_eq!(said(&process, name).as_deref(), Some(value), "{name}");
    }
    for span in sends.iter().chain(&calls).chain(&records) {
        assert_eq!(span.trace_id, process.trace_id, "{span:?}");
        assert_eq!(span.parent_span_id, process.span_id, "{span:?}");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    }
    let phases: BTreeSet<_> = sends.iter().filter_map(|span| said(span, "revocation.phase")).collect();
    assert_eq!(phases, ["confirmed", "requested"].map(str::to_owned).into());
    assert!(sends.iter().all(|span| span.kind() == SpanKind::Producer));
    let statuses: Vec<_> = calls.iter().map(|span| said(span, "http.response.status_code")).collect();
    assert_eq!(statuses, ["503", "200"].map(|status| Some(status.to_owned())));
    let errors: Vec<_> = calls.iter().map(|span| said(span, "error.type")).collect();
    assert_eq!(errors, [Some("503".to_owned()), None]);
    assert_eq!(calls[0].status.as_ref().map(|status| status.code()), Some(StatusCode::Error));
    assert_eq!(calls[1].kind(), SpanKind::Client);
    assert_eq!(said(&calls[1], "http.request.method").as_deref(), Some("POST"));
    assert_eq!(said(&calls[1], "server.address").as_deref(), Some("127.0.0.1"));
    let carried: Vec<_> =
        idp.ledger().iter().map(|request| request.header("traceparent").expect("one").to_owned()).collect();
    let of_spans: Vec<_> =
        calls.iter().map(|span| format!("00-{}-{}-01", id_of(OWN), hex(&span.span_id))).collect();
    assert_eq!(carried, of_spans, "the provider's spans become children of ours");
    let states: Vec<_> = records.iter().filter_map(|span| said(span, "revocation.state")).collect();
    assert_eq!(states, ["pending", "revoked"]);

    let resource = receiver.requests().remove(0).resource_spans.remove(0).resource.expect("a resource");
    assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("revocation-worker"));
    assert_eq!(attribute(&resource.attributes, "service.instance.id").as_deref(), Some("pod-7"));
    let posted = receiver.posted();
    assert!(posted[0].head.starts_with("post /v1/traces "), "{}", posted[0].head);
    assert!(posted[0].head.contains("authorization: bearer c0ll3ct0r"), "{}", posted[0].head);
    assert!(posted[0].head.contains("x-tenant: shop"), "{}", posted[0].head);
    let has = |needle: &str| {
        posted.iter().any(|it| it.body.windows(needle.len()).any(|window| window == needle.as_bytes()))
    };
    assert!(has("auth.logout") && !has(CANARY) && !has("/tokens/"), "no token, and no path that holds one");
    assert!(worker.metric(TAKEN).await >= 7.0);
    assert!(worker.stop().await.success());
    assert!(!worker.log().contains("c0ll3ct0r"), "no header in the log");
}

/// Without a trace of its own, an event begins one, as often as the setting says. One that nobody records
/// is carried, and has no spans.
#[tokio::test(flavor = "multi_thread")]
async fn who_began_a_trace_decides_else_the_setting() {
    let (stage, receiver) = (Stage::new().await, Receiver::start(Some(200)).await);
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let setup = setup(&stage, &idp, &receiver, "begins");
    for (ratio, begins) in [("0", false), ("1", true)] {
        let mut worker = setup.clone().set("REVOCATION__TELEMETRY__TRACE_SAMPLE_RATIO", ratio).start().await;
        let app = App::connect(&stage.amqp_url).await;
        let ids = ["none", "unsampled"].map(|id| format!("{id}-{ratio}"));
        publish(&app, &ids[0], None, None, false).await;
        publish(&app, &ids[1], Some(HEADER), None, false).await;
        for id in &ids {
            let done = format!("audit.revocations WHERE event_id = '{id}' AND state = 'revoked'");
            stage.wait_for_count(1, &done).await;
        }
        // What is left is sent at the end.
        assert!(worker.stop().await.success());
        let trace = |id: &str| format!("SELECT trace_id FROM audit.revocations WHERE event_id = '{id}'");
        let began = stage.text(&trace(&ids[0])).await;
        assert_eq!(began.is_some(), begins);
        assert_eq!(stage.text(&trace(&ids[1])).await.as_deref(), Some(id_of(HEADER)));
        let traces: BTreeSet<_> = receiver.spans().iter().map(|span| hex(&span.trace_id)).collect();
        assert_eq!(traces, began.into_iter().collect());
    }
    let roots = receiver.spans().into_iter().filter(|span| span.parent_span_id.is_empty()).count();
    assert_eq!(roots, 1, "the trace begins with the delivery");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_or_hangs_holds_nobody_up() {
    for status in [Some(500), None] {
        let (stage, receiver) = (Stage::new().await, Receiver::start(status).await);
        let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
        let mut worker = setup(&stage, &idp, &receiver, "away").start().await;
        let app = App::connect(&stage.amqp_url).await;
        for id in 0..20 {
            app.publish(&logout(&id.to_string(), &canary_token(), &canary_token())).await;
        }
        stage.wait_for_count(40, "audit.revocations WHERE confirmed_at IS NOT NULL").await;
        let counted = async || (worker.metric(NOT_TAKEN).await > 0.0).then_some(());
        eventually("what was not taken is counted", counted).await;
        worker.wait_for_log("spans are not taken").await;
        let began = Instant::now();
        assert!(worker.stop().await.success());
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        assert!(!worker.log().contains(CANARY) && !worker.log().contains("c0ll3ct0r"));
    }
}
