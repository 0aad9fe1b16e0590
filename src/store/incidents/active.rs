//! Which incidents are steered how, and what is on record of them: polled by every worker several times a
//! second.

use crate::approval::{Allowance, Extent};
use crate::store::{Store, StoreError};
use crate::target::Kind;

/// An incident that has not ended.
pub struct ActiveIncident {
    /// Its name.
    pub incident: String,
    /// `awaiting_approval`, `running`, `paused` or `cancelled`.
    pub state: String,
    /// Most targets a second, over all workers.
    pub throttle_per_s: Option<i32>,
    /// Most targets that one person may order.
    pub above_targets: i64,
    /// How many targets were approved; `None`: nothing was.
    pub approved_targets: Option<i64>,
    /// Kinds that were approved.
    pub approved_kinds: Option<Vec<String>>,
    /// How many targets of these kinds were approved.
    pub approved_needing: Option<i64>,
    /// Targets of kinds that need an approval, on record.
    pub needing_approval: i64,
    /// Targets on record.
    pub received: i64,
    /// Targets that were let in and are not finished, but for what is parked.
    pub claimable: i64,
    /// Providers with targets of it that wait for their turn or are due.
    pub providers: Vec<String>,
    /// Whether denials of it are not published yet: until they are, nothing of it is revoked.
    pub withheld: bool,
}

impl ActiveIncident {
    /// What goes of it without a further approval.
    pub fn allowance(&self) -> Allowance {
        let approved = self.approved_targets.map(|targets| Extent {
            approval_kinds: self
                .approved_kinds
                .iter()
                .flatten()
                .filter_map(|kind| Kind::parse(kind))
                .collect(),
            needing_approval: self.approved_needing.unwrap_or(0),
            targets,
        });
        Allowance::new(self.above_targets, approved)
    }
}

impl Store {
    /// Every incident that has not ended, and those that were cancelled within a day: more of them may still
    /// be on its way.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn active_incidents(&self) -> Result<Vec<ActiveIncident>, StoreError> {
        self.poll_incidents(None).await
    }

    /// One incident, also one that has ended; `None`: it is not on record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn incident_now(&self, name: &str) -> Result<Option<ActiveIncident>, StoreError> {
        Ok(self.poll_incidents(Some(name)).await?.pop())
    }

    async fn poll_incidents(&self, name: Option<&str>) -> Result<Vec<ActiveIncident>, StoreError> {
        within!(self, "look at the incidents", |c| {
            sqlx::query_as!(
                ActiveIncident,
                r#"SELECT i.incident, i.state, i.throttle_per_s,
                       i.approval_above AS above_targets, i.approved_targets,
                       i.approved_asks AS approved_kinds, i.approved_asking AS approved_needing,
                       i.asking AS needing_approval,
                       c.received AS "received!", c.claimable AS "claimable!", c.providers AS "providers!",
                       EXISTS (
                           SELECT FROM revocation.events w
                           WHERE w.incident = i.incident AND w.deny_at IS NOT NULL) AS "withheld!"
                   FROM revocation.incidents i CROSS JOIN LATERAL (
                       SELECT coalesce(sum(received), 0)::bigint AS received,
                           coalesce(sum(claimable), 0)::bigint AS claimable,
                           -- Those with something to do: the counts tell of what waits, and the claim's own
                           -- index whether anything that was tried is due.
                           coalesce(array_agg(provider) FILTER (WHERE waiting > 0 OR (tried > 0 AND EXISTS (
                               SELECT FROM unnest(ARRAY[true, false]) AS kind (wide)
                               JOIN revocation.targets t ON t.wide = kind.wide
                               WHERE t.provider = p.provider AND t.lane = 'mass' AND t.incident = i.incident
                                   AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting
                                   AND t.due_at <= now()))), '{}') AS providers
                       FROM (
                           SELECT provider, sum(targets) AS received,
                               sum(targets) FILTER (WHERE stage = 'pending') AS claimable,
                               sum(targets) FILTER (WHERE stage = 'waiting') AS waiting,
                               sum(targets) FILTER (WHERE stage IN ('pending', 'parked')) AS tried
                           FROM revocation.incident_counts n WHERE n.incident = i.incident GROUP BY provider
                       ) p
                   ) c
                   WHERE i.incident = $1 OR ($1 IS NULL AND (i.finished_at IS NULL
                       OR (i.state = 'cancelled' AND i.finished_at > now() - interval '1 day')))
                   ORDER BY i.incident"#,
                name
            )
            .fetch_all(c)
            .await
        })
    }
}
