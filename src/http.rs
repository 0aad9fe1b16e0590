//! Health and metrics (contract section 10). No endpoint changes anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use revocation_verifier::server::{self, Reply, Request, StatusCode, openmetrics, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Snapshot;
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
                let problem = worker.store.ping().await.err().map(|error| error.to_string());
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
            ("/metrics", _) => openmetrics(self.worker.metrics.encode(&self.snapshot())),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let worker = &self.worker;
        Snapshot {
            consuming: *self.consuming.borrow(),
            publishing: worker.publisher.is_connected(),
            in_hand: worker
                .window
                .in_hand()
                .map(|seen| (seen.queue, [seen.messages, seen.bytes, usize::from(seen.is_full)]))
                .to_vec(),
            database: worker.database_up.load(Ordering::Relaxed),
            clock_offset: worker.clock.offset().map(|offset| offset.ahead.as_seconds_f64()),
            providers: worker
                .admissions
                .iter()
                .map(|(name, admission)| (name.to_string(), admission.breaker(), admission.in_flight()))
                .collect(),
            probes: worker
                .admissions
                .iter()
                .flat_map(|(name, admission)| {
                    admission.probes().map(|(result, count)| (name.to_string(), result, count))
                })
                .collect(),
        }
    }

    /// 200 when broker, topology and database are reachable, the worker is registered and the worker is not
    /// stopping; else 503 with a line for each that is not.
    async fn ready(&self) -> Reply {
        let seen = self.snapshot();
        let database = match (seen.database, self.ping.problem(&self.worker).await) {
            (_, Some(problem)) => Some(problem),
            (false, None) => Some("the worker's last call to the database failed".to_owned()),
            (true, None) if self.worker.number.get().is_none() => {
                Some("not registered yet: the schema is being looked at".to_owned())
            }
            (true, None) => None,
        };
        let problems: Vec<_> = [
            (!seen.consuming).then(|| "not consuming: broker or topology not reachable".to_owned()),
            (!seen.publishing).then(|| "not publishing: broker or topology not reachable".to_owned()),
            database,
            self.worker.stop.is_cancelled().then(|| "stopping".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        match problems.is_empty() {
            true => text(StatusCode::OK, "ready\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n"),
        }
    }
}
