//! One logout event, step by step. Each step is a file:
//!
//! 0. `enter`: find a usable schema, register
//! 1. `intake`: parse, `refuse` bad input, publish the denial
//! 2. `accept`: `prepare` the targets, their tokens sealed; commit event, targets and leases; acknowledge
//! 3. `revoke`: call the provider, refresh tokens first, through its admission
//! 4. `record`: publish the confirmation; commit attempts and results
//!
//! Beside it, `claim` takes up retries, what others left and what waits in incidents, `steer` follows what
//! operators do with those, `upkeep` keeps leases, takeovers and confirmations going, and `reports` writes
//! down what verifiers say of themselves. `beats` tells verifiers that the feed is alive, in its `turn` among
//! the workers, and `fold` keeps their start short.

mod accept;
mod beats;
mod claim;
mod copies;
mod correct;
mod early;
mod enter;
mod excess;
mod fold;
mod in_flight;
mod incidents;
mod intake;
mod job;
mod prepare;
mod recent;
mod record;
mod refuse;
mod reports;
mod revoke;
mod steer;
mod turn;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, SetOnce, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::approval::ApprovalRules;
use crate::authorization::Rates;
use crate::broker::{Beats, Publisher, QUEUES, Received, Refusals, Reports, Snapshots, Window};
use crate::clock::{Clock, Reading, Turn};
use crate::config::People;
use crate::event::{Lane, Rules};
use crate::invalidation::Composer;
use crate::report::Owners;
use crate::retry::Schedule;
use crate::seal::Keyring;
use crate::store::{SchemaError, Store, WorkerNo};
use crate::telemetry::Metrics;

pub use in_flight::{InFlight, InFlightGuard};
pub use incidents::{Incident, Incidents, Seat};
pub use job::{Context, HandBack, Job};
pub use recent::{Late, Recent};
pub use record::{Finished, Note};
pub use refuse::Unrecorded;

/// What every step needs.
pub struct Worker {
    /// Name in audit rows and messages.
    pub instance: String,
    /// This process in the database, once it is known there.
    pub number: SetOnce<WorkerNo>,
    /// How long its leases last without a sign of life.
    pub lease: Duration,
    /// Rules for events.
    pub rules: Rules,
    /// Seals and opens tokens.
    pub keyring: Keyring,
    /// Delays between attempts.
    pub schedule: Schedule,
    /// Budget of targets whose lifetime is unknown.
    pub give_up_after: Duration,
    /// Period of the feed's heartbeat.
    pub heartbeat: Duration,
    /// The providers by name, each behind its admission.
    pub admissions: BTreeMap<Arc<str>, Arc<Admission>>,
    /// The database.
    pub store: Store,
    /// The publishing connection.
    pub publisher: Publisher,
    /// The connection for refused messages.
    pub refusals: Refusals,
    /// Makes messages.
    pub composer: Composer,
    /// What time it is.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether the last call to Postgres succeeded.
    pub database_up: AtomicBool,
    /// The deliveries in hand.
    pub window: Arc<Window>,
    /// How often in a row what is in hand was to go back to the broker, because Postgres stayed away.
    pub returns: watch::Sender<u32>,
    /// Results on their way to the record.
    pub notes: mpsc::UnboundedSender<Note>,
    /// Who may report for which service's verifiers.
    pub verifier_owners: Owners,
    /// How much each sender may order at once.
    pub rates: Rates,
    /// Who is who, for the database.
    pub people: Option<People>,
    /// When a mass revocation needs a second person.
    pub approval: ApprovalRules,
    /// The incidents under way.
    pub incidents: Incidents,
    /// What was published in the last minute for older events.
    pub recent: Recent,
    /// Something may be due.
    pub due: Notify,
    /// The leased targets in memory.
    pub in_flight: InFlight,
    /// Refused messages on their way to the record.
    pub unrecorded: Unrecorded,
    /// Work under way, to be waited for at shutdown.
    pub tasks: TaskTracker,
    /// Take on nothing new.
    pub stop: CancellationToken,
}

/// Channels that join the steps; made once by the wiring.
pub struct Channels {
    /// Deliveries from each of the broker's queues of events.
    pub deliveries: [mpsc::UnboundedReceiver<Received>; QUEUES.len()],
    /// Results for the recorder.
    pub notes: mpsc::UnboundedReceiver<Note>,
    /// The session on the verifiers' reports, not yet running.
    pub reports: Reports,
    /// The session on the heartbeats, not yet running.
    pub beats: Beats,
    /// Makes snapshots.
    pub snapshots: Snapshots,
}

