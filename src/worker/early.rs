//! What is held while nothing can be committed: before this worker is registered, and while Postgres stays
//! away.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Worker;
use super::intake::Taken;

/// How long a delivery may be held while Postgres is away. Then what is in hand goes back to the broker, long
/// before its own 30 minutes end, and is taken, and denied, again.
const LONGEST_HOLD: Duration = Duration::from_secs(600);
/// How often it is looked whether what is held before this worker is registered is still of use.
const LOOK: Duration = Duration::from_secs(1);

/// What arrives before this worker is registered; `None` if it is stopped before.
pub(super) async fn early(
    worker: &Worker,
    events: &mut mpsc::UnboundedReceiver<Taken>,
) -> Option<VecDeque<Taken>> {
    let (mut early, mut began, mut looks) = (VecDeque::new(), Instant::now(), tokio::time::interval(LOOK));
    loop {
        tokio::select! {
            number = worker.entered() => return number.map(|_| early),
            taken = events.recv() => early.push_back(taken?),
            _ = looks.tick() => {
                early.retain(|taken| !taken.received.is_stale());
                if early.is_empty() {
                    began = Instant::now();
                }
                hand_back_after_long(worker, &mut began);
            }
        }
    }
}

/// Has what is in hand go back to the broker once it has been held for long.
pub(super) fn hand_back_after_long(worker: &Worker, began: &mut Instant) {
    if began.elapsed() > LONGEST_HOLD {
        *began = Instant::now();
        worker.returns.send_modify(|returns| *returns += 1);
    }
}
