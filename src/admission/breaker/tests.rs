mod waits;

use super::*;
use crate::outcome::Proof;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn closed() -> Breaker {
    Breaker::new(DAY)
}

fn answer(verdict: Verdict) -> Answer {
    Answer { verdict, http_status: None, error: None, retry_after: None }
}

fn fail(breaker: &mut Breaker, calls: &mut Calls, verdict: Verdict, now: Instant) {
    calls.note(now, Duration::from_millis(1), false);
    breaker.report(&answer(verdict), calls, now, 0.5);
}

#[test]
fn half_of_twenty_failures_open_it_and_one_probe_closes_it() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    for _ in 0..19 {
        fail(&mut breaker, &mut calls, Verdict::Transient, now);
        assert_eq!(breaker.admit(now), Decision::Call);
    }
    fail(&mut breaker, &mut calls, Verdict::Transient, now);
    assert_eq!(breaker.admit(now), Decision::Reject);
    assert_eq!(breaker.wanted(now), 0);
    let later = now + FIRST_PROBE;
    assert_eq!(breaker.wanted(later), 1);
    assert_eq!(breaker.admit(later), Decision::Probe);
    assert_eq!(breaker.admit(later), Decision::Reject, "one probe at a time");
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, later, 0.5);
    assert_eq!(breaker.admit(later), Decision::Call);
}

#[test]
fn twenty_failures_in_a_row_open_it_after_any_number_of_successes() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    let succeed = |breaker: &mut Breaker, calls: &mut Calls| {
        calls.note(now, Duration::from_millis(1), true);
        breaker.report(&answer(Verdict::Done(Proof::Accepted)), calls, now, 0.5);
    };
    (0..10_000).for_each(|_| succeed(&mut breaker, &mut calls));
    for _ in 0..100 {
        (0..19).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
        assert_eq!(breaker.admit(now), Decision::Call);
        succeed(&mut breaker, &mut calls);
    }
    (0..20).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
    assert_eq!(breaker.admit(now), Decision::Reject);
}

#[test]
fn twenty_failures_in_a_row_open_it_again_after_any_number_of_successes_since_the_probe() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    (0..20).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
    let later = now + FIRST_PROBE;
    assert_eq!(breaker.admit(later), Decision::Probe);
    for _ in 0..6_000 {
        calls.note(later, Duration::from_millis(1), true);
        breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, later, 0.5);
    }
    (0..19).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, later));
    assert_eq!(breaker.admit(later), Decision::Call);
    fail(&mut breaker, &mut calls, Verdict::Transient, later);
    assert_eq!(breaker.admit(later), Decision::Reject);
}

#[test]
fn calls_that_were_under_way_when_it_opened_do_not_lengthen_the_wait() {
    for verdict in [Verdict::Transient, Verdict::Misconfigured] {
        let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
        for _ in 0..52 {
            fail(&mut breaker, &mut calls, verdict, now);
        }
        assert_eq!(breaker.admit(now + FIRST_PROBE), Decision::Probe, "{verdict:?}");
    }
}

#[test]
fn one_misconfigured_answer_opens_it_and_probes_space_out() {
    let (mut breaker, mut calls, mut now) = (closed(), Calls::new(Instant::now()), Instant::now());
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    for expected in [2, 4, 8, 16, 32, 60, 60] {
        now += Duration::from_secs(expected);
        assert_eq!(breaker.admit(now - Duration::from_millis(1)), Decision::Reject);
        assert!(matches!(breaker.state, State::Open(pause) if pause.probe_at == now), "{:?}", breaker.state);
        assert_eq!(breaker.admit(now), Decision::Probe, "after {expected} s");
        fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    }
}

#[test]
fn a_withdrawn_probe_leaves_room_for_the_next() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    let later = now + FIRST_PROBE;
    assert_eq!(breaker.admit(later), Decision::Probe);
    breaker.withdraw();
    assert_eq!(breaker.admit(later), Decision::Probe);
}

#[test]
fn while_a_person_has_to_mend_something_no_target_is_the_probe_where_the_provider_has_its_own() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    breaker.spare_targets(true);
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    let mut at = now;
    for expected in [2, 4, 8, 16, 32, 60, 60] {
        at += Duration::from_secs(expected);
        assert_eq!(breaker.own_probe_at(), Some(at));
        assert_eq!(breaker.wanted(at + LAST_PROBE), 0, "no target is claimed");
        assert_eq!(breaker.admit(at + LAST_PROBE), Decision::Reject, "nor admitted");
        breaker.begin_own_probe();
        assert_eq!(breaker.name(), "half_open");
        fail(
            &mut breaker,
            &mut calls,
            if expected == 8 { Verdict::Transient } else { Verdict::Misconfigured },
            at,
        );
    }
    breaker.spare_targets(false);
    assert_eq!(
        (breaker.own_probe_at(), breaker.wanted(at + LAST_PROBE)),
        (None, 1),
        "unless the provider's own tells nothing"
    );
    breaker.spare_targets(true);
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, at, 0.5);
    assert_eq!((breaker.own_probe_at(), breaker.admit(at)), (None, Decision::Call));
    assert_eq!(breaker.open_slots(32, at + Duration::from_secs(5)), 16, "with the usual ramp");
}

