//! Who may call a provider now.
//!
//! # From "a target is due" to a permit
//!
//! 1. *Memory.* Before a target is claimed from Postgres, [`Admission::wanted`] says how many are worth it:
//!    none while a breaker is open, one when a probe is due, else as many as there is memory for. A logout that
//!    has just arrived asks [`Admission::reserve`] instead, and waits in Postgres if it gets no [`Room`].
//! 2. *Breaker.* [`Admission::rejects`] tells whether a call would be sent away, before it spends anything else,
//!    such as one of its incident's calls per second.
//! 3. *Turn.* [`Admission::permit`] puts the [`Call`] into its lane. It waits until a slot is open to calls of
//!    its [`Scope`], its lane is next, its broker user's turn has come there, and the token bucket has its
//!    requests. If the breaker opens meanwhile, it comes back with nothing, and the target waits in Postgres
//!    without spending an attempt.
//! 4. *Answer.* [`CallPermit::report`] teaches the breaker. Dropping the permit gives the slot to the next. An
//!    answer that may be about our credentials is decided by [`Admission::rule`], without a permit.
//!
//! # What each file decides
//!
//! | file | decides |
//! |---|---|
//! | `room` | how many targets are in memory, and how many of them one broker user may have |
//! | `permit` | hands the permits out and takes them back, the only lock and the only waiting |
//! | `lanes` | whose call is next: slots, lanes, rate |
//! | `fair_queue` | whose turn it is among broker users; intake and accept use it, too |
//! | `health` | joins what is known of both credentials; what `audit.providers` shows |
//! | `breaker` | when a provider is left alone, and when it is tried again |
//! | `calls` | how many calls failed lately, and how long they took |
//! | `doubts` | whose fault an answer is that reads like bad credentials |
//! | `probing` | makes the provider's own probes when breaker or doubts need one |
//!
//! Nothing here knows of incidents, of the database or of the broker.

mod breaker;
mod calls;
mod doubts;
mod fair_queue;
mod health;
mod lanes;
mod permit;
mod probing;
mod room;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use self::breaker::Decision;
use self::health::Health;
use self::lanes::Lanes;
use self::permit::Permits;
use self::probing::Probes;
use self::room::Memory;
use crate::event::{Lane, Party};
use crate::provider::Provider;
use crate::store::ProviderStatus;
use crate::target::{PerScope, Scope};

pub(crate) use doubts::Doubt;
pub(crate) use fair_queue::FairQueue;
pub use lanes::Call;
pub use permit::CallPermit;
pub use room::Room;

/// What a provider's settings allow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most calls of this worker at once.
    pub concurrency: usize,
    /// Most requests a second of all workers together; `None`: as many as the calls at once make.
    pub rate_per_s: Option<f64>,
    /// Longest that the provider's `Retry-After` is waited.
    pub retry_after_max: Duration,
}

/// One provider and who may call it.
pub struct Admission {
    /// The provider.
    pub provider: Arc<Provider>,
    limits: Limits,
    memory: Memory,
    permits: Arc<Permits>,
    /// The last of operators' orders that was followed; negative: none was looked for yet.
    followed: AtomicI64,
}

impl Admission {
    /// Closed breakers, all slots free. With a rate, no call is admitted until the worker knows its share of
    /// it.
    pub fn new(provider: Provider, limits: Limits) -> Self {
        let (provider, now) = (Arc::new(provider), Instant::now());
        let mut lanes = Lanes::new(limits.concurrency, now);
        lanes.set_rate(limits.rate_per_s.map(|_| 0.0));
        let has_probe = PerScope::new(|scope| provider.has_probe(scope));
        let health = Health::new(provider.name().clone(), has_probe, limits.retry_after_max, now);
        let permits = Permits::new(health, lanes, Probes::of(provider.clone()));
        Self { provider, limits, memory: Memory::new(), permits, followed: AtomicI64::new(-1) }
    }

    /// How many targets to claim: what memory has room for, or one for a probe, or none.
    pub fn wanted(&self, lane: Lane, scope: Scope) -> usize {
        let (state, now) = (self.permits.lock(), Instant::now());
        let (rate, pace) = (state.lanes.rate(), state.health.pace(self.limits.concurrency, now));
        self.memory.wanted(lane, rate, pace).min(state.health.breaker(scope).wanted(now))
    }

    /// Room for `targets` that are claimed, if there is any.
    pub fn room(&self, lane: Lane, targets: usize) -> Option<Room> {
        self.memory.places(lane).take(targets)
    }

    /// Room for `targets` of a user that have just arrived, if that leaves others theirs and the breaker of
    /// calls for tokens lets so many through.
    pub fn reserve(&self, lane: Lane, party: Party, targets: usize) -> Option<Room> {
        if self.permits.lock().health.breaker(Scope::Token).wanted(Instant::now()) < targets {
            return None;
        }
        self.memory.places(lane).take_for(party, targets)
    }

    /// Targets in memory.
    pub fn in_flight(&self) -> usize {
        self.memory.taken()
    }

    /// Whether the breaker would send such a call away now.
    pub fn rejects(&self, scope: Scope) -> bool {
        self.permits.lock().health.breaker(scope).decide(Instant::now()) == Decision::Reject
    }

    /// Waits for a call's turn; `None` where the breaker rejects it.
    pub async fn permit(&self, call: Call) -> Option<CallPermit> {
        self.permits.wait(call).await
    }

    /// Shares the provider's rate with the other workers: `workers` in all, this one among them.
    pub fn share(&self, workers: i64) {
        let share = self.limits.rate_per_s.map(|rate| rate / workers.max(1) as f64);
        self.permits.lock().lanes.set_rate(share);
    }

    /// Another worker was told by the provider to come back in `wait`.
    pub fn hold(&self, wait: Duration) {
        self.permits.lock().health.hold(wait, Instant::now());
    }

    /// For how long the provider asked to be left alone, if it did.
    pub fn held_for(&self) -> Option<Duration> {
        self.permits.lock().health.held_for(Instant::now())
    }

    /// Longest that the provider's `Retry-After` is waited.
    pub fn retry_after_max(&self) -> Duration {
        self.limits.retry_after_max
    }

    /// What this worker sees of the provider.
    pub fn status(&self) -> ProviderStatus {
        let order_no = self.followed.load(Ordering::Relaxed).max(0);
        self.permits.lock().health.status(Instant::now(), self.provider.clock(), order_no)
    }

    /// `closed`, `open` or `half_open`: the worse of tokens and wide calls.
    pub fn breaker(&self) -> &'static str {
        self.permits.lock().health.name()
    }

    /// How many of the provider's own probes came to what.
    pub fn probes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.permits.probes.results()
    }

    /// Ends the wait if `order` is news. What was ordered before this worker looked for the first time is
    /// not: its breakers had just begun. Returns whether it is followed now.
    pub fn follow(&self, order: i64) -> bool {
        let before = self.followed.fetch_max(order, Ordering::Relaxed);
        let is_news = (0..order).contains(&before);
        if is_news {
            self.resume();
        }
        is_news
    }

    /// An operator ends the wait.
    fn resume(&self) {
        let waited = self.permits.lock().health.resume(Instant::now());
        let provider = &**self.provider.name();
        tracing::info!(provider, waited, "an operator has the provider called again");
        self.permits.resumed.notify_waiters();
        self.probe_what_fails();
        self.permits.dispatch();
    }
}
