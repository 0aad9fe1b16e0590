//! Health and metrics (contract section 10). No endpoint changes anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Snapshot;
use crate::worker::Worker;

/// What the endpoints look at.
#[derive(Clone)]
pub struct Health {
    /// The worker.
    pub worker: Arc<Worker>,
    /// Whether a consuming session is up.
    pub consuming: watch::Receiver<bool>,
}

/// Opens the listening socket.
///
/// # Errors
/// The address is in use or not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`.
///
/// # Errors
/// The listening socket failed.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) -> std::io::Result<()> {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health and metrics are served");
    }
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

impl Health {
    fn snapshot(&self) -> Snapshot {
        let worker = &self.worker;
        Snapshot {
            consuming: *self.consuming.borrow(),
            publishing: worker.publisher.is_connected(),
            in_hand: worker.window.in_hand().map(|seen| (seen.queue, [seen.messages, seen.bytes, usize::from(seen.is_full)])).to_vec(),
            database: worker.database_up.load(Ordering::Relaxed),
            providers: worker.gates.iter().map(|(name, gate)| (name.to_string(), gate.breaker(), gate.in_flight())).collect(),
            probes: worker
                .gates
                .iter()
                .flat_map(|(name, gate)| gate.probes().map(|(result, count)| (name.to_string(), result, count)))
                .collect(),
        }
    }
}

/// 200 when broker, topology and database are reachable, the worker is registered and the worker is not stopping; else 503 with a line for each that is not.
async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let seen = health.snapshot();
    let database = match (seen.database, health.worker.store.ping().await) {
        (_, Err(error)) => Some(error.to_string()),
        (false, Ok(())) => Some("the worker's last call to the database failed".to_owned()),
        (true, Ok(())) if health.worker.number.get().is_none() => Some("not registered yet: the schema is being looked at".to_owned()),
        (true, Ok(())) => None,
    };
    let problems: Vec<_> = [
        (!seen.consuming).then(|| "not consuming: broker or topology not reachable".to_owned()),
        (!seen.publishing).then(|| "not publishing: broker or topology not reachable".to_owned()),
        database,
        health.worker.stop.is_cancelled().then(|| "stopping".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    match problems.is_empty() {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n"),
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let text = health.worker.metrics.encode(&health.snapshot());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
