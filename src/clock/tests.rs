use time::ext::NumericalDuration;
use time::macros::datetime;

use super::*;

const BEGAN: OffsetDateTime = datetime!(2026-11-20 22:30:00 UTC);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A database whose clock showed [`BEGAN`] at the origin, and `stepped` more since; asked at `sent`, answered
/// `ago` before `received`.
fn read(before: Option<Estimate>, sent: u64, received: u64, ago: u64, stepped: time::Duration) -> Estimate {
    let database = BEGAN + ms(received - ago) + stepped;
    Estimate::after(before, ms(sent), database, ms(received))
}

/// How far an estimate is from the truth, in milliseconds.
fn wrong(estimate: Estimate, stepped: time::Duration) -> i128 {
    (time_at(estimate.base, Duration::ZERO) - BEGAN - stepped).whole_milliseconds()
}

#[test]
fn a_reading_is_off_by_half_a_round_trip_at_most() {
    for (sent, received, ago) in [
        (0, 1, 0),
        (1000, 1200, 0),
        (1000, 1200, 200),
        (1000, 1200, 100),
        (0, 5000, 5000),
        (60_000, 65_000, 0),
    ] {
        let estimate = read(None, sent, received, ago, 0.seconds());
        let half = i128::from((received - sent) / 2 + 1);
        assert!(wrong(estimate, 0.seconds()).abs() <= half, "{sent} {received} {ago}: {estimate:?}");
        assert!(estimate.error <= ms(u64::try_from(half).unwrap()));
    }
}

#[test]
fn a_slow_answer_spoils_no_good_estimate() {
    let good = read(None, 0, 2, 1, 0.seconds());
    for (rtt, ago) in [(5000, 0), (5000, 5000), (300, 300), (60_000, 1), (20, 0)] {
        let after = read(Some(good), 10_000, 10_000 + rtt, ago, 0.seconds());
        assert_eq!(after.base, good.base, "{rtt} {ago}");
    }
    for (rtt, ago) in [(2, 2), (1, 0)] {
        assert!(
            wrong(read(Some(good), 10_000, 10_000 + rtt, ago, 0.seconds()), 0.seconds()).abs() <= 2,
            "{rtt} {ago}"
        );
    }
}

#[test]
fn a_quick_answer_replaces_a_bad_estimate() {
    let bad = read(None, 0, 5000, 0, 0.seconds());
    assert_eq!(wrong(bad, 0.seconds()), 2500);
    assert!(wrong(read(Some(bad), 8000, 8002, 1, 0.seconds()), 0.seconds()).abs() <= 1);
}

#[test]
fn a_step_of_the_databases_clock_is_followed_within_the_round_trip() {
    for stepped in [30.seconds(), (-30).seconds(), 600.seconds(), (-2).hours(), 400.days()] {
        for rtt in [2, 5000] {
            let good = read(None, 0, 2, 1, 0.seconds());
            let after = read(Some(good), 10_000, 10_000 + rtt, rtt / 2, stepped);
            assert!(wrong(after, stepped).abs() <= i128::from(rtt), "{stepped} {rtt}: {after:?}");
        }
    }
}

#[test]
fn an_old_estimate_gives_way_to_what_it_may_have_drifted() {
    let good = read(None, 0, 2, 1, 0.seconds());
    let hour = 3_600_000;
    let after = read(Some(good), hour, hour + 200, 100, 0.seconds());
    assert!(
        after.error <= ms(101),
        "a reading of 200 ms tells more than one of 2 ms that is an hour old: {after:?}"
    );
}

fn clock() -> (Clock, Instant) {
    let clock = Clock::default();
    let origin = clock.0.origin;
    (clock, origin)
}

/// A quick reading at `at` after the origin beside an own clock that is `ahead`.
fn learn(clock: &Clock, at: Duration, rtt: Duration, ahead: time::Duration) -> Option<Swing> {
    let (sent, received) = (clock.0.origin + at, clock.0.origin + at + rtt);
    let database = BEGAN + at + rtt / 2;
    clock.learn_beside(Reading { sent, database, received }, BEGAN + at + rtt + ahead, received)
}

#[test]
fn times_are_the_databases_whatever_the_own_clock_says() {
    for ahead in [0.seconds(), (-300).seconds(), 600.seconds(), 5.days(), (-20).minutes()] {
        let (clock, origin) = clock();
        learn(&clock, ms(5), ms(2), ahead);
        let (shown, truth) = (clock.now(), BEGAN + origin.elapsed());
        assert!((shown - truth).abs() < 1.seconds(), "{ahead}: {shown} for {truth}");
        assert_eq!(
            clock
                .offset()
                .map(|offset| (offset.millis() - i64::try_from(ahead.whole_milliseconds()).unwrap()).abs()
                    <= 1),
            Some(true)
        );
        let id = clock.row_id().get_timestamp().expect("a time").to_unix().0;
        assert!(id.abs_diff(BEGAN.unix_timestamp().unsigned_abs()) <= 1, "{ahead}");
    }
}

#[test]
fn without_a_reading_the_own_clock_is_all_there_is() {
    let (clock, _) = clock();
    assert!((clock.now() - OffsetDateTime::now_utc()).abs() < 1.seconds());
    assert_eq!(clock.offset(), None);
}

#[test]
fn row_ids_ascend() {
    let (clock, _) = clock();
    let mut ids: Vec<_> = (0..1000).map(|_| clock.row_id()).collect();
    learn(&clock, ms(5), ms(2), 0.seconds());
    assert!(ids.is_sorted());
    ids = (0..1000).map(|_| clock.row_id()).collect();
    assert!(ids.is_sorted());
}

#[test]
fn an_episode_is_told_once() {
    use Swing::{CameBack, WentOff};
    let quick = ms(2);
    for (steps, told) in [
        // Off from the start, either way; then an NTP step mends it.
        (
            &[(300, quick), (300, quick), (0, quick), (0, quick)][..],
            [Some(WentOff), None, Some(CameBack), None],
        ),
        (
            &[(-300, quick), (-299, quick), (-1, quick), (0, quick)],
            [Some(WentOff), None, Some(CameBack), None],
        ),
        // Round about what is tolerated: one episode.
        (&[(0, quick), (3, quick), (2, quick), (3, quick)], [None, Some(WentOff), None, None]),
        (&[(2, quick), (-2, quick), (1, quick), (0, quick)], [None; 4]),
        // What a slow answer leaves open is no alarm.
        (&[(2, ms(5000)), (4, ms(5000)), (-4, ms(5000)), (600, ms(5000))], [None, None, None, Some(WentOff)]),
        // The own clock jumps while the worker runs.
        (&[(0, quick), (7200, quick), (7200, quick), (-7200, quick)], [None, Some(WentOff), None, None]),
    ] {
        let (clock, _) = clock();
        let turns: Vec<_> = (0..)
            .zip(steps)
            .map(|(n, (ahead, rtt))| learn(&clock, ms(10_000 * n), *rtt, time::Duration::seconds(*ahead)))
            .collect();
        assert_eq!(turns, told, "{steps:?}");
    }
}
