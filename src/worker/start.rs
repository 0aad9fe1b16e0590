//! Starting the steps, and ending them in order.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::commit::{self, Commits};
use super::deliveries::Deliveries;
use super::job::ForRecord;
use super::parts::{Identity, Ports, Rules, Worker};
use super::{beats, checkpoints, claim, enter, fleet, fold, record, refuse, reports, upkeep, walk};
use crate::broker::{Beats, QUEUES, Received, Reports, Snapshots, Window};
use crate::store::SchemaError;

/// A worker that has not begun.
pub struct Idle {
    worker: Arc<Worker>,
    results: mpsc::UnboundedReceiver<ForRecord>,
}

/// What the broker brings, and the sessions that the worker runs itself.
pub struct Sessions {
    /// Deliveries from each of the broker's queues of events.
    pub deliveries: [mpsc::UnboundedReceiver<Received>; QUEUES.len()],
    /// The session on the verifiers' reports, not yet running.
    pub reports: Reports,
    /// The session on the heartbeats, not yet running.
    pub beats: Beats,
    /// Makes snapshots.
    pub snapshots: Snapshots,
}

/// The running steps.
pub struct Steps {
    worker: Arc<Worker>,
    /// Registers; ends early only with an error.
    enter: JoinHandle<Result<(), SchemaError>>,
    /// End when told to stop, once what they hold is handed on.
    taking: Vec<Step>,
    /// Ends when the last job has reported.
    record: Step,
    /// Heartbeats.
    beats: Step,
    /// Go on until the last work is finished: the lease, and how incidents are steered.
    lasting: [Step; 2],
}

struct Step {
    name: &'static str,
    task: JoinHandle<()>,
}

/// A step ended that never should.
pub struct Ended {
    /// Which.
    pub step: &'static str,
    /// Why the worker could not register, if that was it.
    pub error: Option<SchemaError>,
}

impl Idle {
    /// A worker of these parts, which takes on nothing new once `stop` is cancelled.
    pub fn new(
        (me, rules, ports): (Identity, Rules, Ports),
        window: Arc<Window>,
        stop: CancellationToken,
    ) -> Self {
        let (worker, results) = Worker::new((me, rules, ports), window, stop);
        Self { worker: Arc::new(worker), results }
    }

    /// How often in a row what is in hand is to go back to the broker, because Postgres stays away.
    pub fn returns(&self) -> watch::Receiver<u32> {
        self.worker.live.postgres.returns()
    }

    /// The deliveries in hand, as the broker's session is to bound them.
    pub fn window(&self) -> Arc<Window> {
        self.worker.live.window.clone()
    }

    /// Runs every step.
    pub fn start(self, sessions: Sessions, migrate: bool) -> Steps {
        let Self { worker, results } = self;
        let Sessions { deliveries, reports, beats, snapshots } = sessions;
        let (commits, lanes) = Commits::new();
        let mut taking: Vec<Step> = deliveries
            .map(|queue| step("walk", walk::run(worker.clone(), Deliveries::new(queue), commits.clone())))
            .into();
        taking.extend(lanes.map(|(lane, events)| step("commit", commit::run(worker.clone(), lane, events))));
        taking.extend([
            once_entered(&worker, "refuse", refuse::run(worker.clone())),
            once_entered(&worker, "claim", claim::run(worker.clone())),
            once_entered(&worker, "checkpoints", checkpoints::run(worker.clone())),
            step("reports", reports::run(worker.clone(), reports)),
            step("fold", fold::run(worker.clone(), snapshots)),
        ]);
        Steps {
            enter: tokio::spawn(enter::run(worker.clone(), migrate)),
            taking,
            record: once_entered(&worker, "record", record::run(worker.clone(), results)),
            beats: step("beats", beats::run(worker.clone(), beats)),
            lasting: [
                once_entered(&worker, "upkeep", upkeep::run(worker.clone())),
                once_entered(&worker, "fleet", fleet::run(worker.clone())),
            ],
            worker,
        }
    }
}

fn step(name: &'static str, run: impl Future<Output = ()> + Send + 'static) -> Step {
    Step { name, task: tokio::spawn(run) }
}

/// Starts a step that writes to Postgres when this worker is registered there.
fn once_entered(
    worker: &Arc<Worker>,
    name: &'static str,
    run: impl Future<Output = ()> + Send + 'static,
) -> Step {
    let worker = worker.clone();
    step(name, async move {
        if worker.entered().await.is_some() {
            run.await;
        }
    })
}

impl Steps {
    /// The worker, to be looked at.
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// Returns when one of them has ended.
    pub async fn ended(&mut self) -> Ended {
        let Self { enter, taking, record, beats, lasting, .. } = self;
        let others = taking.iter_mut().chain([record, beats]).chain(lasting);
        let (names, tasks): (Vec<_>, Vec<_>) = others.map(|step| (step.name, &mut step.task)).unzip();
        tokio::select! {
            entered = enter => Ended { step: "enter", error: entered.ok().and_then(Result::err) },
            (_, index, _) = select_all(tasks) => Ended { step: names[index], error: None },
        }
    }

    /// Takes on nothing new, and waits until what is in flight is finished and on record.
    pub async fn drain(&mut self) {
        self.worker.live.stop.cancel();
        for step in &mut self.taking {
            step.end().await;
        }
        // Only now: to the recorder, a closed tracker with no task in it is the end of all work.
        self.worker.live.tasks.close();
        self.worker.live.tasks.wait().await;
        self.record.end().await;
    }

    /// Says for the last time what was published. Whoever goes on publishing after this is not heard.
    pub async fn say_goodbye(&self) {
        self.beats.task.abort();
        self.worker.say_goodbye().await;
    }

    /// Ends the rest, and the lease, `within` that time; returns whether that worked.
    pub async fn leave(self, within: Duration) -> bool {
        self.lasting.iter().for_each(|step| step.task.abort());
        let store = &self.worker.ports.store;
        let left = async {
            match self.worker.me.number.get() {
                Some(number) => store.end(*number).await,
                None => Ok(()),
            }
        };
        let left = tokio::time::timeout(within, left).await;
        store.close().await;
        self.worker.live.postgres.close();
        matches!(left, Ok(Ok(())))
    }
}

impl Step {
    /// Waits for it. One whose end was seen must not be polled again: that would panic.
    async fn end(&mut self) {
        if !self.task.is_finished() {
            drop((&mut self.task).await);
        }
    }
}
