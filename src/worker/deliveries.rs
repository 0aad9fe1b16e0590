//! The deliveries of one queue, in fair turns among broker users.

use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::admission::FairQueue;
use crate::broker::Received;

/// Most events of one queue whose denials are on their way at once: what is on its way is in nobody's turn
/// any more. More than the broker confirms within its usual answer.
const DENIALS: usize = 1024;

/// What any message costs of its user's share, in bytes of its body: empty ones are work, too.
const LEAST_COST: usize = 1024;

/// What has arrived and waits for its turn.
pub(super) struct Deliveries {
    arriving: mpsc::UnboundedReceiver<Received>,
    waiting: FairQueue<Received, 1>,
    denials: Arc<Semaphore>,
}

/// A delivery whose turn it is.
pub(super) struct Delivery {
    pub(super) received: Received,
    /// Its place among the denials on their way.
    pub(super) place: OwnedSemaphorePermit,
}

impl Deliveries {
    pub(super) fn new(arriving: mpsc::UnboundedReceiver<Received>) -> Self {
        Self { arriving, waiting: FairQueue::default(), denials: Arc::new(Semaphore::new(DENIALS)) }
    }

    /// The next; `None` at the end. Once stopped, what is not yet parsed stays unacknowledged, for the next
    /// worker.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Option<Delivery> {
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            next = self.turn() => next,
        }
    }

    /// Whoever's turn it is of what has arrived: of each user as many bytes as of the others, so that a flood
    /// is not in front of everybody else's denials.
    async fn turn(&mut self) -> Option<Delivery> {
        let place = self.denials.clone().acquire_owned().await.ok()?;
        let cost = |received: &Received| LEAST_COST + received.body.bytes().len();
        self.waiting.gather(&mut self.arriving, |received| (received.origin.party(), cost(received))).await?;
        // What waits here is had without waiting: others of this thread have their turn, too.
        tokio::task::coop::consume_budget().await;
        Some(Delivery { received: self.waiting.take(0)?, place })
    }
}

/// SHA-256 of a message's body.
pub(super) fn body_sha256(received: &Received) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, received.body.bytes()).as_ref());
    sha256
}
