//! The receiver's own health and metrics, at an address of their own. Nothing here changes anything.

use std::sync::Arc;

use revocation_http_server::{Reply, Request, StatusCode, metrics, text};

use super::inputs::Receiver;

pub(super) async fn answer(receiver: Arc<Receiver>, request: Request) -> Reply {
    match (request.method().as_str(), request.uri().path()) {
        ("GET" | "HEAD", "/healthz") => text(StatusCode::OK, "alive\n"),
        ("GET" | "HEAD", "/readyz") if receiver.events.is_connected() => text(StatusCode::OK, "ready\n"),
        ("GET" | "HEAD", "/readyz") => {
            text(StatusCode::SERVICE_UNAVAILABLE, "no connection to publish events on\n")
        }
        ("GET" | "HEAD", "/metrics") => {
            metrics(request.headers(), receiver.metrics.encode(receiver.events.is_connected()))
        }
        ("GET" | "HEAD", _) => text(StatusCode::NOT_FOUND, "not found\n"),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "nothing here changes anything\n"),
    }
}
