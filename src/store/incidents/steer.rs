//! What operators order of an incident: the change and its row of `audit.operations` in one transaction.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::store::{Store, StoreError};

/// The rule that keeps who contributed to an incident from approving it.
const TWO_PERSONS: &str = "two_persons";

/// An order to an incident.
#[derive(Debug)]
pub enum Order {
    /// Let it run, as a second person.
    Approve(Seen),
    /// Start nothing more of it.
    Pause,
    /// Go on.
    Resume,
    /// At most so many targets a second, over all workers; `None`: as many as the providers take.
    Throttle(Option<i32>),
    /// Give up what is not done, for this reason.
    Cancel(String),
}

/// What a person saw of an incident and approves.
#[derive(Debug)]
pub struct Seen {
    /// Kinds that call for approval.
    pub asks: Vec<String>,
    /// How many targets of them there are, or are announced.
    pub asking: i64,
    /// Targets, received or expected, whichever is more.
    pub targets: i64,
}

/// What became of an order.
#[derive(Debug, PartialEq, Eq)]
pub enum Steered {
    /// It is done, and on record.
    Changed,
    /// It was so already; nothing was written.
    AsBefore,
    /// The incident is in this state, which does not fit.
    Unfit(String),
    /// It is not on record.
    Unknown,
    /// Whoever ordered some of it cannot approve it.
    SamePerson,
    /// It has more targets, or other kinds, than were seen.
    Grown,
}

/// An incident's row, locked: whatever adds targets waits.
struct Standing {
    state: String,
    throttle_per_s: Option<i32>,
}

/// What an order means for an incident as it stands.
enum Fit {
    Change,
    AsBefore,
    Unfit,
}

impl Order {
    /// Its name in `audit.operations`.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Approve(_) => "approve",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Throttle(_) => "throttle",
            Self::Cancel(_) => "cancel",
        }
    }

    fn fit(&self, standing: &Standing) -> Fit {
        match (self, standing.state.as_str()) {
            (Self::Approve(_), "awaiting_approval") | (Self::Pause, "running") | (Self::Resume, "paused") => Fit::Change,
            (Self::Pause, "paused") | (Self::Resume, "running") | (Self::Cancel(_), "cancelled") => Fit::AsBefore,
            (Self::Throttle(rate), "running" | "paused" | "awaiting_approval") if *rate == standing.throttle_per_s => Fit::AsBefore,
            (Self::Throttle(_) | Self::Cancel(_), "running" | "paused" | "awaiting_approval") => Fit::Change,
            _ => Fit::Unfit,
        }
    }

    /// What the record says of it, beside who, when and the incident's numbers.
    fn detail(&self, before: &Standing) -> Value {
        match self {
            Self::Approve(seen) => json!({ "asks": seen.asks, "seen": seen.targets }),
            Self::Pause | Self::Resume => json!({}),
            Self::Throttle(rate) => json!({ "throttle_per_s": rate, "before": before.throttle_per_s }),
            Self::Cancel(reason) => json!({ "reason": reason, "state": before.state }),
        }
    }
}

impl Store {
    /// Carries out an order, if it fits the state that the incident is in.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed, or the outcome is unknown and the same order may be given again.
    pub async fn steer(&self, actor: &str, incident: &str, order: &Order) -> Result<Steered, StoreError> {
        within!(self, "steer an incident", |c| {
            let mut transaction = c.begin().await?;
            let steered = steer(&mut transaction, actor, incident, order).await;
            match steered {
                Ok(Steered::Changed) => transaction.commit().await.map(|()| Steered::Changed),
                other => transaction.rollback().await.and(other),
            }
        })
    }
}

async fn steer(c: &mut PgConnection, actor: &str, incident: &str, order: &Order) -> Result<Steered, sqlx::Error> {
    let Some(standing) = lock(c, incident).await? else { return Ok(Steered::Unknown) };
    match order.fit(&standing) {
        Fit::AsBefore => return Ok(Steered::AsBefore),
        Fit::Unfit => return Ok(Steered::Unfit(standing.state)),
        Fit::Change => {}
    }
    match change(c, actor, incident, order).await {
        Ok(0) => return Ok(Steered::Grown),
        Ok(_) => {}
        Err(sqlx::Error::Database(e)) if e.constraint() == Some(TWO_PERSONS) => return Ok(Steered::SamePerson),
        Err(error) => return Err(error),
    }
    note(c, actor, incident, order.action(), &order.detail(&standing)).await?;
    Ok(Steered::Changed)
}

async fn lock(c: &mut PgConnection, incident: &str) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"SELECT CASE WHEN state = 'running' AND finished_at IS NOT NULL THEN 'finished' ELSE state END AS "state!", throttle_per_s
           FROM revocation.incidents WHERE incident = $1 FOR UPDATE"#,
        incident
    )
    .fetch_optional(c)
    .await
}

/// Changes the row that is locked. Returns how many were: only an approval can find it other than was seen, and then changes none.
async fn change(c: &mut PgConnection, actor: &str, incident: &str, order: &Order) -> Result<u64, sqlx::Error> {
    let query = match order {
        Order::Approve(seen) => return approve(c, actor, incident, seen).await,
        Order::Pause => sqlx::query!("UPDATE revocation.incidents SET state = 'paused' WHERE incident = $1", incident),
        Order::Resume => {
            sqlx::query!("UPDATE revocation.incidents SET state = 'running', was_paused = false WHERE incident = $1", incident)
        }
        Order::Throttle(rate) => {
            sqlx::query!("UPDATE revocation.incidents SET throttle_per_s = $2 WHERE incident = $1", incident, *rate)
        }
        Order::Cancel(reason) => sqlx::query!(
            "UPDATE revocation.incidents SET state = 'cancelled', cancelled_by = $2, cancel_reason = $3 WHERE incident = $1",
            incident,
            actor,
            reason
        ),
    };
    query.execute(c).await.map(|done| done.rows_affected())
}

/// The counts are read after the lock was got, by a statement of its own, so that no target is missed that was accepted before it.
async fn approve(c: &mut PgConnection, actor: &str, incident: &str, seen: &Seen) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "UPDATE revocation.incidents i
         SET state = CASE WHEN i.was_paused THEN 'paused' ELSE 'running' END, was_paused = false, approved_by = $2, approved_role = session_user,
             approved_at = now(), approved_asks = i.asks, approved_asking = greatest(i.asking, i.asking_expected),
             approved_targets = greatest(i.targets_expected, n.received)
         FROM (SELECT coalesce(sum(targets), 0)::bigint AS received FROM revocation.incident_counts WHERE incident = $1) n
         WHERE i.incident = $1 AND i.asks <@ $3 AND greatest(i.targets_expected, n.received) <= $4
             AND greatest(i.asking, i.asking_expected) <= $5",
        incident,
        actor,
        &seen.asks,
        seen.targets,
        seen.asking
    )
    .execute(c)
    .await
    .map(|done| done.rows_affected())
}

async fn note(c: &mut PgConnection, actor: &str, incident: &str, action: &str, detail: &Value) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO revocation.operations (actor, action, incident, detail)
         SELECT $1, $2, incident, $4::jsonb || jsonb_build_object('role', session_user, 'targets_expected', targets_expected,
             'targets_received', targets_received, 'denied', denied, 'pending', pending, 'parked', parked, 'revoked', revoked)
         FROM audit.incidents WHERE incident = $3",
        actor,
        action,
        incident,
        detail
    )
    .execute(c)
    .await
    .map(drop)
}
