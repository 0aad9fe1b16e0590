//! What a worker consists of: who it is, the rules it goes by, its ports to the world, and its live state. A
//! step names the part that it touches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use revocation_evidence::SigningKey;
use time::OffsetDateTime;
use tokio::sync::{Notify, SetOnce, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::ahead::{Ahead, Group};
use super::announce::Announcer;
use super::in_flight::InFlight;
use super::incidents::Incidents;
use super::job::{ForRecord, Guards, HandBack};
use super::keyless::Keyless;
use super::postgres::Postgres;
use super::refused::Unrecorded;

use crate::admission::{Admission, Room};
use crate::approval::ApprovalRules;
use crate::authorization::Rates;
use crate::broker::{Refusals, Window};
use crate::clock::{Clock, Reading, Swing};
use crate::config::People;
use crate::event;
use crate::report::Owners;
use crate::retry::Schedule;
use crate::seal::Keyring;
use crate::senders::Known;
use crate::store::{Store, WorkerNo};
use crate::target::TargetId;
use crate::telemetry::Metrics;
use crate::trace::Spans;

/// What every step works with.
pub struct Worker {
    pub(super) me: Identity,
    pub(super) rules: Rules,
    pub(super) ports: Ports,
    pub(super) live: Live,
}

/// Who this worker is.
pub struct Identity {
    /// Name in audit rows and messages.
    pub instance: String,
    /// How long its leases last without a sign of life.
    pub lease: Duration,
    /// This process in the database, once it is known there.
    pub(super) number: SetOnce<WorkerNo>,
}

impl Identity {
    /// A worker that is not registered yet.
    pub fn new(instance: String, lease: Duration) -> Self {
        Self { instance, lease, number: SetOnce::new() }
    }
}

/// What is configured, and does not change while the worker runs.
pub struct Rules {
    /// How events are read, and who may order what.
    pub events: event::Rules,
    /// Delays between attempts.
    pub schedule: Schedule,
    /// Budget of targets whose lifetime is unknown.
    pub give_up_after: Duration,
    /// Period of the feed's heartbeat.
    pub heartbeat: Duration,
    /// When a mass revocation needs a second person.
    pub approval: ApprovalRules,
    /// Who is who, for the database.
    pub people: Option<People>,
    /// Who may report for which service's verifiers.
    pub verifier_owners: Owners,
    /// How often a checkpoint of the record is made.
    pub checkpoint_every: Duration,
}

/// The ways to the world outside.
pub struct Ports {
    /// The database.
    pub store: Store,
    /// Tells verifiers.
    pub verifiers: Announcer,
    /// The connection for refused messages.
    pub refusals: Refusals,
    /// The providers by name, each behind its admission.
    pub admissions: BTreeMap<Arc<str>, Arc<Admission>>,
    /// Whose signatures count, by name.
    pub senders: BTreeMap<String, Known>,
    /// Seals and opens tokens.
    pub keyring: Keyring,
    /// Signs checkpoints of the record.
    pub signing_key: Option<SigningKey>,
    /// What time it is.
    pub clock: Clock,
    /// Where spans go.
    pub spans: Spans,
    /// Metrics.
    pub metrics: Metrics,
}

/// What is under way.
pub(super) struct Live {
    /// Whether Postgres answers.
    pub(super) postgres: Postgres,
    /// The deliveries in hand.
    pub(super) window: Arc<Window>,
    /// How much each sender may order at once.
    pub(super) rates: Rates,
    /// The incidents under way.
    pub(super) incidents: Incidents,
    /// Something may be due.
    pub(super) due: Notify,
    /// The leased targets in memory.
    pub(super) in_flight: InFlight,
    /// Leased targets for which memory has no room yet.
    pub(super) ahead: Ahead,
    /// Refused messages on their way to the record.
    pub(super) unrecorded: Unrecorded,
    /// Signed events whose senders' keys cannot be fetched.
    pub(super) keyless: Keyless,
    /// Results on their way to the record.
    pub(super) record: mpsc::UnboundedSender<ForRecord>,
    /// Work under way, to be waited for at shutdown.
    pub(super) tasks: TaskTracker,
    /// Take on nothing new.
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// A worker that has nothing to do yet, and where its results arrive.
    pub(super) fn new(
        (me, rules, ports): (Identity, Rules, Ports),
        window: Arc<Window>,
        stop: CancellationToken,
    ) -> (Self, mpsc::UnboundedReceiver<ForRecord>) {
        let (record, results) = mpsc::unbounded_channel();
        let keyless = Keyless::new(window.set_aside_at_most());
        let live = Live {
            postgres: Postgres::default(),
            window,
            rates: Rates::default(),
            incidents: Incidents::default(),
            due: Notify::new(),
            in_flight: InFlight::default(),
            ahead: Ahead::default(),
            unrecorded: Unrecorded::default(),
            keyless,
            record,
            tasks: TaskTracker::new(),
            stop,
        };
        (Self { me, rules, ports, live }, results)
    }

    /// Waits until this worker is registered; `None` if it is stopped before.
    pub(super) async fn entered(&self) -> Option<WorkerNo> {
        tokio::select! {
            number = self.me.number.wait() => Some(*number),
            () = self.live.stop.cancelled() => None,
        }
    }

    /// This worker's number, for steps that run once it is registered.
    pub(super) fn number(&self) -> WorkerNo {
        self.me.number.get().copied().unwrap_or(WorkerNo(0))
    }

    /// What holds a place for a target of `incident` as long as it is in memory.
    pub(super) fn guards(&self, id: TargetId, incident: Option<&str>, room: Room) -> Guards {
        let incident = incident.map(|name| self.live.incidents.of(name).guard());
        Guards { _room: room, target: self.live.in_flight.hold(id), incident }
    }

    /// Hands targets back that were leased ahead.
    pub(super) fn hand_back(&self, groups: impl IntoIterator<Item = Group>) {
        for (targets, since) in groups.into_iter().map(Group::into_targets) {
            for target in targets {
                // No recorder: the process is ending, and the lease is taken over.
                drop(self.live.record.send(ForRecord::HandBack(HandBack::of(
                    (target.id(), 1),
                    since,
                    target,
                ))));
            }
        }
    }

    /// Has it recorded that an event's denial is confirmed.
    pub(super) fn note_denied(&self, row: Uuid, at: OffsetDateTime) {
        // No recorder: the process is ending; the next worker finds the event not known to be denied and
        // denies it again.
        drop(self.live.record.send(ForRecord::Denied(row, at)));
    }

    /// Learns what time it is from a reading of the database's clock; says so once when this machine's clock
    /// goes wrong, and when it is right again.
    pub(super) fn learn_time(&self, reading: Reading) {
        let turn = self.ports.clock.learn(reading);
        let Some(offset) = self.ports.clock.offset() else { return };
        let ahead_ms = offset.millis();
        match turn {
            Some(Swing::WentOff) => tracing::error!(
                ahead_ms,
                "this machine's clock differs from the database's; times are taken from the database, but \
                    its time service needs a look"
            ),
            Some(Swing::CameBack) => {
                tracing::info!(ahead_ms, "this machine's clock agrees with the database's again")
            }
            None => {}
        }
    }
}
