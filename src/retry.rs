//! The retry schedule: pure. The exponential steps and the randomness are the `backoff` crate's; this module
//! fences in its surprises.

use std::time::{Duration, SystemTime};

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use crate::config::RetryConfig;

/// Longest wait that anything here yields, before jitter: 10 years. It keeps every later addition to a date
/// in range.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Shortest first ceiling. Doubling from zero would stay at zero.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long to wait before the next attempt: exponential, full jitter.
///
/// With the default settings (`initial` 500 ms, `max` 10 min) the ceilings of the first twelve delays are, in
/// seconds: 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, and 600 from then on. Each delay is uniform
/// between zero and its ceiling.
#[derive(Clone)]
pub struct Schedule {
    first: ExponentialBackoff,
    resweep_every: Duration,
    retry_after_max: Duration,
}

impl Schedule {
    /// The schedule of `[retry]`. `initial` and `max` out of range are clamped to 1 ms and 10 years.
    pub fn new(config: &RetryConfig) -> Self {
        let initial = config.initial.clamp(SHORTEST, LONGEST);
        let first = ExponentialBackoff {
            current_interval: initial,
            initial_interval: initial,
            // At factor 1 the crate draws from [0, 2 x interval], `max_interval` notwithstanding; `jitter`
            // halves that.
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: config.max.clamp(initial, LONGEST),
            // Its default gives up after 15 min by its own clock; the budget here is the token's lifetime,
            // kept in the database.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { first, resweep_every: config.resweep_every, retry_after_max: config.retry_after_max }
    }

    /// The schedule of reconnecting to the broker and of repeating what Postgres or the broker did not take:
    /// ceilings 0.2 s to 10 s.
    pub fn reconnecting() -> Self {
        let (initial, max) = (Duration::from_millis(200), Duration::from_secs(10));
        Self::new(&RetryConfig {
            initial,
            max,
            give_up_after: LONGEST,
            resweep_every: LONGEST,
            retry_after_max: LONGEST,
        })
    }

    /// The same with another bound for `Retry-After`: a provider's own.
    #[must_use]
    pub fn honouring_at_most(&self, retry_after_max: Duration) -> Self {
        Self { retry_after_max, ..self.clone() }
    }

    /// How long a parked target rests.
    pub fn resweep_every(&self) -> Duration {
        self.resweep_every
    }

    /// The wait after `failures` failed attempts in a row (0 counts as 1): uniform between zero and the
    /// ceiling.
    ///
    /// A `Retry-After` is a floor, waited in full up to `retry_after_max`, with up to a tenth on top (at
    /// least `initial`, at most `max`), so that targets told the same moment do not return together. It never
    /// shortens the exponential delay: `Retry-After: 0` asks for no hot loop.
    pub fn delay(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let delay = jitter(self.step(failures));
        let floor = retry_after.map(|asked| asked.min(self.retry_after_max));
        floor.map_or(delay, |floor| delay.max(floor.saturating_add(self.spread(floor))))
    }

    /// The longest that `delay` may be without a `Retry-After`.
    pub fn ceiling(&self, failures: u32) -> Duration {
        self.step(failures).current_interval
    }

    /// The crate's state at the `failures`th delay. Doubling reaches `max_interval` in at most 39 steps.
    fn step(&self, failures: u32) -> ExponentialBackoff {
        let mut backoff = self.first.clone();
        for _ in 1..failures {
            if backoff.current_interval >= backoff.max_interval {
                break;
            }
            backoff.next_backoff();
        }
        backoff
    }

    fn spread(&self, floor: Duration) -> Duration {
        let most = (floor / 10).clamp(self.first.initial_interval, self.first.max_interval);
        jitter(ExponentialBackoff { current_interval: most, ..self.first.clone() })
    }
}

/// Uniform in [0, current interval]. The crate draws in floating point, which may round past the end, hence
/// the `min`.
fn jitter(mut backoff: ExponentialBackoff) -> Duration {
    let ceiling = backoff.current_interval;
    // `None` cannot come without a maximum elapsed time; the ceiling is the safe answer all the same.
    backoff.next_backoff().map_or(ceiling, |drawn| (drawn / 2).min(ceiling))
}

/// Reads a `Retry-After` header (RFC 9110 section 10.2.3): whole seconds or an HTTP date, seen from `now`.
///
/// A date in the past is zero; anything beyond 10 years is 10 years; anything else, negative and fractional
/// numbers included, is `None`.
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only too many digits can fail here.
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests;
