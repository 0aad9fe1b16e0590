//! The feed's heartbeats: beside the events, without Postgres, from the first moment on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use revocation_verifier::feed::Incoming;
use tokio::sync::mpsc;

use super::announce::Announcer;
use super::parts::Worker;
use super::turn::{Turn, Turns};
use crate::broker::{Beats, Heard};

/// How long a mark may take to be confirmed before it is tried again. Without one, the log is not there to
/// vouch for.
const MARKED_WITHIN: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// How long no heartbeat vouches for a log that may lack what is about to be published again. Without
/// Postgres that is not known.
const REPUBLISHED_WITHIN: Duration = Duration::from_secs(2);
/// What is published in a burst is looked at together.
const TOGETHER: Duration = Duration::from_millis(20);

/// Runs until aborted: heartbeats go on while the last work is finished.
pub(super) async fn run(worker: Arc<Worker>, beats: Beats) {
    let (sink, heard) = mpsc::channel(usize::from(Beats::PREFETCH));
    tokio::join!(beats.run(sink), take_turns(&worker, heard));
}

async fn take_turns(worker: &Worker, mut heard: mpsc::Receiver<Heard>) {
    let mut turns =
        Turns::new(worker.ports.verifiers.publisher().name(), worker.rules.heartbeat, Instant::now());
    let mut waited_for = 0;
    loop {
        wait_for_what_was_lost(&worker.ports.verifiers, &mut waited_for).await;
        while let Ok(heard) = heard.try_recv() {
            note(&mut turns, heard);
        }
        let done = match turns.turn(&worker.ports.verifiers.publisher().standing(), Instant::now()) {
            Turn::Mark => mark(&worker.ports.verifiers, &mut turns).await && beat(worker, &mut turns).await,
            Turn::Beat => beat(worker, &mut turns).await,
            Turn::Wait(until) => {
                tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    () = moved(&worker.ports.verifiers) => {}
                    Some(heard) = heard.recv() => note(&mut turns, heard),
                }
                true
            }
        };
        if !done {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Waits until something was published or confirmed, and a moment for more.
async fn moved(verifiers: &Announcer) {
    verifiers.publisher().moved().await;
    tokio::time::sleep(TOGETHER).await;
}

fn note(turns: &mut Turns, heard: Heard) {
    let now = Instant::now();
    match heard {
        Heard::Listening => turns.listens(true, now),
        Heard::Deaf => turns.listens(false, now),
        Heard::Beat(body) => {
            if let (Incoming::Heartbeat(_, progress), _) = Incoming::parse(&body) {
                turns.heard(progress, now);
            }
        }
    }
}

/// Once after each loss of the broker, on the next connection.
async fn wait_for_what_was_lost(verifiers: &Announcer, waited_for: &mut u64) {
    let loss = *verifiers.publisher().losses().borrow();
    let is_connected = verifiers.publisher().standing().link > 0;
    if is_connected && loss > std::mem::replace(waited_for, loss) {
        let mut republished = verifiers.republished.subscribe();
        let wait = republished.wait_for(|republished| *republished >= loss);
        drop(tokio::time::timeout(REPUBLISHED_WITHIN, wait).await);
    }
}

/// Marks the log; returns whether the broker has confirmed it.
async fn mark(verifiers: &Announcer, turns: &mut Turns) -> bool {
    let link = verifiers.publisher().standing().link;
    let is_marked = verifiers.mark(MARKED_WITHIN).await;
    if is_marked {
        turns.marked(link, Instant::now());
    }
    is_marked
}

async fn beat(worker: &Worker, turns: &mut Turns) -> bool {
    let (standing, now) = (worker.ports.verifiers.publisher().standing(), Instant::now());
    turns.sent(standing, now);
    worker.ports.verifiers.beat(&standing, Some(turns.mark_age(now)), worker.rules.heartbeat).await
}

impl Worker {
    /// Says for the last time what was published, so that nobody has to wait for it to be found out.
    pub(super) async fn say_goodbye(&self) {
        let standing = self.ports.verifiers.publisher().standing();
        self.ports.verifiers.beat(&standing, None, self.rules.heartbeat).await;
    }
}