#[test]
fn a_provider_that_fails_is_probed_with_targets_until_it_turns_out_that_a_person_has_to_mend_something() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    breaker.spare_targets(true);
    (0..20).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
    assert_eq!((breaker.own_probe_at(), breaker.wanted(now + FIRST_PROBE)), (None, 1));
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    assert_eq!((breaker.own_probe_at(), breaker.wanted(now + FIRST_PROBE)), (Some(now + FIRST_PROBE), 0));
}

#[test]
fn after_two_targets_that_failed_as_the_probe_it_is_the_providers_own_where_it_has_one() {
    for has_probe in [true, false] {
        let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
        breaker.spare_targets(has_probe);
        (0..20).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
        for seconds in [2, 6] {
            assert_eq!(breaker.admit(now + Duration::from_secs(seconds)), Decision::Probe, "a target");
            fail(&mut breaker, &mut calls, Verdict::Transient, now + Duration::from_secs(seconds));
        }
        let third = now + Duration::from_secs(14);
        assert_eq!(
            (breaker.own_probe_at(), breaker.wanted(third)),
            if has_probe { (Some(third), 0) } else { (None, 1) }
        );
        breaker.begin_own_probe();
        breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, third, 0.5);
        (0..5).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, third));
        assert_eq!(
            breaker.own_probe_at(),
            has_probe.then_some(third + FIRST_PROBE),
            "they fail again, and others have had their turn"
        );
    }
}

#[test]
fn an_answer_in_doubt_opens_nothing_and_as_a_probe_it_only_waits_for_what_is_found_out() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    for _ in 0..100 {
        calls.note(now, Duration::from_millis(1), true);
        breaker.report(&answer(Verdict::Doubted), &calls, now, 0.5);
        assert_eq!(breaker.admit(now), Decision::Call);
    }
    (0..100).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
    let later = now + FIRST_PROBE;
    assert_eq!(breaker.admit(later), Decision::Probe);
    breaker.report(&answer(Verdict::Doubted), &calls, later, 0.5);
    assert_eq!(breaker.admit(later), Decision::Reject);
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, later, 0.5);
    assert_eq!(breaker.admit(later), Decision::Call, "the provider's own probe was accepted");
}

#[test]
fn with_jitter_probes_of_a_long_outage_are_45_to_75_seconds_apart_and_the_first_comes_after_1500_ms() {
    for (jitter, waits) in [
        (0.0, [1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000]),
        (1.0, [2500, 5000, 10_000, 20_000, 40_000, 75_000, 75_000]),
    ] {
        let (mut breaker, calls, mut now) = (closed(), Calls::new(Instant::now()), Instant::now());
        for wait in waits.map(Duration::from_millis) {
            breaker.report(&answer(Verdict::Misconfigured), &calls, now, jitter);
            now += wait;
            assert_eq!(breaker.decide(now - Duration::from_millis(1)), Decision::Reject, "{wait:?}");
            assert_eq!(breaker.admit(now), Decision::Probe, "{wait:?}");
        }
    }
}

#[test]
fn each_signal_catches_what_the_other_misses() {
    let now = Instant::now();
    let (mut half_broken, mut calls) = (closed(), Calls::new(now));
    for _ in 0..10 {
        calls.note(now, Duration::from_millis(1), true);
        half_broken.report(&answer(Verdict::Done(Proof::Accepted)), &calls, now, 0.5);
        fail(&mut half_broken, &mut calls, Verdict::Transient, now);
    }
    assert_eq!((half_broken.in_a_row, half_broken.name()), (1, "open"), "every other call, and no run");
    let (mut gone, mut calls) = (closed(), Calls::new(now));
    (0..1000).for_each(|_| calls.note(now, Duration::from_millis(1), true));
    (0..20).for_each(|_| fail(&mut gone, &mut calls, Verdict::Transient, now));
    assert_eq!((calls.recent(now).failures, gone.name()), (20, "open"), "a run, and one call in fifty");
}
