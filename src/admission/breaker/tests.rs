use super::*;
use crate::outcome::Proof;

fn answer(verdict: Verdict) -> Answer {
    Answer { verdict, http_status: None, error: None, retry_after: None }
}

fn fail(breaker: &mut Breaker, calls: &mut Calls, verdict: Verdict, now: Instant) {
    calls.note(now, Duration::from_millis(1), false);
    breaker.report(&answer(verdict), calls, now, 0.5);
}

#[test]
fn half_of_twenty_failures_open_it_and_one_probe_closes_it() {
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    for _ in 0..19 {
        fail(&mut breaker, &mut calls, Verdict::Transient, now);
        assert_eq!(breaker.admit(now), Decision::Call);
    }
    fail(&mut breaker, &mut calls, Verdict::Transient, now);
    assert!(matches!(breaker.admit(now), Decision::Wait(_)));
    assert_eq!(breaker.appetite(now), 0);
    let later = now + FIRST_PROBE;
    assert_eq!(breaker.appetite(later), 1);
    assert_eq!(breaker.admit(later), Decision::Probe);
    assert!(matches!(breaker.admit(later), Decision::Wait(_)), "one probe at a time");
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, later, 0.5);
    assert_eq!(breaker.admit(later), Decision::Call);
}

#[test]
fn twenty_failures_in_a_row_open_it_after_any_number_of_successes() {
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
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
    assert!(matches!(breaker.admit(now), Decision::Wait(_)));
}

#[test]
fn calls_that_were_under_way_when_it_opened_do_not_lengthen_the_wait() {
    for verdict in [Verdict::Transient, Verdict::Misconfigured] {
        let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        for _ in 0..52 {
            fail(&mut breaker, &mut calls, verdict, now);
        }
        assert_eq!(breaker.admit(now + FIRST_PROBE), Decision::Probe, "{verdict:?}");
    }
}

#[test]
fn one_misconfigured_answer_opens_it_and_probes_space_out() {
    let (mut breaker, mut calls, mut now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    for expected in [2, 4, 8, 16, 32, 60, 60] {
        now += Duration::from_secs(expected);
        assert_eq!(
            breaker.admit(now - Duration::from_millis(1)),
            Decision::Wait((now).max(now - Duration::from_millis(1) + FIRST_PROBE))
        );
        assert_eq!(breaker.admit(now), Decision::Probe, "after {expected} s");
        fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    }
}

#[test]
fn a_retry_after_holds_everything_back_and_a_late_success_does_not_shorten_it() {
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    let mut throttled = answer(Verdict::Transient);
    throttled.retry_after = Some(Duration::from_secs(30));
    calls.note(now, Duration::from_millis(1), false);
    breaker.report(&throttled, &calls, now, 0.5);
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, now, 0.5);
    assert!(matches!(breaker.admit(now + Duration::from_secs(29)), Decision::Wait(_)));
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Call);
    breaker.report(&throttled, &calls, now, 0.5);
    breaker.report(&answer(Verdict::Misconfigured), &calls, now, 0.5);
    assert!(
        matches!(breaker.admit(now + Duration::from_secs(29)), Decision::Wait(_)),
        "nor does a failure of another kind"
    );
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Probe);
}

#[test]
fn a_failing_provider_that_names_a_time_is_probed_then_and_not_called_by_everyone() {
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    let mut busy = answer(Verdict::Transient);
    busy.retry_after = Some(Duration::from_secs(5));
    for _ in 0..20 {
        calls.note(now, Duration::from_millis(1), false);
        breaker.report(&busy, &calls, now, 0.5);
    }
    assert!(matches!(breaker.admit(now + Duration::from_secs(4)), Decision::Wait(_)));
    let later = now + Duration::from_secs(5);
    assert_eq!(breaker.admit(later), Decision::Probe);
    calls.note(later, Duration::from_millis(1), false);
    breaker.report(&busy, &calls, later, 0.5);
    assert_eq!(
        breaker.admit(later + Duration::from_secs(5)),
        Decision::Probe,
        "a probe that is told to wait leads to the next probe"
    );
}

fn told_to_wait(breaker: &mut Breaker, calls: &mut Calls, seconds: u64, now: Instant) {
    let retry_after = Some(Duration::from_secs(seconds));
    calls.note(now, Duration::from_millis(1), false);
    breaker.report(&Answer { retry_after, ..answer(Verdict::Transient) }, calls, now, 0.5);
}

/// All of its first calls were sent away, as happens to a worker that is new: it is open, not held.
fn opened_by_waits(seconds: u64, now: Instant) -> (Breaker, Calls) {
    let (mut breaker, mut calls) = (Breaker::default(), Calls::new(now));
    (0..32).for_each(|_| told_to_wait(&mut breaker, &mut calls, seconds, now));
    assert!(matches!(breaker.phase, Phase::Open { .. }), "{:?}", breaker.phase);
    (breaker, calls)
}

