//! Verifiers as operators see them, and what they are not known to have applied.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use sqlx::PgConnection;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::report::ENDED;

/// Of what came after a moment, so many events are looked at.
const LOOKED_AT: i64 = 10_000;

/// An event's denial is confirmed within so long of its receipt, or the broker was away: then no verifier has
/// come further, either.
const DENIED_WITHIN: Duration = Duration::minutes(1);

/// A row of `audit.verifiers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct VerifierRow {
    pub service: String,
    pub instance: String,
    pub broker_user: Option<String>,
    pub verified: bool,
    pub live: bool,
    pub up_to_date: bool,
    pub stale_reason: Option<String>,
    pub staleness_policy: Option<String>,
    pub applied_time: Option<String>,
    pub lag_seconds: Option<Number>,
    pub entries: u64,
    pub last_seen_at: String,
    /// Seconds since its last report.
    pub silent_s: i64,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// What is done at its provider and alive, and not known to be refused by every verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unapplied {
    /// So many targets.
    pub targets: u64,
    /// Not everything was looked at: there may be more.
    pub is_part: bool,
}

impl VerifierRow {
    /// What it can be relied on for now.
    pub fn standing(&self) -> String {
        match (&self.stale_reason, self.up_to_date) {
            (Some(reason), _) if reason == ENDED => ENDED.to_owned(),
            (Some(reason), _) => format!("stale: {reason}"),
            (None, true) => "up to date".to_owned(),
            (None, false) if self.live => "stale".to_owned(),
            (None, false) => "silent".to_owned(),
        }
    }

    /// It counts: an owner vouches for it, and it has not signed off.
    pub fn counts(&self) -> bool {
        self.verified && self.stale_reason.as_deref() != Some(ENDED)
    }

    /// It counts, and its reports no longer come.
    pub fn is_silent(&self) -> bool {
        self.counts() && !self.live
    }

    /// It may accept what it is not known to have applied. One that fails closed refuses everything as long
    /// as it cannot tell.
    pub fn may_accept(&self) -> bool {
        self.counts() && (self.up_to_date || self.staleness_policy.as_deref() != Some("fail_closed"))
    }

    /// It is known to have applied what was denied at this moment.
    pub fn has_applied(&self, denied_at: Option<&str>) -> bool {
        let time = |at: Option<&str>| OffsetDateTime::parse(at?, &Rfc3339).ok();
        match (time(self.applied_time.as_deref()), time(denied_at)) {
            (Some(applied), Some(denied)) => applied >= denied,
            _ => false,
        }
    }
}

/// Up to when all are known to have applied what was denied. `None`: there is none that may accept anything.
fn applied_by_all(rows: &[VerifierRow]) -> Option<OffsetDateTime> {
    let applied = rows.iter().filter(|row| row.may_accept()).map(|row| {
        let applied = row.applied_time.as_deref().map(|at| OffsetDateTime::parse(at, &Rfc3339));
        applied.and_then(Result::ok).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    });
    applied.min()
}

/// Looks for it; `None`: there is nothing.
pub(in crate::store) async fn unapplied(
    connection: &mut PgConnection,
    rows: &[VerifierRow],
) -> Result<Option<Unapplied>, sqlx::Error> {
    let Some(applied) = applied_by_all(rows) else { return Ok(None) };
    // What is looked for lies at the end of the record, where reading it from its start would not come to.
    sqlx::raw_sql("SET LOCAL enable_seqscan = off").execute(&mut *connection).await?;
    let found = sqlx::query!(
        r#"WITH event AS MATERIALIZED (
               (SELECT event_row FROM audit.events
                WHERE received_at > $1 AND coalesce(denied_at > $2, true) AND NOT withheld
                LIMIT $3)
               UNION ALL
               -- Denied long after their receipt: their incident was approved then.
               (SELECT e.event_row FROM audit.incidents i JOIN audit.events e USING (incident)
                WHERE i.approved_at > $1 AND e.received_at <= $1 AND coalesce(e.denied_at > $2, true)
                LIMIT $3)
           )
           SELECT (SELECT count(*) FROM event) >= $3 AS "is_part!",
                  (SELECT count(*) FROM event JOIN audit.targets t USING (event_row)
                   WHERE t.state IN ('revoked', 'unsupported') AND t.deny_until > now()) AS "targets!""#,
        applied - DENIED_WITHIN,
        applied,
        LOOKED_AT
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::raw_sql("SET LOCAL enable_seqscan = on").execute(connection).await?;
    let unapplied = Unapplied { targets: found.targets.unsigned_abs(), is_part: found.is_part };
    Ok((unapplied.targets > 0 || unapplied.is_part).then_some(unapplied))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Live, up to date, policy, reason.
    fn row(live: bool, fresh: bool, policy: Option<&str>, reason: Option<&str>) -> VerifierRow {
        let row = json!({ "service": "shop", "instance": "a", "broker_user": "shop", "verified": true,
            "live": live, "up_to_date": fresh, "stale_reason": reason, "staleness_policy": policy,
            "applied_time": "2026-12-01T04:14:56+00:00", "lag_seconds": 0, "entries": 1,
            "last_seen_at": "2026-12-01T04:14:57+00:00", "silent_s": 0 });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn only_what_fails_closed_or_has_signed_off_accepts_nothing() {
        for (row, may_accept) in [
            (row(true, true, Some("fail_open"), None), true),
            (row(true, true, Some("fail_closed"), None), true),
            (row(true, false, Some("fail_open"), Some("behind")), true),
            (row(true, false, Some("fail_closed"), Some("behind")), false),
            (row(false, false, Some("fail_open"), None), true),
            (row(false, false, None, None), true),
            (row(false, false, Some("of_later"), None), true),
            (row(false, false, Some("fail_closed"), None), false),
            (row(false, false, Some("fail_open"), Some(ENDED)), false),
            (VerifierRow { verified: false, ..row(true, true, None, None) }, false),
        ] {
            assert_eq!(row.may_accept(), may_accept, "{row:?}");
            assert_eq!(applied_by_all(std::slice::from_ref(&row)).is_some(), may_accept, "{row:?}");
        }
    }

    #[test]
    fn applied_is_what_was_denied_before() {
        let reads = row(true, true, None, None);
        for (denied_at, applied) in [
            (Some("2026-12-01T04:14:56+00:00"), true),
            (Some("2026-12-01T04:14:57+00:00"), false),
            (None, false),
        ] {
            assert_eq!(reads.has_applied(denied_at), applied, "{denied_at:?}");
        }
        assert!(!VerifierRow { applied_time: None, ..reads }.has_applied(Some("2026-12-01T04:14:56+00:00")));
    }
}
