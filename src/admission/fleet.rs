//! What a provider's admission shares with other workers and with operators.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Admission;
use crate::store::ProviderStatus;

impl Admission {
    /// Shares the provider's rate with the other workers: `workers` in all, this one among them.
    pub fn share(&self, workers: i64) {
        let share = self.limits.rate_per_s.map(|rate| rate / workers.max(1) as f64);
        self.lock().lanes.set_rate(share);
    }

    /// Another worker was told by the provider to come back in `wait`.
    pub fn hold(&self, wait: Duration) {
        self.lock().health.hold(wait, Instant::now());
    }

    /// For how long the provider asked to be left alone, if it did.
    pub fn held_for(&self) -> Option<Duration> {
        self.lock().health.held_for(Instant::now())
    }

    /// Longest that the provider's `Retry-After` is waited.
    pub fn retry_after_max(&self) -> Duration {
        self.limits.retry_after_max
    }

    /// What this worker sees of the provider.
    pub fn status(&self) -> ProviderStatus {
        let order_no = self.followed.load(Ordering::Relaxed).max(0);
        self.lock().health.status(Instant::now(), self.provider.clock(), order_no)
    }

    /// `closed`, `open` or `half_open`: the worse of tokens and wide calls.
    pub fn breaker(&self) -> &'static str {
        self.lock().health.name(Instant::now())
    }

    /// Why the provider is left alone, if it is: `failing`, `misconfigured` or `retry_after`.
    pub fn reason(&self) -> Option<&'static str> {
        self.lock().health.reason(Instant::now())
    }

    /// Targets in memory.
    pub fn in_flight(&self) -> usize {
        self.memory.taken()
    }

    /// Ends the wait if `order` is news. What was ordered before this worker looked for the first time is
    /// not: its breakers had just begun. Returns whether it is followed now.
    pub fn follow(self: &Arc<Self>, order: i64) -> bool {
        let before = self.followed.fetch_max(order, Ordering::Relaxed);
        let is_news = (0..order).contains(&before);
        if is_news {
            self.resume();
        }
        is_news
    }

    /// An operator ends the wait.
    fn resume(self: &Arc<Self>) {
        let waited = self.lock().health.resume(Instant::now());
        let provider = &**self.provider.name();
        tracing::info!(provider, waited, "an operator has the provider called again");
        self.resumed.notify_waiters();
        self.probe_what_fails();
        self.dispatch();
    }
}
