//! What every worker looks at several times a second: which incidents are steered how, and how many workers
//! share the work.

use crate::store::{Store, StoreError};

/// An incident that has not ended.
pub struct ActiveIncident {
    /// Its name.
    pub incident: String,
    /// `awaiting_approval`, `running`, `paused` or `cancelled`.
    pub state: String,
    /// Most targets a second, over all workers.
    pub throttle_per_s: Option<i32>,
    /// Most targets that go without a second person, or beyond what that one approved.
    pub approved_up_to: i64,
    /// Kinds that were approved, and how many targets of them.
    pub approved_asks: Vec<String>,
    /// See `approved_asks`.
    pub approved_asking: i64,
    /// Targets of kinds that ask for an approval, on record.
    pub asking: i64,
    /// Targets on record.
    pub received: i64,
    /// Targets that were let in and are not finished, but for what is parked.
    pub hot: i64,
    /// Providers with targets of it that wait for their turn or are due.
    pub providers: Vec<String>,
    /// Whether denials of it are not published yet: until they are, nothing of it is revoked.
    pub withheld: bool,
}

/// What workers know of each other.
pub struct Fleet {
    /// Live workers.
    pub workers: i64,
    /// Providers that asked one of them to come back later, and in how many seconds.
    pub held: Vec<(String, f64)>,
    /// Providers that an operator had called again, and the number of the last such order.
    pub orders: Vec<(String, i64)>,
}

impl Store {
    /// Every incident that has not ended, and those that were cancelled within a day: more of them may still
    /// be on its way.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn active_incidents(&self) -> Result<Vec<ActiveIncident>, StoreError> {
        self.look_at(None).await
    }

    /// One incident, also one that has ended; `None`: it is not on record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn incident_now(&self, name: &str) -> Result<Option<ActiveIncident>, StoreError> {
        Ok(self.look_at(Some(name)).await?.pop())
    }

    async fn look_at(&self, name: Option<&str>) -> Result<Vec<ActiveIncident>, StoreError> {
        within!(self, "look at the incidents", |c| {
            sqlx::query_as!(
                ActiveIncident,
                r#"SELECT i.incident, i.state, i.throttle_per_s, greatest(i.approval_above, i.approved_targets) AS "approved_up_to!",
                       coalesce(i.approved_asks, '{}') AS "approved_asks!", coalesce(i.approved_asking, 0) AS "approved_asking!", i.asking,
                       c.received AS "received!", c.hot AS "hot!", c.providers AS "providers!",
                       EXISTS (SELECT FROM revocation.events w WHERE w.incident = i.incident AND w.deny_at IS NOT NULL) AS "withheld!"
                   FROM revocation.incidents i CROSS JOIN LATERAL (
                       SELECT coalesce(sum(received), 0)::bigint AS received, coalesce(sum(hot), 0)::bigint AS hot,
                           coalesce(array_agg(provider) FILTER (WHERE waiting > 0 OR (tried > 0 AND EXISTS (
                               SELECT FROM unnest(ARRAY[true, false]) AS kind (wide) JOIN revocation.targets t ON t.wide = kind.wide
                               WHERE t.provider = p.provider AND t.lane = 'mass' AND t.incident = i.incident
                                   AND t.lease_owner IS NULL AND t.finished_at IS NULL AND NOT t.waiting AND t.due_at <= now()))), '{}') AS providers
                       FROM (SELECT provider, sum(targets) AS received, sum(targets) FILTER (WHERE stage = 'pending') AS hot,
                                 sum(targets) FILTER (WHERE stage = 'waiting') AS waiting,
                                 sum(targets) FILTER (WHERE stage IN ('pending', 'parked')) AS tried
                             FROM revocation.incident_counts n WHERE n.incident = i.incident GROUP BY provider) p
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

    /// How many workers there are, and what they were told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        within!(self, "look at the other workers", |c| {
            let workers = sqlx::query_scalar!(
                r#"SELECT count(*) AS "workers!" FROM revocation.workers WHERE ended_at IS NULL AND lease_until > now()"#
            )
            .fetch_one(&mut *c)
            .await?;
            // Before the waits, which those orders end that are committed by then: no wait is taken over that
            // an order seen here has ended.
            let orders = sqlx::query!(r#"SELECT provider, max(order_no) AS "order_no!" FROM revocation.provider_orders GROUP BY provider"#)
                .fetch_all(&mut *c)
                .await?;
            let held = sqlx::query!(
                r#"SELECT s.provider, extract(epoch FROM max(s.held_until) - now())::double precision AS "seconds!"
                   FROM revocation.provider_status s JOIN revocation.workers w USING (worker_no)
                   WHERE w.ended_at IS NULL AND w.lease_until > now() AND s.held_until > now()
                       AND NOT EXISTS (SELECT FROM revocation.provider_orders o WHERE o.provider = s.provider AND o.order_no > s.order_no)
                   GROUP BY s.provider"#
            )
            .fetch_all(c)
            .await?;
            let held = held.into_iter().map(|row| (row.provider, row.seconds)).collect();
            Ok(Fleet {
                workers,
                held,
                orders: orders.into_iter().map(|row| (row.provider, row.order_no)).collect(),
            })
        })
    }
}
