//! What the page shows is looked up at most once a second, whoever asks how often, and only when somebody
//! asks. While a look takes its time, or fails, the last one is shown with its age.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::StoreError;

/// Shortest time between two looks.
const HOLDS: Duration = Duration::from_secs(1);
/// One that took a second or less is not repeated before so many times as long have passed: looking costs
/// Postgres a tenth of one session at most.
const REST: u32 = 9;
/// But not for longer.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// How long somebody who asks waits for a look.
const PATIENCE: Duration = Duration::from_secs(2);

/// What tells more.
const TRY: &str = "`revocation-worker check` says what is wrong";

/// A thing that is looked at.
pub(super) struct Look<T> {
    last: watch::Sender<Last<T>>,
    turn: Mutex<Refresh>,
    holds: Duration,
    patience: Duration,
}

/// When to look again.
struct Refresh {
    is_under_way: bool,
    next_at: Instant,
}

/// What was seen last.
struct Last<T> {
    /// And when.
    seen: Option<(Arc<T>, Instant)>,
    /// What was wrong with the last look.
    problem: Option<String>,
}

/// What is shown.
pub(super) struct Shown<T> {
    /// What was seen, if anything ever was, and how long ago.
    pub(super) seen: Option<(Arc<T>, Duration)>,
    /// Why nothing newer was.
    pub(super) problem: Option<String>,
}

impl<T> Default for Look<T> {
    fn default() -> Self {
        Self::with(HOLDS, PATIENCE)
    }
}

impl<T> Look<T> {
    fn with(holds: Duration, patience: Duration) -> Self {
        let last = Last { seen: None, problem: None };
        let turn = Refresh { is_under_way: false, next_at: Instant::now() };
        Self { last: watch::Sender::new(last), turn: Mutex::new(turn), holds, patience }
    }

    fn lock(&self) -> MutexGuard<'_, Refresh> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, problem: Option<String>) -> Shown<T> {
        let last = self.last.borrow();
        Shown {
            seen: last.seen.as_ref().map(|(what, at)| (what.clone(), at.elapsed())),
            problem: problem.or_else(|| last.problem.clone()),
        }
    }
}

impl<T: Send + Sync + 'static> Look<T> {
    /// What there is to see, by `look` if it is time for one. The look goes on where who asked has gone.
    pub(super) async fn get<L>(self: &Arc<Self>, look: impl FnOnce() -> L) -> Shown<T>
    where
        L: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        if let Some(mut last) = self.under_way(look) {
            let problem = match tokio::time::timeout(self.patience, last.changed()).await {
                Ok(_) => None,
                Err(_) => {
                    Some(format!("Postgres has not answered this page within {:?}; {TRY}", self.patience))
                }
            };
            return self.shown(problem);
        }
        self.shown(None)
    }

    /// What tells of the end of the look that is under way, or begins now.
    fn under_way<L>(self: &Arc<Self>, look: impl FnOnce() -> L) -> Option<watch::Receiver<Last<T>>>
    where
        L: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let mut turn = self.lock();
        if !turn.is_under_way && Instant::now() >= turn.next_at {
            turn.is_under_way = true;
            tokio::spawn(self.clone().end(look()));
        }
        // Its end takes the same lock: none is missed.
        turn.is_under_way.then(|| self.last.subscribe())
    }

    async fn end(self: Arc<Self>, look: impl Future<Output = Result<T, StoreError>>) {
        let began = Instant::now();
        let looked = look.await;
        let took = began.elapsed();
        let mut turn = self.lock();
        let rests = if looked.is_ok() { self.holds.max((took * REST).min(LONGEST_REST)) } else { self.holds };
        *turn = Refresh { is_under_way: false, next_at: Instant::now() + rests };
        self.last.send_modify(|last| match looked {
            Ok(what) => (last.seen, last.problem) = (Some((Arc::new(what), Instant::now())), None),
            Err(error) => last.problem = Some(format!("{error}; {TRY}")),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn away() -> StoreError {
        StoreError::Timeout("look", Duration::from_secs(1))
    }

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_cost_one_look() {
        let (look, looks) = (Arc::new(Look::with(LONG, LONG)), Arc::new(AtomicUsize::new(0)));
        for _again in 0..3 {
            let asking = (0..100).map(|_| {
                let looks = looks.clone();
                look.get(move || async move { Ok(looks.fetch_add(1, Ordering::Relaxed) + 1) })
            });
            for shown in futures::future::join_all(asking).await {
                assert_eq!(shown.seen.map(|(seen, _)| *seen), Some(1));
            }
        }
        assert_eq!(looks.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_look_that_fails_or_hangs_leaves_the_last_one() {
        let look = Arc::new(Look::with(Duration::ZERO, Duration::from_millis(20)));
        assert_eq!(look.get(|| async { Err(away()) }).await.seen.map(|(seen, _)| *seen), None::<u8>);
        look.lock().next_at = Instant::now();
        assert_eq!(look.get(|| async { Ok(1) }).await.seen.map(|(seen, _)| *seen), Some(1));
        look.lock().next_at = Instant::now();
        let failed = look.get(|| async { Err(away()) }).await;
        assert!(failed.seen.is_some_and(|(seen, _)| *seen == 1) && failed.problem.is_some());
        let end = Arc::new(Notify::new());
        let waits = end.clone();
        let hangs = look.get(move || async move {
            waits.notified().await;
            Ok(2)
        });
        let hangs = hangs.await;
        assert!(hangs.seen.is_some_and(|(seen, _)| *seen == 1));
        assert!(hangs.problem.is_some_and(|problem| problem.contains("20ms")));
        let mut last = look.last.subscribe();
        end.notify_one();
        last.changed().await.expect("it goes on");
        assert!(look.shown(None).seen.is_some_and(|(seen, _)| *seen == 2));
    }

    #[tokio::test]
    async fn a_look_that_took_long_is_not_repeated_soon() {
        let look = Arc::new(Look::with(Duration::ZERO, LONG));
        let began = Instant::now();
        look.get(|| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(1)
        })
        .await;
        let rest = look.lock().next_at - began;
        assert!(rest >= Duration::from_millis(20) * (REST + 1), "{rest:?}");
    }
}
