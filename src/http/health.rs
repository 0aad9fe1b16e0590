//! Whether the worker is ready, and its figures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use revocation_http_server::{Reply, StatusCode, text};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::worker::Worker;

/// How long an answer of Postgres holds for all who ask.
const PING_HOLDS: Duration = Duration::from_secs(1);
/// How long a look may take before it says by itself that Postgres does not answer.
const PING_LASTS: Duration = Duration::from_secs(2);

/// What is looked at.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) worker: Arc<Worker>,
    /// Whether a consuming session is up.
    pub(super) consuming: watch::Receiver<bool>,
    /// Whether Postgres answers.
    pub(super) ping: Arc<Ping>,
}

/// The last look at Postgres: when, and what was wrong. However many ask, one looks and waits for what it
/// sees, and the others are told what was seen last: who waits keeps a connection, and there are few.
#[derive(Default)]
pub(super) struct Ping(Mutex<Looked>);

#[derive(Default)]
struct Looked {
    last: Option<(Instant, Option<String>)>,
    /// Since when a look is under way.
    looks_since: Option<Instant>,
}

impl Ping {
    /// What is wrong with Postgres. The look goes on where who asked has gone: else each who asks and goes
    /// would leave a session behind.
    async fn problem(self: &Arc<Self>, worker: &Arc<Worker>) -> Option<String> {
        if let Some(known) = self.known() {
            return known;
        }
        let (ping, worker) = (self.clone(), worker.clone());
        let look = async move {
            let problem = worker.ping().await;
            *ping.lock() = Looked { last: Some((Instant::now(), problem.clone())), looks_since: None };
            problem
        };
        tokio::spawn(look).await.unwrap_or_else(|error| Some(error.to_string()))
    }

    /// What can be said at once; `None`: it is time to look, which whoever asks does now.
    fn known(&self) -> Option<Option<String>> {
        let mut looked = self.lock();
        if let Some((_, problem)) = looked.last.as_ref().filter(|(at, _)| at.elapsed() < PING_HOLDS) {
            return Some(problem.clone());
        }
        let Some(since) = looked.looks_since else {
            looked.looks_since = Some(Instant::now());
            return None;
        };
        let seen = looked.last.as_ref().filter(|_| since.elapsed() < PING_LASTS);
        Some(match seen {
            Some((_, problem)) => problem.clone(),
            None => Some(format!("Postgres has not answered for {} s", since.elapsed().as_secs())),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Looked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
