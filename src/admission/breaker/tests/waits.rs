use super::*;

#[test]
fn a_retry_after_holds_everything_back_and_a_late_success_does_not_shorten_it() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    let mut throttled = answer(Verdict::Transient);
    throttled.retry_after = Some(Duration::from_secs(30));
    calls.note(now, Duration::from_millis(1), false);
    breaker.report(&throttled, &calls, now, 0.5);
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, now, 0.5);
    assert_eq!(breaker.admit(now + Duration::from_secs(29)), Decision::Reject);
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Call);
    breaker.report(&throttled, &calls, now, 0.5);
    breaker.report(&answer(Verdict::Misconfigured), &calls, now, 0.5);
    assert!(
        breaker.admit(now + Duration::from_secs(29)) == Decision::Reject,
        "nor does a failure of another kind"
    );
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Probe);
}

#[test]
fn a_failing_provider_that_names_a_time_is_probed_then_and_not_called_by_everyone() {
    let (mut breaker, mut calls, now) = (closed(), Calls::new(Instant::now()), Instant::now());
    let mut busy = answer(Verdict::Transient);
    busy.retry_after = Some(Duration::from_secs(5));
    for _ in 0..20 {
        calls.note(now, Duration::from_millis(1), false);
        breaker.report(&busy, &calls, now, 0.5);
    }
    assert_eq!(breaker.admit(now + Duration::from_secs(4)), Decision::Reject);
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
    let (mut breaker, mut calls) = (closed(), Calls::new(now));
    (0..32).for_each(|_| told_to_wait(&mut breaker, &mut calls, seconds, now));
    assert!(matches!(breaker.state, State::Open(_)), "{:?}", breaker.state);
    (breaker, calls)
}

#[test]
fn a_very_long_retry_after_is_waited_in_full_up_to_a_day() {
    let now = Instant::now();
    for (asked, first, admission) in
        [(3600, 3600, Decision::Call), (86_400, 86_400, Decision::Call), (864_000, 86_400, Decision::Probe)]
    {
        let (mut breaker, mut calls) = (closed(), Calls::new(now));
        told_to_wait(&mut breaker, &mut calls, asked, now);
        assert!(breaker.admit(now + Duration::from_secs(first - 1)) == Decision::Reject, "{asked} s");
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
    let (mut failing, mut calls) = (closed(), Calls::new(now));
    fail(&mut failing, &mut calls, Verdict::Misconfigured, now);
    assert_eq!(failing.held_for(now), None, "it asked for nothing");
}

#[test]
fn whoever_was_told_less_does_not_shorten_the_wait() {
    let now = Instant::now();
    let (mut breaker, mut calls) = opened_by_waits(30, now);
    told_to_wait(&mut breaker, &mut calls, 1, now);
    assert_eq!(breaker.held_for(now), Some(Duration::from_secs(30)));
    assert_eq!(breaker.admit(now + Duration::from_secs(29)), Decision::Reject);
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Probe);
    let (mut breaker, mut calls, mut at) = (closed(), Calls::new(now), now);
    for wait in [2, 4, 8, 16] {
        fail(&mut breaker, &mut calls, Verdict::Misconfigured, at);
        at += Duration::from_secs(wait);
        breaker.admit(at);
    }
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, at);
    told_to_wait(&mut breaker, &mut calls, 1, at);
    assert!(breaker.admit(at + Duration::from_secs(31)) == Decision::Reject, "nor the spacing of probes");
    assert_eq!(breaker.admit(at + Duration::from_secs(32)), Decision::Probe);
}

#[test]
fn another_workers_wait_holds_an_open_breaker_too() {
    let now = Instant::now();
    let (mut breaker, mut calls) = (closed(), Calls::new(now));
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, now);
    breaker.hold(Duration::from_secs(30), now);
    breaker.hold(Duration::from_secs(10), now);
    assert_eq!(breaker.held_for(now), Some(Duration::from_secs(30)));
    assert_eq!(breaker.admit(now + Duration::from_secs(29)), Decision::Reject);
    let later = now + Duration::from_secs(30);
    assert_eq!(breaker.admit(later), Decision::Probe);
    breaker.hold(Duration::from_secs(30), later);
    fail(&mut breaker, &mut calls, Verdict::Misconfigured, later);
    assert_eq!(
        breaker.held_for(later),
        Some(Duration::from_secs(30)),
        "nor does a probe that fails meanwhile shorten it"
    );
    assert_eq!(breaker.admit(later + Duration::from_secs(29)), Decision::Reject);
}

#[test]
fn a_success_that_was_under_way_ends_the_failing_but_not_the_wait() {
    let now = Instant::now();
    let (mut breaker, calls) = opened_by_waits(30, now);
    breaker.report(&answer(Verdict::Done(Proof::Accepted)), &calls, now, 0.5);
    assert_eq!(breaker.admit(now + Duration::from_secs(29)), Decision::Reject);
    assert_eq!(breaker.admit(now + Duration::from_secs(30)), Decision::Call);
}

