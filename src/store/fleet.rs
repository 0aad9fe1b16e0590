//! What workers learn of each other several times a second.

use super::{Store, StoreError};

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
    /// How many workers there are, and what they were told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn fleet(&self) -> Result<Fleet, StoreError> {
        within!(self, "look at the other workers", |c| {
            let workers = sqlx::query_scalar!(
                r#"SELECT count(*) AS "workers!" FROM revocation.workers
                   WHERE ended_at IS NULL AND lease_until > now()"#
            )
            .fetch_one(&mut *c)
            .await?;
            // Before the waits, which those orders end that are committed by then: no wait is taken over that
            // an order seen here has ended.
            let orders = sqlx::query!(
                r#"SELECT provider, max(order_no) AS "order_no!" FROM revocation.provider_orders GROUP BY provider"#
            )
            .fetch_all(&mut *c)
            .await?;
            let held = sqlx::query!(
                r#"SELECT s.provider, extract(epoch FROM max(s.held_until) - now())::double precision AS "seconds!"
                   FROM revocation.provider_status s JOIN revocation.workers w USING (worker_no)
                   WHERE w.ended_at IS NULL AND w.lease_until > now()
                       AND s.held_until > now()
                       AND NOT EXISTS (
                           SELECT FROM revocation.provider_orders o
                           WHERE o.provider = s.provider AND o.order_no > s.order_no)
                   GROUP BY s.provider"#
            )
            .fetch_all(c)
            .await?;
            Ok(Fleet {
                workers,
                held: held.into_iter().map(|row| (row.provider, row.seconds)).collect(),
                orders: orders.into_iter().map(|row| (row.provider, row.order_no)).collect(),
            })
        })
    }
}
