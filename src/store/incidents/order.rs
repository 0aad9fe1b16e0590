//! How operators steer an incident. Functions of the database judge it and write its row of
//! `audit.operations` (`steer_incident` in migration 0012, `approve_incident` in 0015).

use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::store::{Store, StoreError};

/// An order to an incident.
#[derive(Debug)]
pub enum Steering {
    /// Let it run, as a second person.
    Approve(Approved),
    /// Revoke nothing more of it; denials go on.
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
pub struct Approved {
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
    /// It has more targets, or other kinds, than were approved.
    Grown,
}

impl Steering {
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
    pub async fn steer(
        &self,
        note: &str,
        incident: &str,
        steering: &Steering,
    ) -> Result<Steered, StoreError> {
        within!(self, "steer an incident", |c| match steering {
            Steering::Approve(approved) => approve(c, note, incident, approved).await,
            _ => steer(c, note, incident, steering).await,
        })
    }
}

async fn steer(
    c: &mut PgConnection,
    note: &str,
    incident: &str,
    steering: &Steering,
) -> Result<Steered, sqlx::Error> {
    let (rate, reason) = match steering {
        Steering::Throttle(rate) => (*rate, None),
        Steering::Cancel(reason) => (None, Some(reason.as_str())),
        _ => (None, None),
    };
    sqlx::query_scalar!(
        r#"SELECT revocation.steer_incident($1, $2, $3, $4, $5) AS "outcome!: Json<Steered>""#,
        incident,
        steering.action(),
        rate,
        reason,
        note
    )
    .fetch_one(c)
    .await
    .map(|Json(steered)| steered)
}

async fn approve(
    c: &mut PgConnection,
    note: &str,
    incident: &str,
    approved: &Approved,
) -> Result<Steered, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT revocation.approve_incident($1, $2, $3, $4, $5) AS "outcome!: Json<Steered>""#,
        incident,
        &approved.asks,
        approved.asking,
        approved.targets,
        note
    )
    .fetch_one(c)
    .await
    .map(|Json(steered)| steered)
}
