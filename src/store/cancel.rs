//! Giving up one target, as an operator orders.

use serde_json::Value;

use super::{Store, StoreError};
use crate::target::TargetId;

/// What became of the order to give up a target.
#[derive(Debug)]
pub enum GivenUp {
    /// It is done and on record: `{"revocation_id", "provider", "denied_until", "withheld"}`, the last where its denial waits for its incident's approval.
    Done(Value),
    /// A worker holds it: it is being tried, or about to be.
    Leased,
    /// It is in this state, which is final.
    Final(String),
    /// It is not on record.
    Unknown,
}

impl Store {
    /// Gives up one target that no worker holds; with `even_leased`, also one that is held: its attempt is closed as `unknown`, and should the worker's
    /// answer come after all, it is kept beside that and changes nothing. The sealed token is erased. Writes `audit.operations`.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed, or the outcome is unknown and the same order may be given again.
    pub async fn give_up(&self, actor: &str, target: TargetId, reason: &str, even_leased: bool) -> Result<GivenUp, StoreError> {
        let given_up = within!(self, "give up a target", |c| {
            sqlx::query_scalar!(
                r#"WITH open AS MATERIALIZED (
                    SELECT event_id, ordinal, state, provider, incident, attempts, lease_owner, leased_at, deny_until FROM revocation.targets
                    WHERE event_id = $2 AND ordinal = $3 AND finished_at IS NULL AND (lease_owner IS NULL OR $5) FOR UPDATE
                ), closed AS (
                    INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, outcome, error)
                    SELECT event_id, ordinal, attempts, false, lease_owner, leased_at, 'unknown', 'an operator gave the target up meanwhile'
                    FROM open WHERE lease_owner IS NOT NULL
                    ON CONFLICT DO NOTHING
                ), given_up AS (
                    UPDATE revocation.targets t
                    SET state = 'cancelled', waiting = false, due_at = NULL, lease_owner = NULL, leased_at = NULL, sealed = NULL, sealed_key = NULL,
                        finished_at = now()
                    FROM open WHERE (t.event_id, t.ordinal) = (open.event_id, open.ordinal)
                    RETURNING 1
                ), noted AS (
                    INSERT INTO revocation.operations (actor, action, incident, detail)
                    SELECT $1, 'target_cancel', nullif(incident, ''), jsonb_build_object('revocation_id', revocation.revocation_id(event_id, ordinal),
                        'provider', provider, 'reason', $4::text, 'state', state, 'in_flight', lease_owner IS NOT NULL, 'role', session_user)
                    FROM open
                )
                SELECT jsonb_build_object('revocation_id', revocation.revocation_id(event_id, ordinal), 'provider', provider,
                           'denied_until', deny_until, 'withheld', e.deny_at IS NOT NULL) AS "given_up!"
                FROM open JOIN revocation.events e USING (event_id)"#,
                actor,
                target.event,
                target.ordinal,
                reason,
                even_leased
            )
            .fetch_optional(c)
            .await
        })?;
        match given_up {
            Some(given_up) => Ok(GivenUp::Done(given_up)),
            None => Ok(match self.standing(target).await? {
                None => GivenUp::Unknown,
                Some(standing) if standing.is_final => GivenUp::Final(standing.state),
                Some(_) => GivenUp::Leased,
            }),
        }
    }
}
