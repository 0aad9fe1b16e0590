//! The trace that a request carries, and its span: OpenTelemetry's conventions for HTTP clients, without
//! `url.full`, which may hold a token.

use reqwest::Request;
use reqwest::header::{HeaderName, HeaderValue};

use crate::trace::{Kind, Span, Spans, Trace};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Has a request carry a span of its own of `trace`; that span, where it is recorded.
pub(super) fn begin(spans: &Spans, trace: Trace, request: &mut Request) -> Option<Span> {
    let mut span = spans.begin(Kind::Client, request.method().as_str(), trace);
    let carried = span.as_ref().and_then(Span::trace).unwrap_or_else(|| trace.next());
    // Digits and dashes.
    if let Ok(value) = HeaderValue::try_from(carried.to_string()) {
        request.headers_mut().insert(TRACEPARENT, value);
    }
    if let Some(span) = &mut span {
        span.set("http.request.method", request.method().to_string());
        span.set("server.address", request.url().host_str().unwrap_or_default().to_owned());
        span.set("server.port", i64::from(request.url().port_or_known_default().unwrap_or_default()));
    }
    span
}

/// A response has begun.
pub(super) fn answered(span: &mut Option<Span>, status: u16) {
    if let Some(span) = span {
        span.set("http.response.status_code", i64::from(status));
        if status >= 400 {
            span.fail(status.to_string());
        }
    }
}

/// None came, or only a part of one.
pub(super) fn failed(span: &mut Option<Span>, error: &reqwest::Error) {
    if let Some(span) = span {
        span.fail(match () {
            () if error.is_timeout() => "timeout",
            () if error.is_dns() => "dns",
            () if error.is_connect() => "connect",
            () => "io",
        });
    }
}
