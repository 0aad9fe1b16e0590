//! One incident, as this worker last polled it: its throttle, and how much of it may be claimed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fuse::{Counted, Fuse, Ordered};
use crate::store::ActiveIncident;

/// Work of a throttled incident is taken on for this long ahead.
const AHEAD: Duration = Duration::from_secs(1);
/// Most targets of one incident that are claimable at once: beyond that, those that were tried come first.
pub(super) const MOST_CLAIMABLE: i64 = 20_000;

/// How an incident is steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncidentState {
    /// Its targets are revoked.
    #[default]
    Running,
    /// Nothing more is denied or revoked until a second person approves.
    AwaitingApproval,
    /// Nothing is revoked; denials go on.
    Paused,
    /// Nothing more happens.
    Cancelled,
}

impl IncidentState {
    fn parse(state: &str) -> Self {
        match state {
            "running" => Self::Running,
            "paused" => Self::Paused,
            "cancelled" => Self::Cancelled,
            _ => Self::AwaitingApproval,
        }
    }
}

/// One incident, as this worker last polled it.
pub struct Incident {
    name: String,
    polled: Mutex<Polled>,
    /// Targets in memory.
    in_flight: AtomicI64,
}

#[derive(Default)]
pub(super) struct Polled {
    state: IncidentState,
    pub(super) fuse: Fuse,
    claimable: i64,
    withheld: bool,
    providers: Vec<String>,
    /// This worker's part of the throttle.
    rate: Option<f64>,
    /// Token bucket: the calls made so far use up the rate until this instant.
    used_until: Option<Instant>,
    /// Counts the changes of the rate.
    pub(super) era: u64,
}

/// An event of an incident that has come and is not on record. Dropped, it is given up; the broker delivers
/// it again.
pub(in crate::worker) struct Arrival {
    incident: Arc<Incident>,
    counted: Option<Counted>,
}

/// A target's turn, at the rate of that time.
#[derive(Clone, Copy)]
pub struct Turn(pub(super) u64);

/// In-flight guard of an incident: one more of its targets is in memory as long as this lives.
pub struct IncidentGuard(Arc<Incident>);

/// How much of an incident to claim.
pub struct Share {
    /// The incident.
    pub incident: Arc<Incident>,
    /// Providers with open targets.
    pub providers: Vec<String>,
    /// Most targets.
    pub most: usize,
    /// Whether targets may become claimable that still wait for their turn.
    pub lets_in: bool,
}

impl Incident {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), polled: Mutex::default(), in_flight: AtomicI64::new(0) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn update(&self, row: ActiveIncident, workers: i64) {
        let mut polled = self.polled();
        polled.fuse.update(&row);
        polled.state = IncidentState::parse(&row.state);
        polled.claimable = row.claimable;
        polled.withheld = row.withheld;
        polled.providers = row.providers;
        let rate = row.throttle_per_s.map(|rate| f64::from(rate) / workers.max(1) as f64);
        if polled.rate != rate {
            (polled.rate, polled.used_until) = (rate, None);
            polled.era += 1;
        }
    }

    pub(super) fn polled(&self) -> MutexGuard<'_, Polled> {
        // Nothing under this lock can panic half-way.
        self.polled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is steered.
    pub fn state(&self) -> IncidentState {
        self.polled().state
    }

    /// Whether targets may be revoked now: it runs, and all that is on record of it is denied.
    pub fn may_be_revoked(&self) -> bool {
        let polled = self.polled();
        polled.state == IncidentState::Running && !polled.withheld
    }

    /// Whether denials that were withheld may be published now.
    pub(super) fn may_be_denied(&self) -> bool {
        let polled = self.polled();
        polled.withheld && matches!(polled.state, IncidentState::Running | IncidentState::Paused)
    }

    /// Counts an event that has come, where one person may order `above` targets. Returns whether its denial
    /// is withheld: it needs an approval, came behind one that does, or the incident is not to go on.
    pub(super) fn arrive(self: &Arc<Self>, order: &Ordered, above: i64) -> (Arrival, bool) {
        let mut polled = self.polled();
        let goes_on = !polled.fuse.is_doubted()
            && matches!(polled.state, IncidentState::Running | IncidentState::Paused);
        let (lacks, counted) = polled.fuse.arrive(order, above);
        drop(polled);
        (Arrival { incident: self.clone(), counted: Some(counted) }, lacks || !goes_on)
    }

    /// Counts a target in memory.
    pub fn guard(self: &Arc<Self>) -> IncidentGuard {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        IncidentGuard(self.clone())
    }

    pub(super) fn share(self: Arc<Self>) -> Share {
        let polled = self.polled();
        let ahead = polled.rate.map_or(usize::MAX, |rate| (rate * AHEAD.as_secs_f64()).ceil() as usize);
        let room = ahead.saturating_sub(usize::try_from(self.in_flight.load(Ordering::Relaxed)).unwrap_or(0));
        let (providers, lets_in) = (polled.providers.clone(), polled.claimable < MOST_CLAIMABLE);
        drop(polled);
        Share { incident: self, providers, most: room, lets_in }
    }

    /// Waits for the incident's own rate. Returns what [`Incident::may_go_on`] asks for; `None` where the
    /// target may not be revoked then.
    pub async fn turn(&self) -> Option<Turn> {
        let (wait, era) = {
            let mut polled = self.polled();
            (polled.draw(Instant::now()), polled.era)
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.may_be_revoked().then_some(Turn(era))
    }

    /// Whether a target may still be revoked that has had its turn: it may have waited for the provider
    /// meanwhile.
    pub fn may_go_on(&self, Turn(era): Turn) -> bool {
        self.may_be_revoked() && self.polled().era == era
    }
}

impl Arrival {
    /// It is on record now, or was before.
    pub(in crate::worker) fn land(mut self, is_new: bool) {
        self.end(is_new);
    }

    fn end(&mut self, is_new: bool) {
        if let Some(counted) = self.counted.take() {
            self.incident.polled().fuse.land(counted, is_new);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl Polled {
    /// Draws one call from the token bucket; returns how long to wait before it.
    pub(super) fn draw(&mut self, now: Instant) -> Duration {
        let Some(rate) = self.rate.filter(|rate| *rate > 0.0) else {
            self.used_until = None;
            return Duration::ZERO;
        };
        let at = self.used_until.map_or(now, |until| until.max(now));
        self.used_until = Some(at + Duration::from_secs_f64((1.0 / rate).min(3600.0)));
        at - now
    }
}

impl IncidentGuard {
    /// The incident.
    pub fn incident(&self) -> &Incident {
        &self.0
    }
}

impl Drop for IncidentGuard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
