//! How times are told to people: how long ago, or to the minute.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// A time from the database's JSON, to the minute.
pub fn utc(at: Option<&str>) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let Some(at) = at else { return "-".to_owned() };
    let time = OffsetDateTime::parse(at, &Rfc3339).ok();
    time.and_then(|time| time.to_offset(UtcOffset::UTC).format(format).ok()).unwrap_or_else(|| at.to_owned())
}

/// The same to the second: what is told of while it lasts.
pub fn utc_to_the_second(at: &str) -> String {
    let time = OffsetDateTime::parse(at, &Rfc3339).ok();
    time.and_then(second).unwrap_or_else(|| at.to_owned())
}

/// "2026-12-01 04:28:53 UTC".
pub fn second(at: OffsetDateTime) -> Option<String> {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    at.to_offset(UtcOffset::UTC).format(format).ok()
}

/// The same by its distance from `now`: "12 s ago", "in 3 min".
pub fn ago(at: &str, now: OffsetDateTime) -> String {
    let Ok(time) = OffsetDateTime::parse(at, &Rfc3339) else { return at.to_owned() };
    let since = (now - time).whole_seconds();
    match since {
        0 => "now".to_owned(),
        1.. => format!("{} ago", span(since.unsigned_abs())),
        _ => format!("in {}", span(since.unsigned_abs())),
    }
}

/// The same of when something is to be done: "in 3 min", "now due".
pub fn due_in(at: &str, now: OffsetDateTime) -> String {
    match OffsetDateTime::parse(at, &Rfc3339) {
        Ok(time) if time <= now => "now due".to_owned(),
        _ => ago(at, now),
    }
}

/// "12 min": a whole number of the unit that suits.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        assert_eq!([119, 120, 7199, 7200, 172_800].map(span), ["119 s", "2 min", "119 min", "2 h", "2 days"]);
    }

    #[test]
    fn a_time_is_told_in_utc() {
        assert_eq!(utc(Some("2026-12-03T05:10:59.5+01:00")), "2026-12-03 04:10 UTC");
        assert_eq!(utc(None), "-");
        assert_eq!(utc_to_the_second("2026-12-03T05:10:59.5+01:00"), "2026-12-03 04:10:59 UTC");
    }

    #[test]
    fn a_time_is_told_by_its_distance() {
        let now = time::macros::datetime!(2026-12-03 04:10:59.9 UTC);
        for (at, told) in [
            ("2026-12-03T04:10:59.1+00:00", "now"),
            ("2026-12-03T05:10:48+01:00", "11 s ago"),
            ("2026-12-03T00:10:48+00:00", "4 h ago"),
            ("2026-12-03T04:20:48+00:00", "in 9 min"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(ago(at, now), told);
        }
        for (at, told) in [
            ("2026-12-03T04:10:59.9+00:00", "now due"),
            ("2026-12-03T04:09:29+00:00", "now due"),
            ("2026-12-03T04:20:48+00:00", "in 9 min"),
        ] {
            assert_eq!(due_in(at, now), told);
        }
    }
}
