//! What a worker shows of itself: to the metrics, and to whoever asks whether it is ready.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::parts::Worker;
use crate::store::{IncidentDetail, Overview, RefusedWrites, Store, StoreError};
use crate::telemetry::Snapshot;

impl Worker {
    /// The metrics, of a worker that consumes or does not.
    pub fn metrics(&self, consuming: bool) -> String {
        self.ports.metrics.encode(&self.snapshot(consuming))
    }

    fn snapshot(&self, consuming: bool) -> Snapshot {
        let admissions =
            || self.ports.admissions.iter().map(|(name, admission)| (name.to_string(), admission));
        let in_hand = self.live.window.in_hand();
        Snapshot {
            consuming,
            publishing: self.ports.verifiers.is_connected(),
            in_hand: in_hand
                .map(|seen| (seen.queue, [seen.messages, seen.bytes, usize::from(seen.is_full)]))
                .to_vec(),
            database: self.live.postgres.is_up() && self.ports.store.refuses_writes().is_none(),
            clock_offset: self.ports.clock.offset().map(|offset| offset.ahead.as_seconds_f64()),
            oldest_unacknowledged: self.live.window.oldest().to_vec(),
            pool: self.ports.store.pool_use(),
            spans: self.ports.spans.counts(),
            reasons: admissions().map(|(name, admission)| (name, admission.reason())).collect(),
            providers: admissions()
                .map(|(name, admission)| (name, admission.breaker(), admission.in_flight()))
                .collect(),
            probes: admissions()
                .flat_map(|(name, admission)| {
                    admission.probes().map(move |(result, count)| (name.clone(), result, count))
                })
                .collect(),
        }
    }

    /// How everything stands, for the page.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn overview(&self) -> Result<Overview, StoreError> {
        self.ports.metrics.looked();
        let mut overview = self.ports.store.overview().await?;
        overview.status.refuses_writes = self.refuses_writes();
        Ok(overview)
    }

    fn refuses_writes(&self) -> Option<RefusedWrites> {
        let (lasts, reason) = self.ports.store.refuses_writes()?;
        Some(RefusedWrites { since: (self.now() - lasts).format(&Rfc3339).ok(), reason })
    }

    /// The database, for questions about single things.
    pub fn store(&self) -> &Store {
        &self.ports.store
    }

    /// An incident, with the names that a second person is asked for, unless they are not found in time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn incident(&self, name: &str) -> Result<Option<IncidentDetail>, StoreError> {
        let mut incident = self.ports.store.incident(name).await?;
        if let Some(incident) = &mut incident
            && let Err(error) = self.ports.store.name_asked(incident).await
        {
            tracing::warn!(%error, incident = name, "look for what is to be approved");
        }
        Ok(incident)
    }

    /// The name in audit rows and messages.
    pub fn instance(&self) -> &str {
        &self.me.instance
    }

    /// What time it is.
    pub fn now(&self) -> OffsetDateTime {
        self.ports.clock.now()
    }

    /// What is wrong with Postgres right now; asks it.
    pub async fn ping(&self) -> Option<String> {
        self.ports.store.ping().await.err().map(|error| error.to_string())
    }

    /// What keeps this worker from being ready, where `database` is wrong with Postgres: broker, topology or
    /// database are not reachable, the worker is not registered, or it stops.
    pub fn problems(&self, consuming: bool, database: Option<String>) -> Vec<String> {
        let database = database.or_else(|| {
            if let Some(refused) = self.refuses_writes() {
                Some(refused.to_string())
            } else if !self.live.postgres.is_up() {
                Some("the worker's last call to the database failed".to_owned())
            } else if self.me.number.get().is_none() {
                Some("not registered yet: the schema is being looked at".to_owned())
            } else {
                None
            }
        });
        let is_publishing = self.ports.verifiers.is_connected();
        [
            (!consuming).then(|| "not consuming: broker or topology not reachable".to_owned()),
            (!is_publishing).then(|| "not publishing: broker or topology not reachable".to_owned()),
            database,
            self.live.stop.is_cancelled().then(|| "stopping".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
