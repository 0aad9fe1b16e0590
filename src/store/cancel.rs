//! Giving up one target, as an operator orders.

use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use super::{Store, StoreError};
use crate::target::TargetId;

/// What became of the order to give up a target.
#[derive(Debug)]
pub enum GivenUp {
    /// It is done and on record.
    Done(CancelledTarget),
    /// A worker holds it: it is being tried, or about to be.
    Leased,
    /// It is in this state, which is final.
    Final(String),
    /// It is not on record.
    Unknown,
}

/// A target that was given up.
#[derive(Debug, Serialize, Deserialize)]
pub struct CancelledTarget {
    /// Its id in `audit.revocations`.
    pub revocation_id: String,
    /// The provider that is not asked again.
    pub provider: String,
    /// Until when verifiers deny it, as Postgres writes times in JSON.
    pub denied_until: Option<String>,
    /// Its denial waits for its incident's approval.
    pub withheld: bool,
}

impl Store {
    /// Gives up one target that no worker holds; with `even_leased`, also one that is held: its attempt is
    /// closed as `unknown`, and should the worker's answer come after all, it is kept beside that and changes
    /// nothing. The sealed token is erased. Writes `audit.operations`.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed, or the outcome is unknown and the same order may be given
    /// again.
    pub async fn give_up(
        &self,
        note: &str,
        target: TargetId,
        reason: &str,
        even_leased: bool,
    ) -> Result<GivenUp, StoreError> {
        let given_up = within!(self, "give up a target", |c| {
            sqlx::query_scalar!(
                r#"SELECT revocation.give_up_target($1, $2, $3, $4, $5)
                       AS "given_up: Json<CancelledTarget>""#,
                target.event,
                target.ordinal,
                reason,
                even_leased,
                note
            )
            .fetch_one(c)
            .await
        })?;
        match given_up {
            Some(Json(given_up)) => Ok(GivenUp::Done(given_up)),
            None => Ok(match self.target_state(target).await? {
                None => GivenUp::Unknown,
                Some(target) if target.is_final => GivenUp::Final(target.state),
                Some(_) => GivenUp::Leased,
            }),
        }
    }
}
