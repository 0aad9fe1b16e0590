//! Health and metrics (docs/contract.md, section 10). No endpoint changes anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use revocation_http_server::{self as server, Reply, Request, StatusCode, openmetrics, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::worker::Worker;

/// How long an answer of Postgres holds for all who ask.
const PING_HOLDS: Duration = Duration::from_secs(1);
/// What `/healthz` answers.
const ALIVE: &str = "alive\n";

/// What the endpoints look at.
#[derive(Clone)]
pub struct Health {
    /// The worker.
    pub worker: Arc<Worker>,
    /// Whether a consuming session is up.
    pub consuming: watch::Receiver<bool>,
    /// Whether Postgres answers.
    pub ping: Arc<Ping>,
}

/// The last look at Postgres: when, and what was wrong. However many ask, one looks, and the others wait for
/// what it sees.
#[derive(Default)]
pub struct Ping(Mutex<Option<(Instant, Option<String>)>>);

/// Opens the listening socket.
///
/// # Errors
/// The address is in use or not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`. It has no reason of its own to end.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health and metrics are served");
    }
    let answer = move |request: Request| {
        let (health, method, path) =
            (health.clone(), request.method().clone(), request.uri().path().to_owned());
        async move { health.answer(method.as_str(), &path).await }
    };
    server::serve(listener, answer, stop.cancelled_owned()).await;
}

impl Ping {
    /// What is wrong with Postgres. The look goes on where who asked has gone: else each who asks and goes
    /// would leave a session behind.
    async fn problem(self: &Arc<Self>, worker: &Arc<Worker>) -> Option<String> {
        let (ping, worker) = (self.clone(), worker.clone());
        tokio::spawn(async move { ping.look(&worker).await })
            .await
            .unwrap_or_else(|error| Some(error.to_string()))
    }

    async fn look(&self, worker: &Worker) -> Option<String> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, problem)) if at.elapsed() < PING_HOLDS => problem.clone(),
            _ => {
                let problem = worker.ping().await;
                *last = Some((Instant::now(), problem.clone()));
                problem
            }
        }
    }
}

/// Whether a worker serves at an address already.
pub async fn is_worker(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(1024).read_to_end(&mut answer).await.map(|_| answer.ends_with(ALIVE.as_bytes()))
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
}

impl Health {
    async fn answer(&self, method: &str, path: &str) -> Reply {
        match (path, method) {
            ("/healthz" | "/readyz" | "/metrics", method) if !["GET", "HEAD"].contains(&method) => {
                text(StatusCode::METHOD_NOT_ALLOWED, "nothing here changes anything\n")
            }
            ("/healthz", _) => text(StatusCode::OK, ALIVE),
            ("/readyz", _) => self.ready().await,
            ("/metrics", _) => openmetrics(self.worker.metrics(*self.consuming.borrow())),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// 200 when nothing keeps the worker from being ready; else 503 with a line for each thing that does.
    async fn ready(&self) -> Reply {
        let database = self.ping.problem(&self.worker).await;
        let problems = self.worker.problems(*self.consuming.borrow(), database);
        match problems.is_empty() {
            true => text(StatusCode::OK, "ready\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n"),
        }
    }
}