#[test]
fn beyond_the_bound_for_retry_after_the_bound_holds() {
    let (now, bound) = (Instant::now(), 90);
    for asked in [1, 89, 90, 91, 3600, 864_000, 10 * 365 * 86_400] {
        let bounded = || Breaker::new(Duration::from_secs(bound));
        let (mut breaker, mut calls, mut other) = (bounded(), Calls::new(now), bounded());
        told_to_wait(&mut breaker, &mut calls, asked, now);
        other.hold(Duration::from_secs(asked), now);
        let held = asked.min(bound);
        for breaker in [&breaker, &other] {
            assert_eq!(breaker.held_for(now), Some(Duration::from_secs(held)), "{asked} s");
        }
        let then = now + Duration::from_secs(held);
        let first = if asked > bound { Decision::Probe } else { Decision::Call };
        assert_eq!(
            (breaker.wanted(then - Duration::from_millis(1)), breaker.admit(then)),
            (0, first),
            "{asked} s"
        );
    }
}

#[test]
fn an_operator_ends_a_wait_and_has_what_fails_probed_at_once() {
    let now = Instant::now();
    let (mut held, mut calls) = (closed(), Calls::new(now));
    assert!(!held.resume(now), "it waits for nothing");
    assert_eq!(held.admit(now), Decision::Call);
    told_to_wait(&mut held, &mut calls, 3600, now);
    assert!(held.resume(now));
    assert_eq!((held.held_for(now), held.admit(now)), (None, Decision::Call));

    let (mut told, _) = opened_by_waits(3600, now);
    let (mut failing, mut calls) = (closed(), Calls::new(now));
    fail(&mut failing, &mut calls, Verdict::Misconfigured, now);
    for breaker in [&mut told, &mut failing] {
        assert_eq!(breaker.wanted(now), 0);
        assert!(breaker.resume(now));
        assert_eq!(
            (breaker.held_for(now), breaker.wanted(now), breaker.admit(now)),
            (None, 1, Decision::Probe)
        );
        assert!(breaker.resume(now));
        assert_eq!(breaker.admit(now), Decision::Reject, "still one probe at a time");
    }
    fail(&mut failing, &mut calls, Verdict::Misconfigured, now);
    assert_eq!(failing.admit(now + FIRST_PROBE), Decision::Probe, "and then it begins anew");
}

/// The other credential may have been told to wait, and nobody calls with this one: seen as open, it
/// would call for a person although everything is well.
#[test]
fn one_that_is_held_is_closed_once_its_time_is_past_whether_or_not_anybody_calls() {
    let now = Instant::now();
    let told = |wait| {
        let (mut breaker, mut calls) = (closed(), Calls::new(now));
        told_to_wait(&mut breaker, &mut calls, wait, now);
        breaker
    };
    let held_by_another = |wait| {
        let mut breaker = closed();
        breaker.hold(Duration::from_secs(wait), now);
        breaker
    };
    for wait in [1, 2, 30, 3600] {
        for mut breaker in [told(wait), held_by_another(wait)] {
            let (before, then) = (now + Duration::from_secs(wait - 1), now + Duration::from_secs(wait));
            assert_eq!(
                (breaker.name(before), breaker.reason(before)),
                ("open", Some("retry_after")),
                "{wait} s"
            );
            assert_eq!((breaker.name(then), breaker.reason(then)), ("closed", None));
            assert_eq!(breaker.admit(then), Decision::Call);
            assert_eq!(breaker.name(then), "closed");
        }
    }
}

#[test]
fn its_changes_are_told_once() {
    let now = Instant::now();
    let (mut breaker, mut calls) = (closed(), Calls::new(now));
    let answers = answer(Verdict::Done(Proof::Accepted));
    let mut waits = |breaker: &mut Breaker, at| {
        let asks = Answer { retry_after: Some(Duration::from_secs(2)), ..answer(Verdict::Transient) };
        calls.note(at, Duration::from_millis(1), false);
        breaker.report(&asks, &calls, at, 0.5)
    };
    assert!(waits(&mut breaker, now), "it is left alone");
    let mut at = now;
    for _ in 0..5 {
        assert!(!waits(&mut breaker, at), "by a call that was under way");
        at += Duration::from_secs(2);
        assert_eq!(breaker.admit(at), Decision::Call);
        assert!(!waits(&mut breaker, at), "again");
    }
    at += Duration::from_secs(2);
    assert_eq!(breaker.admit(at), Decision::Call);
    let calls = Calls::new(at);
    assert!(breaker.report(&answers, &calls, at, 0.5), "it answers again");
    assert!(!breaker.report(&answers, &calls, at, 0.5));
}
