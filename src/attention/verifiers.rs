//! What is said of verifiers that no longer report.

use crate::store::{Propagation, VerifierRow};
use crate::visible::count;
use crate::visible::names::first_of;
use crate::visible::times::{span, utc_to_the_second};

/// A sentence for those that may accept what was denied, and one for those that refuse everything. The first
/// name is that of the longest silence.
pub fn silent<'a>(rows: impl IntoIterator<Item = &'a VerifierRow>) -> Vec<String> {
    let mut silent: Vec<_> = rows.into_iter().filter(|row| row.is_silent()).collect();
    silent.sort_by_key(|row| std::cmp::Reverse(row.silent_s));
    let (open, closed): (Vec<_>, Vec<_>) = silent.into_iter().partition(|row| row.may_accept());
    let names = |rows: Vec<&VerifierRow>| rows.into_iter().map(told).collect::<Vec<_>>();
    let open = (!open.is_empty()).then(|| {
        let many = count(open.len(), "verifier");
        format!("no report from {many}, which may accept what was denied since: {}", first_of(&names(open)))
    });
    let closed = (!closed.is_empty()).then(|| {
        let many = count(closed.len(), "verifier");
        format!(
            "no report from {many}, which refuse every token without the feed: {}",
            first_of(&names(closed))
        )
    });
    open.into_iter().chain(closed).collect()
}

/// The same of those that are not known to have applied an event's denial.
pub fn unapplied(rows: &[VerifierRow], propagation: Option<&Propagation>) -> Vec<String> {
    let denied_at = propagation.and_then(|told| told.denied_at.as_deref());
    silent(rows.iter().filter(|row| !row.has_applied(denied_at)))
}

/// "shop-api/gate-2 (fail_open, silent for 36 s, since 2026-12-01 04:14:56 UTC)".
fn told(row: &VerifierRow) -> String {
    let policy = row.staleness_policy.as_deref().unwrap_or("policy not known");
    let (silent, since) = (span(row.silent_s.unsigned_abs()), utc_to_the_second(&row.last_seen_at));
    format!("{}/{} ({policy}, silent for {silent}, since {since})", row.service, row.instance)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(instance: &str, policy: Option<&str>, reason: Option<&str>, silent_s: i64) -> VerifierRow {
        let row = json!({ "service": "shop", "instance": instance, "broker_user": "shop", "verified": true,
            "live": silent_s < 15, "up_to_date": silent_s < 15, "stale_reason": reason,
            "staleness_policy": policy, "applied_time": null, "lag_seconds": 0, "entries": 1,
            "last_seen_at": "2026-12-01T04:14:56.7+00:00", "silent_s": silent_s });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn silence_is_never_told_as_safe() {
        let since = "since 2026-12-01 04:14:56 UTC)";
        for (row, told) in [
            (
                row("a", Some("fail_open"), None, 36),
                Some(
                    "which may accept what was denied since: shop/a \
                (fail_open, silent for 36 s, ",
                ),
            ),
            (
                row("a", None, None, 3600),
                Some(
                    "which may accept what was denied since: shop/a (policy not \
                known, silent for 60 min, ",
                ),
            ),
            (
                row("a", Some("fail_closed"), None, 36),
                Some(
                    "which refuse every token without the feed: \
                shop/a (fail_closed, silent for 36 s, ",
                ),
            ),
            (row("a", Some("fail_open"), Some("ended"), 36), None),
            (row("a", Some("fail_open"), None, 3), None),
        ] {
            let wanted: Vec<_> =
                told.iter().map(|told| format!("no report from 1 verifier, {told}{since}")).collect();
            assert_eq!(silent([&row]), wanted, "{row:?}");
        }
    }

    #[test]
    fn the_longest_silence_is_told_first() {
        let rows = [row("a", None, None, 20), row("b", None, None, 200)];
        let told = silent(&rows);
        assert!(told[0].starts_with("no report from 2 verifiers, which may accept"), "{told:?}");
        assert!(told[0].find("shop/b") < told[0].find("shop/a"), "{told:?}");
    }
}
