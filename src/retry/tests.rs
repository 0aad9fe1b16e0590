use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn schedule(initial: Duration, max: Duration) -> Schedule {
    Schedule::new(&RetryConfig {
        initial,
        max,
        give_up_after: HOUR,
        resweep_every: HOUR,
        retry_after_max: Duration::MAX,
    })
}

fn default_schedule() -> Schedule {
    schedule(Duration::from_millis(500), Duration::from_secs(600))
}

/// `initial * 2^(failures - 1)`, at most `max`, in whole nanoseconds.
fn reference(initial: u64, max: u64, failures: u32) -> Duration {
    let doubled = u128::from(initial) << failures.saturating_sub(1).min(64);
    Duration::from_nanos(u64::try_from(doubled.min(u128::from(max))).unwrap())
}

#[test]
fn ceilings_of_the_default_settings() {
    let ceilings: Vec<f64> =
        (1..=13).map(|failures| default_schedule().ceiling(failures).as_secs_f64()).collect();
    assert_eq!(ceilings, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 600.0, 600.0]);
    assert_eq!(default_schedule().ceiling(0), default_schedule().ceiling(1));
}

#[test]
fn delays_fill_the_whole_interval() {
    let schedule = default_schedule();
    let drawn: Vec<f64> = (0..4000).map(|_| schedule.delay(5, None).as_secs_f64()).collect();
    for quarter in 0..4 {
        let low = f64::from(quarter) * 2.0;
        let share = drawn.iter().filter(|&&delay| (low..low + 2.0).contains(&delay)).count();
        assert!((800..1200).contains(&share), "{share} of 4000 delays between {low} s and {} s", low + 2.0);
    }
}

#[test]
fn the_same_retry_after_spreads_a_herd() {
    let schedule = default_schedule();
    let floor = Duration::from_secs(60);
    let drawn: Vec<Duration> = (0..1000).map(|_| schedule.delay(1, Some(floor))).collect();
    assert!(drawn.iter().all(|delay| (floor..=floor + Duration::from_secs(6)).contains(delay)));
    for tenth in 0..10 {
        let low = floor + Duration::from_millis(600) * tenth;
        let share =
            drawn.iter().filter(|&&delay| (low..low + Duration::from_millis(600)).contains(&delay)).count();
        assert!((40..200).contains(&share), "{share} of 1000 delays in tenth {tenth} of the spread");
    }
}

#[test]
fn retry_after_zero_still_backs_off() {
    let schedule = default_schedule();
    let longest = (0..200).map(|_| schedule.delay(20, Some(Duration::ZERO))).max();
    assert!(longest > Some(Duration::from_secs(300)), "{longest:?}");
}

#[test]
fn retry_after_headers() {
    let now = httpdate::parse_http_date("Fri, 20 Nov 2026 22:30:00 GMT").unwrap();
    let cases = [
        ("0", Some(0)),
        ("120", Some(120)),
        (" 7\t", Some(7)),
        ("007", Some(7)),
        ("Fri, 20 Nov 2026 22:31:30 GMT", Some(90)),
        ("Friday, 20-Nov-26 22:31:30 GMT", Some(90)),
        ("Fri Nov 20 22:31:30 2026", Some(90)),
        ("Fri, 20 Nov 2026 22:29:59 GMT", Some(0)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("315360001", Some(LONGEST.as_secs())),
        ("18446744073709551616", Some(LONGEST.as_secs())),
        ("99999999999999999999999999", Some(LONGEST.as_secs())),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST.as_secs())),
        ("", None),
        ("  ", None),
        ("-1", None),
        ("+5", None),
        ("1.5", None),
        ("1e3", None),
        ("soon", None),
        ("10 seconds", None),
        ("1, 2", None),
        ("2026-11-20T22:31:30Z", None),
        ("Fri, 20 Nov 2026 25:31:30 GMT", None),
    ];
    for (value, seconds) in cases {
        assert_eq!(parse_retry_after(value, now), seconds.map(Duration::from_secs), "{value:?}");
    }
}

proptest! {
    #[test]
    fn delays_stay_in_bounds(
        initial in 0..=u64::MAX,
        max in 0..=u64::MAX,
        failures in prop_oneof![0..80u32, any::<u32>(), Just(u32::MAX)],
    ) {
        let schedule = schedule(Duration::from_millis(initial), Duration::from_millis(max));
        let ceiling = schedule.ceiling(failures);
        prop_assert!((SHORTEST..=LONGEST).contains(&ceiling));
        prop_assert!(ceiling <= schedule.ceiling(failures.saturating_add(1)));
        prop_assert!(schedule.delay(failures, None) <= ceiling);
    }

    #[test]
    fn ceilings_double_up_to_the_maximum(
        initial in 1_000_000..=10_000_000_000_u64,
        extra in 0..=2_592_000_000_000_000_u64,
        failures: u32,
    ) {
        let max = initial + extra;
        let schedule = schedule(Duration::from_nanos(initial), Duration::from_nanos(max));
        for failures in [failures, failures % 45] {
            prop_assert_eq!(schedule.ceiling(failures), reference(initial, max, failures));
        }
    }

    #[test]
    fn retry_after_is_waited_in_full(floor_ms in 0..=u64::MAX, failures: u32) {
        let (schedule, floor) = (default_schedule(), Duration::from_millis(floor_ms));
        let delay = schedule.delay(failures, Some(floor));
        let spread = (floor / 10).clamp(Duration::from_millis(500), Duration::from_secs(600));
        prop_assert!(delay >= floor);
        prop_assert!(delay <= schedule.ceiling(failures).max(floor + spread));
    }

    #[test]
    fn any_header_is_safe(value in ".*") {
        let parsed = parse_retry_after(&value, SystemTime::UNIX_EPOCH);
        prop_assert!(parsed.is_none_or(|wait| wait <= LONGEST));
    }
}

#[test]
fn the_longest_values_do_not_overflow() {
    let schedule = schedule(Duration::MAX, Duration::MAX);
    assert_eq!(schedule.ceiling(u32::MAX), LONGEST);
    assert!(schedule.delay(u32::MAX, None) <= LONGEST);
    assert_eq!(schedule.delay(u32::MAX, Some(Duration::MAX)), Duration::MAX);
}

#[test]
fn a_retry_after_beyond_the_bound_is_waited_to_the_bound() {
    let (bound, spread) = (HOUR, Duration::from_secs(360));
    let schedule = default_schedule().honouring_at_most(bound);
    for asked in [
        "0",
        "1",
        "3599",
        "3600",
        "3601",
        "86400",
        "315360000",
        "99999999999999999999",
        "Thu, 31 Dec 2099 23:59:59 GMT",
    ] {
        let asked = parse_retry_after(asked, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
            .expect("it can be read");
        let (least, delay) = (asked.min(bound), schedule.delay(1, Some(asked)));
        assert!(
            (least..=least.max(Duration::from_millis(500)) + spread).contains(&delay),
            "{asked:?}: {delay:?}"
        );
    }
    let delay = Schedule::new(&RetryConfig::default()).delay(1, Some(1000 * HOUR));
    assert!((24 * HOUR..25 * HOUR).contains(&delay), "the default is a day: {delay:?}");
}
