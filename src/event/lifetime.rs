//! How long a token may live: by its own `exp`, as far as that lies within reason, else by its provider's
//! `token_ttl`.

use std::time::Duration;

use revocation_verifier::NumericDate;
use time::OffsetDateTime;

/// No server issues tokens for longer. An `exp` beyond is a way of writing "never", or no time at all.
const REASON: time::Duration = time::Duration::days(3652);

/// What bounds the life of the tokens of one event and provider.
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) received_at: OffsetDateTime,
    pub(super) token_ttl: Duration,
}

impl Lifetime {
    /// The latest end of a token whose end is not known. It bounds the denial, and every wide one: no token
    /// that it hits outlives its receipt by more.
    pub(super) fn longest(self) -> OffsetDateTime {
        self.received_at.saturating_add(self.ttl())
    }

    /// The end that a token states, rounded up to the second; `None` where that is no moment. One beyond
    /// reason is [`longest`](Self::longest): nobody keeps a denial, or tries a revocation again, for a
    /// century.
    pub(super) fn end_of(self, exp: NumericDate) -> Option<OffsetDateTime> {
        let seconds = exp.millis().div_euclid(1000) + i64::from(exp.millis().rem_euclid(1000) > 0);
        if seconds <= 0 {
            return None;
        }
        let last = self.received_at.saturating_add(REASON.max(self.ttl()));
        let end = OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|end| *end <= last);
        Some(end.unwrap_or_else(|| self.longest()))
    }

    fn ttl(self) -> time::Duration {
        time::Duration::try_from(self.token_ttl).unwrap_or(time::Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use revocation_verifier::Claims;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 22:30:05.5 UTC);
    const DAY: u64 = 86_400;

    fn lifetime(days: u64) -> Lifetime {
        Lifetime { received_at: NOW, token_ttl: Duration::from_secs(days * DAY) }
    }

    fn end(exp: &str, days: u64) -> Option<OffsetDateTime> {
        Claims::from_json(format!(r#"{{"exp":{exp}}}"#).as_bytes())
            .exp
            .and_then(|exp| lifetime(days).end_of(exp))
    }

    #[test]
    fn an_end_in_any_unit_is_the_same_end() {
        let ends = datetime!(2026-12-01 00:00 UTC);
        let seconds = ends.unix_timestamp();
        for exp in [
            format!("{seconds}"),
            format!("{seconds}.0"),
            format!("{}.25", seconds - 1),
            format!("{}", seconds * 1000),
            format!("{}", seconds * 1000 - 999),
            format!("{}.5", seconds * 1000 - 1),
            format!("{}", seconds * 1_000_000),
            format!("{}", seconds * 1_000_000 - 1),
            format!("{}", seconds * 1_000_000_000),
            format!("{}e-3", seconds * 1000),
        ] {
            assert_eq!(end(&exp, 30), Some(ends), "{exp}");
        }
    }

    #[test]
    fn an_end_beyond_reason_is_the_longest_that_the_provider_gives() {
        for exp in [
            "4102444800",           // 2100
            "4950540605",           // in 100 years
            "4950540605000",        // the same in milliseconds
            "4950540605000000",     // and in microseconds
            "4950540605000000000",  // and in nanoseconds
            "253402300799",         // the last second of 9999, which .NET writes for "never"
            "253402300799.999",     // with its fraction
            "253402300799999",      // and in milliseconds
            "253402300800",         // a second later
            "99999999999",          // eleven nines
            "999999999999",         // twelve
            "9223372036854775807",  // the largest that 64 bits hold
            "18446744073709551615", // and without a sign
            "1e300",
            "1.5e17",
        ] {
            for days in [1, 30, 3650] {
                assert_eq!(end(exp, days), Some(lifetime(days).longest()), "{exp} {days}");
            }
        }
        let last = NOW + REASON;
        assert_eq!(
            end(&last.unix_timestamp().to_string(), 1),
            Some(last.replace_nanosecond(0).unwrap()),
            "ten years are within reason"
        );
        assert_eq!(end(&(last.unix_timestamp() + 1).to_string(), 1), Some(NOW + Duration::from_secs(DAY)));
    }

    #[test]
    fn a_longer_token_ttl_stretches_reason() {
        let far = (NOW + Duration::from_secs(4000 * DAY)).unix_timestamp();
        assert_eq!(end(&far.to_string(), 5000).map(OffsetDateTime::unix_timestamp), Some(far));
        assert_eq!(end(&far.to_string(), 3650), Some(lifetime(3650).longest()));
        let endless = Lifetime { received_at: NOW, token_ttl: Duration::MAX };
        assert_eq!(
            (
                endless.longest().year(),
                endless.end_of(NumericDate::from_millis(i64::MAX)).map(|end| end.year())
            ),
            (9999, Some(9999))
        );
    }

    #[test]
    fn a_past_end_is_kept_and_no_moment_is_none() {
        assert_eq!(end("1000000000", 30), Some(datetime!(2001-09-09 01:46:40 UTC)));
        assert_eq!(end("0.25", 30), Some(datetime!(1970-01-01 00:00:01 UTC)));
        for unknown in [
            "0",
            "-1",
            "-1e300",
            "-0.5",
            "\"1800000000\"",
            "null",
            "true",
            "[1]",
            "{}",
            "1e999",
            "NaN",
            "Infinity",
        ] {
            assert_eq!(end(unknown, 30), None, "{unknown}");
        }
    }
}
