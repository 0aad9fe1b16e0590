//! What happens while Postgres is away.
//!
//! | what | then | where |
//! |---|---|---|
//! | denials | need the broker alone: they go on until their queue's share of memory is used | `walk` |
//! | an incident that is not known here | is judged by what its event says | `intake` |
//! | events | are held, and their commit repeated | here, `commit` |
//! | events that are held for long | go back to the broker (`broker/intake.rs` says how often) | here |
//! | refused messages | wait without long bodies, for which they are delivered again later | `refuse` |
//! | results and targets handed back | are written again and again; the work is not repeated | here |
//! | targets that are due | stay in Postgres, and are looked for again | `claim` |
//! | verifiers' reports | are dropped: the next one follows | `reports` |
//! | the lease | is renewed once Postgres answers; nobody could take its targets over meanwhile | `upkeep` |
//! | the start | tries again until the schema can be read | `enter` |
//! | `/readyz` | answers 503 | `readiness` |
//!
//! Where it answers and takes no writes, that is remembered until one works (`store/writes.rs`, `upkeep`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::again::Again;
use crate::store::StoreError;

/// How long a delivery may be held while Postgres is away. Then what is in hand goes back to the broker, long
/// before its own 30 minutes end, and is taken, and denied, again.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(600);
/// How often what is held before this worker is registered is searched for what is of no more use.
const SEARCH: Duration = Duration::from_secs(1);

/// Whether Postgres answers, as the last call saw it.
pub(super) struct Postgres {
    is_up: AtomicBool,
    /// How often in a row what is in hand was to go back to the broker, because Postgres stayed away.
    returns: watch::Sender<u32>,
}

impl Default for Postgres {
    fn default() -> Self {
        Self { is_up: AtomicBool::new(true), returns: watch::Sender::new(0) }
    }
}

impl Postgres {
    /// Whether the last call succeeded.
    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Remembers whether a call succeeded, and says so where that has changed.
    pub(super) fn note(&self, up: bool) {
        if self.is_up.swap(up, Ordering::Relaxed) == up {
            return;
        }
        if up {
            self.returns.send_replace(0);
            tracing::info!("database does what it is asked again");
        } else {
            tracing::error!(
                "database does not do what it is asked; deliveries are held, denials go on until \
                    amqp.bytes_in_hand is used"
            );
        }
    }

    /// The worker leaves: Postgres is not called any more.
    pub(super) fn close(&self) {
        self.is_up.store(false, Ordering::Relaxed);
    }

    /// How often in a row what is in hand was to go back to the broker; 0 once Postgres answers.
    pub(super) fn returns(&self) -> watch::Receiver<u32> {
        self.returns.subscribe()
    }

    /// Has what is in hand go back to the broker once it has been held for long.
    pub(super) fn hand_back_after_long(&self, held_since: &mut Instant) {
        if held_since.elapsed() > LONGEST_HOLD {
            *held_since = Instant::now();
            self.returns.send_modify(|returns| *returns += 1);
        }
    }

    /// Holds what arrives until the worker is `registered`; `None` if that never comes.
    pub(super) async fn hold<T, N>(
        &self,
        registered: impl Future<Output = Option<N>>,
        arriving: &mut mpsc::UnboundedReceiver<T>,
        is_stale: impl Fn(&T) -> bool,
    ) -> Option<VecDeque<T>> {
        let (mut held, mut since, mut searches) =
            (VecDeque::new(), Instant::now(), tokio::time::interval(SEARCH));
        tokio::pin!(registered);
        loop {
            tokio::select! {
                number = &mut registered => return number.map(|_| held),
                arrived = arriving.recv() => held.push_back(arrived?),
                _ = searches.tick() => {
                    held.retain(|one| !is_stale(one));
                    if held.is_empty() {
                        since = Instant::now();
                    }
                    self.hand_back_after_long(&mut since);
                }
            }
        }
    }

    /// Repeats a write until Postgres has taken it. What it refuses for good is given up with an alarm;
    /// `upkeep` frees its targets.
    pub(super) async fn persist<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &str,
        write: impl Fn() -> F,
    ) -> Option<T> {
        let mut again = Again::until_it_works();
        loop {
            match write().await {
                Ok(done) => {
                    self.note(true);
                    return Some(done);
                }
                Err(error) if !error.is_passing() => {
                    tracing::error!(%error, what, "the database refused a record; it is given up, and its \
                        targets are tried again");
                    return None;
                }
                Err(error) => {
                    self.note(false);
                    let failures = again.failed();
                    tracing::warn!(%error, what, failures, "not recorded yet");
                    again.rest().await;
                }
            }
        }
    }
}
