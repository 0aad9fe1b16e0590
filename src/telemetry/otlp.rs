//! Spans by OTLP, as protobuf over HTTP: the only user of the OpenTelemetry crates. Spans are made by
//! [`trace`](crate::trace), whose ids are on record; of the SDK, the exporter alone is used.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value as Attribute};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::VERSION;
use crate::config::TelemetryConfig;
use crate::provider::collector;
use crate::trace::{Ended, Kind, Queue, Spans, Value};

/// Most spans that wait: some megabytes.
pub(super) const QUEUE: usize = 8192;
/// Most spans a request.
const BATCH: usize = 512;
/// How often what has ended is sent.
const EVERY: Duration = Duration::from_millis(500);
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest error text.
const LONGEST: usize = 240;
const SERVICE: &str = "revocation-worker";

/// What sends spans to `endpoint`.
///
/// # Errors
/// A sentence that names the setting.
pub(super) fn exporter(
    endpoint: &Url,
    config: &TelemetryConfig,
    instance: &str,
) -> Result<SpanExporter, String> {
    let refuse = |problem: String| format!("telemetry.otlp_endpoint: {problem}");
    let headers = config.otlp_headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(collector(TIMEOUT).map_err(refuse)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint.as_str())
        .with_timeout(TIMEOUT)
        .with_headers(headers.collect());
    let mut exporter = exporter.build().map_err(|error| refuse(error.to_string()))?;
    let about = [("service.instance.id", instance.to_owned()), ("service.version", VERSION.to_owned())];
    let about = about.map(|(name, value)| KeyValue::new(name, value));
    exporter
        .set_resource(&Resource::builder_empty().with_service_name(SERVICE).with_attributes(about).build());
    Ok(exporter)
}

/// Sends spans until `stop`, then what is left.
pub(super) async fn run(exporter: SpanExporter, queue: Queue, spans: Spans, stop: CancellationToken) {
    let (mut ticks, mut failures) = (tokio::time::interval(EVERY), 0_u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let scope = InstrumentationScope::builder(SERVICE).with_version(VERSION).build();
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        loop {
            let batch: Vec<_> = queue.try_iter().take(BATCH).map(|ended| data(*ended, &scope)).collect();
            let count = batch.len();
            if count == 0 {
                break;
            }
            let taken = exporter.export(batch).await;
            spans.sent(count, taken.is_ok());
            failures = told(taken, failures);
        }
        if is_last {
            return;
        }
    }
}

/// Tells of the first failure and of its end: the metrics go on counting. Returns how many failed in a row.
fn told(taken: OTelSdkResult, failures: u32) -> u32 {
    match taken {
        Ok(()) => {
            if failures > 0 {
                tracing::info!(failures, "spans are taken again");
            }
            0
        }
        Err(error) => {
            if failures == 0 {
                tracing::warn!(error = short(&error.to_string()), "spans are not taken; they are dropped");
            }
            failures + 1
        }
    }
}

/// Sends no spans, to see whether the receiver takes some.
pub(super) async fn try_out(
    endpoint: &Url,
    config: &TelemetryConfig,
    instance: &str,
) -> Result<String, String> {
    let exporter = exporter(endpoint, config, instance)?;
    match exporter.export(Vec::new()).await {
        Ok(()) => Ok(format!("{endpoint} takes spans")),
        Err(error) => Err(format!(
            "telemetry.otlp_endpoint: POST {endpoint}: {}; spans would be dropped, and nothing else held up",
            short(&error.to_string())
        )),
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn data(ended: Ended, scope: &InstrumentationScope) -> SpanData {
    let Ended { name, kind, trace, parent, is_parent_remote, began, ended, attributes, error } = ended;
    let (id, span, flags) = (trace.id(), trace.span(), trace.flags());
    let (id, span) = (TraceId::from_bytes(id), SpanId::from_bytes(span));
    let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, attribute(value)));
    let attributes = attributes.chain(error.clone().map(|error| KeyValue::new("error.type", error)));
    SpanData {
        span_context: SpanContext::new(id, span, TraceFlags::new(flags), false, TraceState::default()),
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: is_parent_remote,
        span_kind: match kind {
            Kind::Consumer => SpanKind::Consumer,
            Kind::Producer => SpanKind::Producer,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        },
        name: name.into(),
        start_time: began.into(),
        end_time: ended.into(),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: error.map_or(Status::Unset, |_| Status::error("")),
        instrumentation_scope: scope.clone(),
    }
}

fn attribute(value: Value) -> Attribute {
    match value {
        Value::Text(text) => Attribute::String(Arc::<str>::from(text).into()),
        Value::Word(word) => word.into(),
        Value::Number(number) => number.into(),
    }
}
