//! What `/metrics` answers: what was counted, and the state of things at this moment.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::text;

use super::super::labels::{ProbeLabels, ProviderLabel, ReasonLabels, ResultLabel, SideLabel, StateLabel};
use super::Metrics;
use crate::store::PoolUse;

/// Why a breaker is not closed.
const REASONS: [&str; 3] = ["failing", "misconfigured", "retry_after"];

/// The state of things that is read when `/metrics` is asked for.
pub struct Snapshot {
    /// Whether the consuming session is up.
    pub consuming: bool,
    /// Whether the publishing connection is up.
    pub publishing: bool,
    /// Whether the last call to Postgres succeeded, and it takes writes.
    pub database: bool,
    /// Queue; its deliveries in hand, what they take in bytes, 1 if its window is full.
    pub in_hand: Vec<(&'static str, [usize; 3])>,
    /// By how many seconds this machine's clock is ahead of the database's, once that is known.
    pub clock_offset: Option<f64>,
    /// Queue; age of the oldest delivery in hand.
    pub oldest_unacknowledged: Vec<(&'static str, Duration)>,
    /// Connections to Postgres.
    pub pool: PoolUse,
    /// Provider, breaker, targets in memory.
    pub providers: Vec<(String, &'static str, usize)>,
    /// Provider, why its breaker is not closed.
    pub reasons: Vec<(String, Option<&'static str>)>,
    /// Provider, what its probes came to, how many so far.
    pub probes: Vec<(String, &'static str, u64)>,
    /// What became of spans, of how many.
    pub spans: Vec<(&'static str, u64)>,
}

impl Metrics {
    /// OpenMetrics text.
    pub fn encode(&self, snapshot: &Snapshot) -> String {
        for (side, up) in [("consume", snapshot.consuming), ("publish", snapshot.publishing)] {
            self.broker_up.get_or_create(&SideLabel { side }).set(i64::from(up));
        }
        self.database_up.set(i64::from(snapshot.database));
        for (queue, values) in &snapshot.in_hand {
            for (family, value) in self.in_hand.iter().zip(values) {
                family.get_or_create(&[("queue", *queue)]).set(i64::try_from(*value).unwrap_or(i64::MAX));
            }
        }
        for (queue, age) in &snapshot.oldest_unacknowledged {
            self.oldest_unacknowledged.get_or_create(&[("queue", *queue)]).set(age.as_secs_f64());
        }
        self.clock_offset.set(snapshot.clock_offset.unwrap_or(f64::NAN));
        self.set_pool(&snapshot.pool);
        for (provider, breaker, in_flight) in &snapshot.providers {
            let label = ProviderLabel { provider: provider.clone() };
            self.breaker
                .get_or_create(&label)
                .set(["closed", "half_open"].iter().position(|state| state == breaker).unwrap_or(2) as i64);
            self.in_flight.get_or_create(&label).set(i64::try_from(*in_flight).unwrap_or(i64::MAX));
        }
        for (provider, given) in &snapshot.reasons {
            for reason in REASONS {
                let labels = ReasonLabels { provider: provider.clone(), reason };
                self.breaker_reason.get_or_create(&labels).set(i64::from(*given == Some(reason)));
            }
        }
        for (provider, result, count) in &snapshot.probes {
            self.probes
                .get_or_create(&ProbeLabels { provider: provider.clone(), result })
                .inner()
                .store(*count, Ordering::Relaxed);
        }
        for (result, count) in &snapshot.spans {
            self.spans.get_or_create(&ResultLabel { result }).inner().store(*count, Ordering::Relaxed);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let encoded = text::encode_registry(&mut text, &self.registry)
            .and_then(|()| text::encode(&mut text, &self.process));
        if encoded.is_err() {
            text.clear();
        }
        text
    }

    fn set_pool(&self, pool: &PoolUse) {
        for (state, connections) in [("in_use", pool.in_use), ("idle", pool.idle)] {
            self.connections.get_or_create(&StateLabel { state }).set(connections.into());
        }
        self.most_connections.set(pool.most.into());
        for (counter, count) in self.acquired.iter().zip([pool.acquired, pool.refused]) {
            counter.inner().store(count, Ordering::Relaxed);
        }
        self.waited.inner().store(pool.waited.as_secs_f64().to_bits(), Ordering::Relaxed);
    }
}
