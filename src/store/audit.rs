//! Questions to the record, for the command `audit`: rows of `audit.revocations` or `audit.attempts`, the
//! newest first, a page at a time. Needs no right but to the schema `audit`.

mod statement;

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use self::statement::Statement;
use super::{Store, StoreError};
use crate::target::TargetId;

/// A row of a view, as Postgres writes it in JSON.
pub type AuditRow = Map<String, Value>;

/// The columns of `audit.revocations`.
pub const REVOCATIONS: [&str; 36] = [
    "revocation_id",
    "event_source",
    "event_id",
    "event_type",
    "incident",
    "lane",
    "provider",
    "target_kind",
    "token_type_hint",
    "token_sha256",
    "sub",
    "sid",
    "client_id",
    "iss",
    "not_before",
    "reason",
    "actor",
    "state",
    "proof",
    "attempts",
    "occurred_at",
    "received_at",
    "denied_at",
    "revoked_at",
    "confirmed_at",
    "finished_at",
    "next_attempt_at",
    "token_expires_at",
    "last_outcome",
    "last_http_status",
    "last_error",
    "worker",
    "signed_sha256",
    "identity_reused",
    "event_row",
    "trace_id",
];

/// The columns of `audit.attempts`.
pub const ATTEMPTS: [&str; 9] = [
    "revocation_id",
    "attempt",
    "worker",
    "started_at",
    "duration_ms",
    "outcome",
    "http_status",
    "error",
    "retry_after_ms",
];

/// What is asked; what is not given is not asked.
#[derive(Default)]
pub struct Question {
    /// The provider calls of the targets, not the targets.
    pub attempts: bool,
    /// Of a token: the digest of all of it, and that of its signed parts. As lower-case hex.
    pub token: Option<[String; 2]>,
    /// Of a target: a column, and its value there.
    pub columns: Vec<(&'static str, String)>,
    /// Its event's source is one of these, where there are any: an event is found by source and id.
    pub sources: Vec<String>,
    /// Its state is one of these.
    pub states: Vec<String>,
    /// Not before this: the event's receipt, of attempts their start.
    pub since: Option<OffsetDateTime>,
    /// Before this.
    pub until: Option<OffsetDateTime>,
    /// What comes after this row.
    pub after: Option<Place>,
    /// So many rows at most.
    pub limit: usize,
    /// Each look is given up after so long; else after a minute.
    pub within: Option<std::time::Duration>,
}

/// Columns whose value few rows have. All that there is may be of one issuer, client or source, and a large
/// part of it of one incident.
const NARROW: [&str; 4] = ["sub", "sid", "event_id", "trace_id"];

/// A row's place in the order of the answer.
#[derive(Clone)]
pub struct Place {
    /// Its time.
    pub at: OffsetDateTime,
    /// Its `revocation_id`.
    pub id: String,
    /// Of an attempt, its number.
    pub attempt: Option<i64>,
}

/// Times from the first, which may be open, up to the second.
#[derive(Clone, Copy, Default)]
struct Span {
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
}

/// Where nothing narrows a question, so much is looked at first, then the eightfold before that, and so on:
/// the newest rows are found without reading, and sorting, all.
const FIRST_LOOK: Duration = Duration::minutes(1);
/// And after so much, all that is left.
const LONGEST_LOOK: Duration = Duration::days(1000);

const WHAT: &str = "search the record";

impl Question {
    /// The question in SQL, for people.
    pub fn sql(&self) -> String {
        Statement::of(self, self.span(), self.limit).shown()
    }

    fn span(&self) -> Span {
        Span { since: self.since, until: self.until }
    }

