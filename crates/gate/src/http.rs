//! The gate's paths: `/check` for proxies, health and metrics for operators.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use revocation_http_server::{self as server, Reply, Request, StatusCode, text};
use tokio::net::TcpListener;

use crate::Gate;
use crate::answer::Answer;

/// Serves until `stop` is ready and the requests in hand are answered.
pub(super) async fn serve(listener: TcpListener, gate: Arc<Gate>, stop: impl Future<Output = ()>) {
    server::serve(listener, move |request: Request| std::future::ready(reply(&request, &gate)), stop).await;
}

fn reply(request: &Request, gate: &Gate) -> Reply {
    let check =
        |accepted| Answer::to(request.headers(), &gate.denylist).response(accepted, gate.realm.as_ref());
    match request.uri().path() {
        "/check" => check(StatusCode::NO_CONTENT),
        // Envoy appends the request's own path, and takes nothing but 200 for a yes.
        path if path.starts_with("/check/") => check(StatusCode::OK),
        "/healthz" => text(StatusCode::OK, "alive\n"),
        "/readyz" => ready(gate),
        "/metrics" => metrics(request, gate),
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn ready(gate: &Gate) -> Reply {
    match gate.denylist.staleness() {
        None => text(StatusCode::OK, "ready\n"),
        Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("stale: {}\n", reason.as_str())),
    }
}

fn metrics(request: &Request, gate: &Gate) -> Reply {
    let mut body = String::new();
    match encode(&mut body, &gate.registry) {
        Ok(()) => server::metrics(request.headers(), body),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n"),
    }
}
