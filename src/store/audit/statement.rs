//! A question as SQL: run with parameters, and shown with the values in their places.

use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Question, Span};

/// States of targets that are not finished.
const OPEN: [&str; 2] = ["pending", "parked"];

/// A statement in pieces.
pub(super) struct Statement {
    pieces: Vec<Piece>,
    /// What stands before the next condition.
    joint: &'static str,
}

enum Piece {
    Sql(String),
    Text(String),
    Time(OffsetDateTime),
    Number(i64),
}

/// An event's attempts are found by its row: `audit.attempts` has an id that no index has.
const ATTEMPTS_OF_R: &str = ",
a AS (
    SELECT found.*
    FROM (SELECT DISTINCT left(revocation_id, 36)::uuid AS event_row FROM r) AS event
    CROSS JOIN LATERAL (
        SELECT revocation_id, attempt, worker, started_at, duration_ms, outcome, http_status, error,
               retry_after_ms
        FROM audit.event_attempts WHERE event_row = event.event_row
        UNION ALL
        SELECT revocation_id, attempt, worker, started_at, NULL, NULL, NULL, NULL, NULL
        FROM audit.event_attempts_under_way WHERE event_row = event.event_row
    ) AS found
)
SELECT to_jsonb(a) FROM a
WHERE revocation_id IN (SELECT revocation_id FROM r)";

const ATTEMPTS_WITH_TARGET: &str = "\
SELECT to_jsonb(a) FROM audit.attempts a
JOIN audit.targets r
    ON r.event_row = left(a.revocation_id, 36)::uuid AND r.ordinal = substr(a.revocation_id, 38)::smallint";

impl Statement {
    /// The rows of a question within a span of time, at most so many.
    pub(super) fn of(question: &Question, span: Span, limit: usize) -> Self {
        let mut statement = Self { pieces: Vec::new(), joint: "\nWHERE " };
        let time = if question.attempts { "a.started_at" } else { "r.received_at" };
        match (question.attempts, question.is_narrow()) {
            (false, _) => {
                statement.sql("SELECT to_jsonb(r) FROM audit.revocations r");
                statement.target(question);
            }
            (true, true) => {
                statement.sql("WITH r AS MATERIALIZED (\nSELECT r.revocation_id FROM audit.revocations r");
                statement.target(question);
                statement.sql(")");
                statement.sql(ATTEMPTS_OF_R);
            }
            (true, false) if question.columns.is_empty() && question.states.is_empty() => {
                statement.sql("SELECT to_jsonb(a) FROM audit.attempts a");
            }
            (true, false) => {
                statement.sql(ATTEMPTS_WITH_TARGET);
                statement.target(question);
            }
        }
        statement.span(time, span);
        statement.order(question, time);
        statement.sql("\nLIMIT ");
        statement.pieces.push(Piece::Number(i64::try_from(limit).unwrap_or(i64::MAX)));
        statement
    }

    /// What a target must be.
    fn target(&mut self, question: &Question) {
        if let Some([whole, signed]) = &question.token {
            self.condition("(r.token_sha256 = ");
            self.text(whole);
            self.sql(" OR r.signed_sha256 = ");
            self.text(signed);
            self.sql(")");
        }
        for (column, value) in &question.columns {
            self.condition(&format!("r.{column} = "));
            self.text(value);
        }
        self.is_one_of("r.event_source", &question.sources);
        if !question.states.is_empty() {
            self.is_one_of("r.state", &question.states);
            if question.states.iter().all(|state| OPEN.contains(&state.as_str())) {
                // Says nothing new, but to an index of what is open.
                self.condition("r.finished_at IS NULL");
            }
        }
    }

    /// Nothing where there are none.
    fn is_one_of(&mut self, column: &str, values: &[String]) {
        let Some((first, further)) = values.split_first() else { return };
        self.condition(&format!("{column} IN ("));
        self.text(first);
        further.iter().for_each(|value| {
            self.sql(", ");
            self.text(value);
        });
        self.sql(")");
    }

    fn span(&mut self, time: &str, span: Span) {
        for (limit, comparison) in [(span.since, ">="), (span.until, "<")] {
            if let Some(limit) = limit {
                self.condition(&format!("{time} {comparison} "));
                self.pieces.push(Piece::Time(limit));
            }
        }
    }

    /// The newest first, and what comes after a place in that order.
    fn order(&mut self, question: &Question, time: &str) {
        let keys: &[&str] = if question.attempts {
            &[time, "a.revocation_id", "a.attempt"]
        } else {
            &[time, "r.revocation_id"]
        };
        if let Some(place) = &question.after {
            // The first on its own, too: for the index.
            self.condition(&format!("{time} <= "));
            self.pieces.push(Piece::Time(place.at));
            self.condition(&format!("({}) < (", keys.join(", ")));
            self.pieces.push(Piece::Time(place.at));
            self.sql(", ");
            self.text(&place.id);
            if question.attempts {
                self.sql(", ");
                self.pieces.push(Piece::Number(place.attempt.unwrap_or(0)));
            }
            self.sql(")");
        }
        let keys: Vec<_> = keys.iter().map(|key| format!("{key} DESC")).collect();
        self.sql(&format!("\nORDER BY {}", keys.join(", ")));
    }

    fn sql(&mut self, sql: &str) {
        self.pieces.push(Piece::Sql(sql.to_owned()));
    }

    fn text(&mut self, text: &str) {
        self.pieces.push(Piece::Text(text.to_owned()));
    }

    fn condition(&mut self, start: &str) {
        self.sql(self.joint);
        self.sql(start);
        self.joint = "\n    AND ";
    }

    /// With parameters.
    pub(super) fn query(self) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("");
        for piece in self.pieces {
            match piece {
                Piece::Sql(sql) => query.push(sql),
                Piece::Text(text) => query.push_bind(text),
                Piece::Time(time) => query.push_bind(time),
                Piece::Number(number) => query.push_bind(number),
            };
        }
        query
    }

    /// With the values as literals.
    pub(super) fn shown(&self) -> String {
        let shown = self.pieces.iter().map(|piece| match piece {
            Piece::Sql(sql) => sql.clone(),
            Piece::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Piece::Time(time) => format!("timestamptz '{}'", time.format(&Rfc3339).unwrap_or_default()),
            Piece::Number(number) => number.to_string(),
        });
        shown.collect()
    }
}
