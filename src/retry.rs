//! The retry schedule: pure.

use std::time::{Duration, SystemTime};

/// The delay a `Retry-After` value asks for: seconds or an HTTP date (RFC 9110 section 10.2.3). A date in the past is zero; garbage is `None`.
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}