#[test]
fn a_very_long_retry_after_is_waited_in_full_up_to_a_day() {
    let now = Instant::now();
    for (asked, first, admission) in
        [(3600, 3600, Decision::Call), (86_400, 86_400, Decision::Call), (864_000, 86_400, Decision::Probe)]
    {
        let (mut breaker, mut calls) = (Breaker::default(), Calls::new(now));
        told_to_wait(&mut breaker, &mut calls, asked, now);
        assert!(
            matches!(breaker.admit(now + Duration::from_secs(first - 1)), Decision::Wait(_)),
            "{asked} s"
        );
        assert_eq!(breaker.held_for(now), Some(Duration::from_secs(first)), "{asked} s");
        assert_eq!(breaker.admit(now + Duration::from_secs(first)), admission, "{asked} s");
    }
}

#[test]
fn what_an_open_breaker_was_told_can_be_told_to_others() {
    let now = Instant::now();
    let (mut breaker, mut calls) = opened_by_waits(30, now);
    assert_eq!(breaker.held_for(now), Some(Duration::from_secs(30)));
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    assert_eq!(
        breaker.held_for(now),
        Some(Duration::from_secs(30)),
        "a failure of another kind does not take it back"
    );
    assert_eq!(breaker.held_for(now + Duration::from_secs(30)), None);
    let (mut failing, mut calls) = (Breaker::default(), Calls::new(now));
    fail(&mut failing, &mut calls, Verdict::Misconfigured, now);
    assert_eq!(failing.held_for(now), None, "it asked for nothing");
}

#[test]
fn whoever_was_told_less_does_not_shorten_the_wait() {
    let now = Instant::now();
    let (mut breaker, mut calls) = opened_by_waits(30, now);
    told_to_wait(&mut breaker, &mut calls, 1, now);
    assert_eq!(breaker.held_for(now), Some(Duration::from_secs(30)));
    assert!(matches!(breaker.admit(now + Duration::from_secs(29)), Decision::Wait(_)));
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Probe);
    let (mut breaker, mut calls, mut at) = (Breaker::default(), Calls::new(now), now);
    for wait in [2, 4, 8, 16] {
        fail(&mut breaker, &mut calls, Verdict::Misconfigured, at);
        at += Duration::from_secs(wait);
        breaker.admit(at);
    }
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, at);
    told_to_wait(&mut breaker, &mut calls, 1, at);
    assert!(
        matches!(breaker.admit(at + Duration::from_secs(31)), Decision::Wait(_)),
        "nor the spacing of probes"
    );
    assert_eq!(breaker.admit(at + Duration::from_secs(32)), Decision::Probe);
}

#[test]
fn another_workers_wait_holds_an_open_breaker_too() {
    let now = Instant::now();
    let (mut breaker, mut calls) = (Breaker::default(), Calls::new(now));
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    breaker.hold(Duration::from_secs(30), now);
    breaker.hold(Duration::from_secs(10), now);
    assert_eq!(breaker.held_for(now), Some(Duration::from_secs(30)));
    assert!(matches!(breaker.admit(now + Duration::from_secs(29)), Decision::Wait(_)));
    let later = now + Duration::from_secs(30);
    assert_eq!(breaker.admit(later), Decision::Probe);
    breaker.hold(Duration::from_secs(30), later);
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, later);
    assert_eq!(
        breaker.held_for(later),
        Some(Duration::from_secs(30)),
        "nor does a probe that fails meanwhile shorten it"
    );
    assert!(matches!(breaker.admit(later + Duration::from_secs(29)), Decision::Wait(_)));
}

#[test]
fn a_success_that_was_under_way_ends_the_failing_but_not_the_wait() {
    let now = Instant::now();
    let (mut breaker, calls) = opened_by_waits(30, now);
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, now, 0.5);
    assert!(matches!(breaker.admit(now + Duration::from_secs(29)), Decision::Wait(_)));
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Call);
}

#[test]
fn a_withdrawn_probe_leaves_room_for_the_next() {
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    let later = now + FIRST_PROBE;
    assert_eq!(breaker.admit(later), Decision::Probe);
    breaker.withdraw();
    assert_eq!(breaker.admit(later), Decision::Probe);
}

#[test]
fn while_a_person_has_to_mend_something_no_target_is_the_probe_where_the_provider_has_its_own() {
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    breaker.spare_targets(true);
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    let mut at = now;
    for expected in [2, 4, 8, 16, 32, 60, 60] {
        at += Duration::from_secs(expected);
        assert_eq!(breaker.own_probe_at(), Some(at));
        assert_eq!(breaker.appetite(at + LAST_PROBE), 0, "no target is claimed");
        assert!(matches!(breaker.admit(at + LAST_PROBE), Decision::Wait(_)), "nor admitted");
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
        (breaker.own_probe_at(), breaker.appetite(at + LAST_PROBE)),
        (None, 1),
        "unless the provider's own tells nothing"
    );
    breaker.spare_targets(true);
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, at, 0.5);
    assert_eq!((breaker.own_probe_at(), breaker.admit(at)), (None, Decision::Call));
    assert_eq!(breaker.open_slots(32, at + RAMP / 2), 16, "with the usual ramp");
}

