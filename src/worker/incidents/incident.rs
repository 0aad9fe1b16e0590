//! One incident, as this worker last saw it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::ActiveIncident;
use crate::target::Kind;

/// Work of a throttled incident is taken on for this long ahead.
const AHEAD: Duration = Duration::from_secs(1);
/// Most targets of one incident in the hot index: beyond that, those that were tried come first.
pub(super) const MOST_HOT: i64 = 20_000;
/// So long after an event that needs an approval, what Postgres says of its incident may be from before it was committed.
pub(super) const DOUBT: Duration = Duration::from_secs(2);

/// How an incident is steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// Its targets are revoked.
    #[default]
    Running,
    /// Nothing is denied or revoked until a second person approves.
    AwaitingApproval,
    /// Nothing is revoked; denials go on.
    Paused,
    /// Nothing more happens.
    Cancelled,
}

impl Steering {
    fn parse(state: &str) -> Self {
        match state {
            "running" => Self::Running,
            "paused" => Self::Paused,
            "cancelled" => Self::Cancelled,
            _ => Self::AwaitingApproval,
        }
    }
}

/// One incident, as this worker last saw it.
pub struct Incident {
    name: String,
    seen: Mutex<Seen>,
    /// Targets in memory.
    in_memory: AtomicI64,
}

#[derive(Default)]
pub(super) struct Seen {
    steering: Steering,
    received: i64,
    /// Targets that have come and are not committed; that were committed since the last look began; and before that, but not before its own snapshot.
    arrived: i64,
    landed: i64,
    settling: i64,
    approved_up_to: Option<i64>,
    approved: Vec<Kind>,
    approved_asking: i64,
    asking: i64,
    /// When an event came that needs an approval which is not on record.
    pub(super) doubted: Option<Instant>,
    hot: i64,
    withheld: bool,
    providers: Vec<String>,
    /// This worker's part of the throttle.
    rate: Option<f64>,
    /// When the calls made so far are paid for at that rate.
    paid_until: Option<Instant>,
    /// Counts the changes of the rate.
    pub(super) era: u64,
}

/// What an event orders.
pub struct Ordered {
    /// Kinds that need an approval, its own and those that its incident is said to have.
    pub asks: Vec<Kind>,
    /// Its own targets of those kinds, and those that its incident is said to have.
    pub asking: i64,
    /// See `asking`.
    pub asking_expected: Option<i64>,
    /// Its own targets.
    pub targets: i64,
    /// Those that its incident is said to have.
    pub declared: i64,
}

/// A target's turn, at the rate of that time.
#[derive(Clone, Copy)]
pub struct Turn(pub(super) u64);

/// One more target of an incident in memory, as long as it lives.
pub struct Seat(Arc<Incident>);

/// How much of an incident to claim.
pub struct Share {
    /// The incident.
    pub incident: Arc<Incident>,
    /// Providers with open targets.
    pub providers: Vec<String>,
    /// Most targets.
    pub most: usize,
    /// Whether targets may be let in that still wait for their turn.
    pub lets_in: bool,
}

impl Incident {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), seen: Mutex::default(), in_memory: AtomicI64::new(0) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn update(&self, row: ActiveIncident, workers: i64) {
        let mut seen = self.seen();
        seen.settling = 0;
        seen.received = row.received;
        seen.asking = row.asking;
        seen.approved_asking = row.approved_asking;
        seen.doubted = seen.doubted.filter(|since| since.elapsed() <= DOUBT);
        seen.steering = Steering::parse(&row.state);
        seen.approved_up_to = Some(row.approved_up_to);
        seen.approved = row.approved_asks.iter().filter_map(|kind| Kind::parse(kind)).collect();
        seen.hot = row.hot;
        seen.withheld = row.withheld;
        seen.providers = row.providers;
        let rate = row.throttle_per_s.map(|rate| f64::from(rate) / workers.max(1) as f64);
        if seen.rate != rate {
            (seen.rate, seen.paid_until) = (rate, None);
            seen.era += 1;
        }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing under this lock can panic half-way.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is steered.
    pub fn steering(&self) -> Steering {
        self.seen().steering
    }

