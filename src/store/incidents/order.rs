//! What operators order of an incident. Functions of the database judge it and write its row of
//! `audit.operations` (migration 0012).

use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;

use crate::store::{Store, StoreError};

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
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Steered {
    /// It is done, and on record.
    Changed,
    /// It was so already; nothing was written.
    AsBefore,
    /// The incident is in this state, which does not fit.
    Unfit {
        /// As people name it.
        state: String,
    },
    /// It is not on record.
    Unknown,
    /// Whoever ordered some of it cannot approve it.
    SamePerson,
    /// The session's database role is nobody's, so nobody has approved.
    UnmappedRole {
        /// The role.
        role: String,
    },
    /// Some of it came by broker users that are nobody's, and may be the approver's.
    UnmappedUser {
        /// These broker users.
        users: Vec<String>,
    },
    /// It has more targets, or other kinds, than were seen.
    Grown,
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
}

impl Store {
    /// Carries out an order, if it fits the state that the incident is in. `note`: who gives it, as they say;
    /// where the session's role is somebody's, that person gives it.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was changed, or the outcome is unknown and the same order may be given
    /// again.
    pub async fn steer(&self, note: &str, incident: &str, order: &Order) -> Result<Steered, StoreError> {
        const WHAT: &str = "steer an incident";
        let outcome = within!(self, WHAT, |c| match order {
            Order::Approve(seen) => approve(c, note, incident, seen).await,
            _ => steer(c, note, incident, order).await,
        })?;
        serde_json::from_value(outcome).map_err(|e| StoreError::Refused(WHAT, e.to_string()))
    }
}

async fn steer(
    c: &mut PgConnection,
    note: &str,
    incident: &str,
    order: &Order,
) -> Result<Value, sqlx::Error> {
    let (rate, reason) = match order {
        Order::Throttle(rate) => (*rate, None),
        Order::Cancel(reason) => (None, Some(reason.as_str())),
        _ => (None, None),
    };
    sqlx::query_scalar!(
        r#"SELECT revocation.steer_incident($1, $2, $3, $4, $5) AS "outcome!""#,
        incident,
        order.action(),
        rate,
        reason,
        note
    )
    .fetch_one(c)
    .await
}

async fn approve(
    c: &mut PgConnection,
    note: &str,
    incident: &str,
    seen: &Seen,
) -> Result<Value, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT revocation.approve_incident($1, $2, $3, $4, $5) AS "outcome!""#,
        incident,
        &seen.asks,
        seen.asking,
        seen.targets,
        note
    )
    .fetch_one(c)
    .await
}