#[test]
fn a_provider_that_fails_is_probed_with_targets_until_it_turns_out_that_a_person_has_to_mend_something() {
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    breaker.spare_targets(true);
    (0..20).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
    assert_eq!((breaker.own_probe_at(), breaker.appetite(now + FIRST_PROBE)), (None, 1));
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    assert_eq!((breaker.own_probe_at(), breaker.appetite(now + FIRST_PROBE)), (Some(now + FIRST_PROBE), 0));
}

#[test]
fn after_two_targets_that_failed_as_the_probe_it_is_the_providers_own_where_it_has_one() {
    for has_probe in [true, false] {
        let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
        breaker.spare_targets(has_probe);
        (0..20).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
        for seconds in [2, 6] {
            assert_eq!(breaker.admit(now + Duration::from_secs(seconds)), Decision::Probe, "a target");
            fail(&mut breaker, &mut calls, Verdict::Transient, now + Duration::from_secs(seconds));
        }
        let third = now + Duration::from_secs(14);
        assert_eq!(
            (breaker.own_probe_at(), breaker.appetite(third)),
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
    let (mut breaker, mut calls, now) = (Breaker::default(), Calls::new(Instant::now()), Instant::now());
    for _ in 0..100 {
        calls.note(now, Duration::from_millis(1), true);
        breaker.report(&answer(Verdict::Doubted), &calls, now, 0.5);
        assert_eq!(breaker.admit(now), Decision::Call);
    }
    (0..100).for_each(|_| fail(&mut breaker, &mut calls, Verdict::Transient, now));
    let later = now + FIRST_PROBE;
    assert_eq!(breaker.admit(later), Decision::Probe);
    breaker.report(&answer(Verdict::Doubted), &calls, later, 0.5);
    assert!(matches!(breaker.admit(later), Decision::Wait(_)));
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, later, 0.5);
    assert_eq!(breaker.admit(later), Decision::Call, "the provider's own probe was accepted");
}

#[test]
fn beyond_the_bound_for_retry_after_the_bound_holds() {
    let (now, bound) = (Instant::now(), 90);
    for asked in [1, 89, 90, 91, 3600, 864_000, 10 * 365 * 86_400] {
        let (mut breaker, mut calls, mut other) = (Breaker::default(), Calls::new(now), Breaker::default());
        [&mut breaker, &mut other]
            .into_iter()
            .for_each(|breaker| breaker.set_longest_hold(Duration::from_secs(bound)));
        told_to_wait(&mut breaker, &mut calls, asked, now);
        other.hold(Duration::from_secs(asked), now);
        let held = asked.min(bound);
        for breaker in [&breaker, &other] {
            assert_eq!(breaker.held_for(now), Some(Duration::from_secs(held)), "{asked} s");
        }
        let then = now + Duration::from_secs(held);
        let first = if asked > bound { Decision::Probe } else { Decision::Call };
        assert_eq!(
            (breaker.appetite(then - Duration::from_millis(1)), breaker.admit(then)),
            (0, first),
            "{asked} s"
        );
    }
}

#[test]
fn an_operator_ends_a_wait_and_has_what_fails_probed_at_once() {
    let now = Instant::now();
    let (mut held, mut calls) = (Breaker::default(), Calls::new(now));
    assert!(!held.resume(now), "it waits for nothing");
    assert_eq!(held.admit(now), Decision::Call);
    told_to_wait(&mut held, &mut calls, 3600, now);
    assert!(held.resume(now));
    assert_eq!((held.held_for(now), held.admit(now)), (None, Decision::Call));

    let (mut told, _) = opened_by_waits(3600, now);
    let (mut failing, mut calls) = (Breaker::default(), Calls::new(now));
    fail(&mut failing, &mut calls, Verdict::Misconfigured, now);
    for breaker in [&mut told, &mut failing] {
        assert_eq!(breaker.appetite(now), 0);
        assert!(breaker.resume(now));
        assert_eq!(
            (breaker.held_for(now), breaker.appetite(now), breaker.admit(now)),
            (None, 1, Decision::Probe)
        );
        assert!(breaker.resume(now));
        assert!(matches!(breaker.admit(now), Decision::Wait(_)), "still one probe at a time");
    }
    fail(&mut failing, &mut calls, Verdict::Misconfigured, now);
    assert_eq!(failing.admit(now + FIRST_PROBE), Decision::Probe, "and then it begins anew");
}