    /// Whether targets may be revoked now: it runs, and all that is on record of it is denied.
    pub fn may_be_revoked(&self) -> bool {
        let seen = self.seen();
        seen.steering == Steering::Running && !seen.withheld
    }

    /// Whether denials that were withheld may be published now.
    pub(super) fn may_be_denied(&self) -> bool {
        let seen = self.seen();
        seen.withheld && matches!(seen.steering, Steering::Running | Steering::Paused)
    }

    /// Whether it is not on record yet, as far as is known here, and about to be.
    pub(super) fn is_arriving(&self) -> bool {
        let seen = self.seen();
        seen.arrived + seen.landed + seen.settling > 0
    }

    /// Counts `targets` that have arrived. Returns whether the incident has more now than one person may order, who may order `above`.
    pub fn arrive(&self, targets: i64, above: i64) -> bool {
        let mut seen = self.seen();
        seen.arrived += targets;
        seen.received + seen.arrived + seen.landed + seen.settling > seen.approved_up_to.unwrap_or(above)
    }

    /// `targets` that had arrived are committed, or were known before.
    pub fn land(&self, targets: i64, is_new: bool) {
        let mut seen = self.seen();
        seen.arrived -= targets;
        seen.landed += if is_new { targets } else { 0 };
    }

    /// Whether what is ordered was approved: so many targets, all of these kinds and so many of them.
    pub fn is_approved(&self, order: &Ordered) -> bool {
        let seen = self.seen();
        let asking = order.asking_expected.unwrap_or(0).max(seen.asking + order.asking);
        let covers = asking <= seen.approved_asking && order.asks.iter().all(|kind| seen.approved.contains(kind));
        seen.approved_up_to.is_some_and(|most| order.declared <= most) && (order.asks.is_empty() || covers)
    }

    /// An event has come that needs an approval: until Postgres has had time to know of it, what else comes is taken to wait for it too.
    pub fn doubt(&self) {
        self.seen().doubted = Some(Instant::now());
    }

    /// Whether what comes now is to be denied at once, as far as the incident is concerned.
    pub fn denies_at_once(&self) -> bool {
        let seen = self.seen();
        seen.doubted.is_none() && matches!(seen.steering, Steering::Running | Steering::Paused)
    }

    /// Takes a seat for a target in memory.
    pub fn seat(self: &Arc<Self>) -> Seat {
        self.in_memory.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    pub(super) fn share(self: Arc<Self>) -> Share {
        let seen = self.seen();
        let ahead = seen.rate.map_or(usize::MAX, |rate| (rate * AHEAD.as_secs_f64()).ceil() as usize);
        let room = ahead.saturating_sub(usize::try_from(self.in_memory.load(Ordering::Relaxed)).unwrap_or(0));
        let (providers, lets_in) = (seen.providers.clone(), seen.hot < MOST_HOT);
        drop(seen);
        Share { incident: self, providers, most: room, lets_in }
    }

    /// Waits for the incident's own rate. Returns what [`Incident::may_go_on`] asks for; `None` where the target may not be revoked then.
    pub async fn turn(&self) -> Option<Turn> {
        let (wait, era) = {
            let mut seen = self.seen();
            (seen.pay(Instant::now()), seen.era)
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.may_be_revoked().then_some(Turn(era))
    }

    /// Whether a target may still be revoked that has had its turn: it may have waited for the provider meanwhile.
    pub fn may_go_on(&self, Turn(era): Turn) -> bool {
        self.may_be_revoked() && self.seen().era == era
    }
}

impl Seen {
    pub(super) fn begin_look(&mut self) {
        self.settling += std::mem::take(&mut self.landed);
    }

    /// Pays for one call; returns how long to wait before it.
    pub(super) fn pay(&mut self, now: Instant) -> Duration {
        let Some(rate) = self.rate.filter(|rate| *rate > 0.0) else {
            self.paid_until = None;
            return Duration::ZERO;
        };
        let at = self.paid_until.map_or(now, |paid| paid.max(now));
        self.paid_until = Some(at + Duration::from_secs_f64((1.0 / rate).min(3600.0)));
        at - now
    }
}

impl Seat {
    /// The incident.
    pub fn incident(&self) -> &Incident {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.in_memory.fetch_sub(1, Ordering::Relaxed);
    }
}