impl Worker {
    /// Runs every step until `stop`; returns when what was in flight is done. The recorder ends when the last
    /// job has reported.
    pub fn start(self: &Arc<Self>, channels: Channels, migrate: bool) -> Steps {
        let ((interactive, logouts), (mass, revocations)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let next = intake::Next { interactive, mass };
        let intakes = channels
            .deliveries
            .map(|deliveries| tokio::spawn(intake::run(self.clone(), deliveries, next.clone())));
        let accepts = [(Lane::Interactive, logouts), (Lane::Mass, revocations)]
            .map(|(lane, events)| tokio::spawn(accept::run(self.clone(), lane, events)));
        Steps {
            enter: tokio::spawn(enter::run(self.clone(), migrate)),
            intake: all(intakes),
            accept: all(accepts),
            refuse: self.once_entered(refuse::run(self.clone())),
            record: self.once_entered(record::run(self.clone(), channels.notes)),
            claim: self.once_entered(claim::run(self.clone())),
            reports: tokio::spawn(reports::run(self.clone(), channels.reports)),
            beats: tokio::spawn(beats::run(self.clone(), channels.beats)),
            fold: tokio::spawn(fold::run(self.clone(), channels.snapshots)),
            upkeep: self.once_entered(upkeep::run(self.clone())),
            steer: self.once_entered(steer::run(self.clone())),
        }
    }

    /// Starts a step that writes to Postgres when this worker is registered there.
    fn once_entered(self: &Arc<Self>, step: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let worker = self.clone();
        tokio::spawn(async move {
            if worker.entered().await.is_some() {
                step.await;
            }
        })
    }

    /// Waits until this worker is registered; `None` if it is stopped before.
    async fn entered(&self) -> Option<WorkerNo> {
        tokio::select! {
            number = self.number.wait() => Some(*number),
            () = self.stop.cancelled() => None,
        }
    }

    /// This worker's number, for steps that run once it is registered.
    fn number(&self) -> WorkerNo {
        self.number.get().copied().unwrap_or(WorkerNo(0))
    }

    /// Learns what time it is from a look at the database's clock; says so once when this machine's clock
    /// goes wrong, and when it is right again.
    fn learn_time(&self, reading: Reading) {
        let turn = self.clock.learn(reading);
        let Some(offset) = self.clock.offset() else { return };
        let ahead_ms = offset.millis();
        match turn {
            Some(Turn::WentOff) => tracing::error!(
                ahead_ms,
                "this machine's clock differs from the database's; times are taken from the database, but \
                    its time service needs a look"
            ),
            Some(Turn::CameBack) => {
                tracing::info!(ahead_ms, "this machine's clock agrees with the database's again")
            }
            None => {}
        }
    }

    /// Remembers whether Postgres answers; returns it.
    fn note_database(&self, up: bool) -> bool {
        if self.database_up.swap(up, Ordering::Relaxed) != up {
            if up {
                self.returns.send_replace(0);
                tracing::info!("database answers again");
            } else {
                tracing::error!(
                    "database does not answer; deliveries are held, denials go on until amqp.bytes_in_hand \
                        is used"
                );
            }
        }
        up
    }
}

/// Ends when the last of them does; aborts with the first that fails.
fn all<const N: usize>(tasks: [JoinHandle<()>; N]) -> JoinHandle<()> {
    tokio::spawn(async move { drop(futures::future::try_join_all(tasks).await) })
}

/// The running steps.
pub struct Steps {
    /// Registers; ends early only with an error.
    pub enter: JoinHandle<Result<(), SchemaError>>,
    /// Parses and denies.
    pub intake: JoinHandle<()>,
    /// Commits and acknowledges.
    pub accept: JoinHandle<()>,
    /// Puts refused messages away.
    pub refuse: JoinHandle<()>,
    /// Writes results.
    pub record: JoinHandle<()>,
    /// Takes up retries.
    pub claim: JoinHandle<()>,
    /// Writes verifiers' reports.
    pub reports: JoinHandle<()>,
    /// Tells verifiers that the feed is alive.
    pub beats: JoinHandle<()>,
    /// Folds the log.
    pub fold: JoinHandle<()>,
    /// Leases, takeovers, confirmations.
    pub upkeep: JoinHandle<()>,
    /// Follows what operators do with incidents.
    pub steer: JoinHandle<()>,
}
