//! When a limit of the provider's is lifted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap};

/// Longest wait that is read from it.
const LONGEST_RESET: Duration = Duration::from_secs(3600);
/// Okta's: when its limit is lifted, in seconds since 1970.
const RATE_LIMIT_RESET: &str = "x-rate-limit-reset";

/// When the answer was sent, by the clock that its other times are of, too (RFC 9110 section 6.6.1).
pub(super) fn sent_at(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(header(headers, DATE.as_str())?.trim_matches([' ', '\t'])).ok()
}

/// The time until Okta's limit is lifted, seen from `now`: Okta's own clock where the response shows it, as
/// its documentation advises.
pub(super) fn until_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let reset = header(headers, RATE_LIMIT_RESET)?.trim().parse().ok()?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // A clock that is far off must not put a target to sleep for years: limits are lifted by the minute.
    Some(Duration::from_secs(reset).saturating_sub(now).min(LONGEST_RESET))
}

/// A header, where it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_seen_from_the_providers_clock() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let wait = |reset: &str, date: Option<SystemTime>| {
            let mut headers = HeaderMap::new();
            headers.insert(RATE_LIMIT_RESET, reset.parse().unwrap());
            date.iter()
                .for_each(|date| drop(headers.insert(DATE, httpdate::fmt_http_date(*date).parse().unwrap())));
            until_reset(&headers, sent_at(&headers).unwrap_or(now)).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("1800000042", None), Some(42));
        assert_eq!(wait("1800000042", Some(now + Duration::from_secs(30))), Some(12));
        assert_eq!(wait("1700000000", None), Some(0));
        assert_eq!(wait("1900000000", None), Some(3600));
        assert_eq!(wait("soon", None), None);
    }

    #[test]
    fn an_answers_own_date_is_read_in_all_its_forms() {
        let sent = |date: Option<&str>| {
            let mut headers = HeaderMap::new();
            date.iter().for_each(|date| drop(headers.insert(DATE, date.parse().unwrap())));
            sent_at(&headers).map(|at| at.duration_since(UNIX_EPOCH).unwrap().as_secs())
        };
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT\t",
        ] {
            assert_eq!(sent(Some(date)), Some(784_111_777), "{date}");
        }
        for none in [None, Some(""), Some("now"), Some("784111777"), Some("2026-11-20T22:30:00Z")] {
            assert_eq!(sent(none), None, "{none:?}");
        }
    }
}
