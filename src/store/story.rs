//! One event's story, for the page: the event, its targets, and every call that was made for them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::types::Json;

use super::status::{Propagation, RevocationRow};
use super::verifiers::VerifierRow;
use super::{Store, StoreError};
use crate::target::TargetId;

/// One event's story.
#[derive(Debug, Deserialize)]
pub struct Story {
    /// What is on record under this identity: mostly one event. None: it is not on record.
    pub events: Vec<Happened>,
    /// Whose verifiers have applied its denial; of several events, the one that was denied last.
    pub propagation: Option<Propagation>,
    /// Verifiers that no longer report and have not signed off.
    pub silent_verifiers: Vec<VerifierRow>,
    /// Their targets, the first thousand.
    pub targets: Vec<RevocationRow>,
    /// The calls, the first 500, as they began.
    pub attempts: Vec<AttemptRow>,
    /// The moment.
    pub at: String,
}

/// One target's story.
#[derive(Debug, Serialize, Deserialize)]
pub struct TargetStory {
    /// The target.
    pub target: RevocationRow,
    /// The last 50 calls for it, as they began.
    pub attempts: Vec<AttemptRow>,
    /// The moment.
    pub at: String,
}

/// A row of `audit.events`.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct Happened {
    pub event_type: String,
    pub incident: Option<String>,
    pub lane: String,
    pub reason: Option<String>,
    pub actor: Option<String>,
    pub broker_user: Option<String>,
    pub occurred_at: Option<String>,
    pub received_at: String,
    pub denied_at: Option<String>,
    pub withheld: bool,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// A row of `audit.attempts`.
#[derive(Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct AttemptRow {
    pub revocation_id: String,
    pub attempt: u32,
    pub worker: Option<String>,
    pub started_at: String,
    pub duration_ms: Option<u64>,
    pub outcome: Option<String>,
    pub http_status: Option<u16>,
    pub error: Option<String>,
}

impl Store {
    /// One event's story.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn story(&self, source: &str, id: &str) -> Result<Story, StoreError> {
        within!(self, "read an event's story", |c| {
            let story = sqlx::query_file_scalar!("src/store/story.sql", source, id);
            story.fetch_one(c).await.map(|Json(story)| story)
        })
    }

    /// One target's story; `None`: it is not on record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn target_story(&self, id: TargetId) -> Result<Option<TargetStory>, StoreError> {
        within!(self, "read a target's story", |c| {
            let story = sqlx::query_file_scalar!("src/store/target_story.sql", id.event, id.to_string());
            story.fetch_optional(c).await.map(|story| story.map(|Json(story)| story))
        })
    }
}
