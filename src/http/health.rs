//! Whether the worker is ready, and its figures.

use std::sync::Arc;
use std::time::Duration;

use revocation_http_server::{Reply, StatusCode, text};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::worker::Worker;

/// How long an answer of Postgres holds for all who ask.
const PING_HOLDS: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) worker: Arc<Worker>,
    /// Whether a consuming session is up.
    pub(super) consuming: watch::Receiver<bool>,
    /// Whether Postgres answers.
    pub(super) ping: Arc<Ping>,
}

/// The last look at Postgres: when, and what was wrong. However many ask, one looks, and the others wait for
/// what it sees.
#[derive(Default)]
pub(super) struct Ping(Mutex<Option<(Instant, Option<String>)>>);

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

impl Health {
    /// 200 when nothing keeps the worker from being ready; else 503 with a line for each thing that does.
    pub(super) async fn ready(&self) -> Reply {
        let database = self.ping.problem(&self.worker).await;
        let problems = self.worker.problems(*self.consuming.borrow(), database);
        match problems.is_empty() {
            true => text(StatusCode::OK, "ready\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n"),
        }
    }

    /// OpenMetrics text.
    pub(super) fn metrics(&self) -> String {
        self.worker.metrics(*self.consuming.borrow())
    }
}
