//! The feed's heartbeats: beside the events, without Postgres, from the first moment on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use revocation_verifier::feed::Incoming;
use tokio::sync::mpsc;

use super::announce::Announcer;
use super::beat_schedule::{BeatSchedule, Due};
use super::parts::Worker;
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
    let mut schedule =
        BeatSchedule::new(worker.ports.verifiers.publisher().name(), worker.rules.heartbeat, Instant::now());
    let mut waited_for = 0;
    loop {
        wait_for_what_was_lost(&worker.ports.verifiers, &mut waited_for).await;
        while let Ok(heard) = heard.try_recv() {
            note(&mut schedule, heard);
        }
        let done = match schedule.due(&worker.ports.verifiers.publisher().standing(), Instant::now()) {
            Due::Mark => {
                mark(&worker.ports.verifiers, &mut schedule).await && beat(worker, &mut schedule).await
            }
            Due::Beat => beat(worker, &mut schedule).await,
            Due::Wait(until) => {
                tokio::select! {
                    () = tokio::time::sleep_until(until.into()) => {}
                    () = moved(&worker.ports.verifiers) => {}
                    Some(heard) = heard.recv() => note(&mut schedule, heard),
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

fn note(schedule: &mut BeatSchedule, heard: Heard) {
    let now = Instant::now();
    match heard {
        Heard::Listening => schedule.listens(true, now),
        Heard::Deaf => schedule.listens(false, now),
        Heard::Beat(body) => {
            if let (Incoming::Heartbeat(_, progress), _) = Incoming::parse(&body) {
                schedule.heard(progress, now);
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
async fn mark(verifiers: &Announcer, schedule: &mut BeatSchedule) -> bool {
    let link = verifiers.publisher().standing().link;
    let is_marked = verifiers.mark(MARKED_WITHIN).await;
    if is_marked {
        schedule.marked(link, Instant::now());
    }
    is_marked
}

async fn beat(worker: &Worker, schedule: &mut BeatSchedule) -> bool {
    let (standing, now) = (worker.ports.verifiers.publisher().standing(), Instant::now());
    schedule.sent(standing, now);
    worker.ports.verifiers.beat(&standing, Some(schedule.mark_age(now)), worker.rules.heartbeat).await
}

impl Worker {
    /// Says for the last time what was published, so that nobody has to wait for it to be found out.
    pub(super) async fn say_goodbye(&self) {
        let standing = self.ports.verifiers.publisher().standing();
        self.ports.verifiers.beat(&standing, None, self.rules.heartbeat).await;
    }
}