    fn is_narrow(&self) -> bool {
        self.token.is_some() || self.columns.iter().any(|(column, _)| NARROW.contains(column))
    }
}

impl Store {
    /// The rows that answer a question. `now`: the database's time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audit(&self, question: &Question, now: OffsetDateTime) -> Result<Vec<AuditRow>, StoreError> {
        let mut connection = self.patient(WHAT).await?;
        // Asked once: a plan for these values, whatever is stored.
        let session = "SET TimeZone = 'UTC'; SET plan_cache_mode = force_custom_plan";
        sqlx::raw_sql(session).execute(&mut *connection).await.map_err(|e| StoreError::new(WHAT, e))?;
        if let Some(longest) = question.within {
            let limit = sqlx::query("SELECT set_config('statement_timeout', $1, false)");
            let limit = limit.bind(format!("{} ms", longest.as_millis()));
            limit.execute(&mut *connection).await.map_err(|e| StoreError::new(WHAT, e))?;
        }
        let mut rows = Vec::new();
        let begin =
            last_of_incident(&mut connection, question).await.map_err(|e| StoreError::new(WHAT, e))?;
        for span in spans(question, begin.unwrap_or(now)) {
            let rest = question.limit - rows.len();
            let mut query = Statement::of(question, span, rest).query();
            let found: Vec<sqlx::types::Json<AuditRow>> = query
                .build_query_scalar()
                .fetch_all(&mut *connection)
                .await
                .map_err(|e| StoreError::new(WHAT, e))?;
            rows.extend(found.into_iter().map(|row| row.0));
            if rows.len() >= question.limit {
                break;
            }
        }
        Ok(rows)
    }
}

impl Store {
    /// The sources that events have come from, by steps from one to the next; `None`: they are too many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn event_sources(&self) -> Result<Option<Vec<String>>, StoreError> {
        const MOST: usize = 200;
        let sources = within!(self, "look for the sources of events", |c| {
            sqlx::query_scalar!(
                r#"WITH RECURSIVE step AS (
                       SELECT min(source) AS source FROM revocation.events
                       UNION ALL
                       SELECT (SELECT min(e.source) FROM revocation.events e WHERE e.source > step.source)
                       FROM step WHERE step.source IS NOT NULL
                   )
                   SELECT source AS "source!" FROM step WHERE source IS NOT NULL LIMIT 201"#
            )
            .fetch_all(c)
            .await
        })?;
        Ok(Some(sources).filter(|sources| sources.len() <= MOST))
    }

    /// Whether a target is more than an access token: then a provider that has not ended it gives new tokens
    /// for it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn may_mint(&self, target: TargetId) -> Result<bool, StoreError> {
        within!(self, "look what a target is", |c| {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (
                       SELECT FROM audit.revocations r
                       WHERE r.event_row = $1 AND r.revocation_id = $2
                           AND (r.target_kind <> 'token' OR r.token_type_hint IS DISTINCT FROM 'access_token')
                   ) AS "may_mint!""#,
                target.event,
                target.to_string()
            )
            .fetch_one(c)
            .await
        })
    }
}

/// When the incident ended that is asked for: nothing of it came later.
async fn last_of_incident(
    c: &mut PgConnection,
    question: &Question,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    let incident = question.columns.iter().find(|(column, _)| *column == "incident");
    let Some((_, incident)) = incident else { return Ok(None) };
    let ended = sqlx::query_scalar!("SELECT finished_at FROM audit.incidents WHERE incident = $1", incident);
    ended.fetch_optional(c).await.map(Option::flatten)
}

/// The spans of time to look at, one after the other, the latest first: from `now` back, and all that is
/// later.
fn spans(question: &Question, now: OffsetDateTime) -> Vec<Span> {
    let whole = question.span();
    if question.is_narrow() {
        return vec![whole];
    }
    let newest = question.after.as_ref().map(|place| place.at).into_iter().chain(whole.until).min();
    let (mut spans, mut long, mut until) = (Vec::new(), FIRST_LOOK, whole.until);
    let mut since = newest.unwrap_or(now) - long;
    while long < LONGEST_LOOK && whole.since.is_none_or(|first| first < since) {
        spans.push(Span { since: Some(since), until });
        (until, long) = (Some(since), long * 8);
        since -= long;
    }
    spans.push(Span { since: whole.since, until });
    spans
}

#[cfg(test)]
mod tests;
