use super::*;
use crate::config::RetryConfig;

fn schedule() -> Schedule {
    Schedule::new(&RetryConfig {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(600),
        give_up_after: Duration::from_secs(86_400),
        resweep_every: Duration::from_secs(7200),
        retry_after_max: Duration::from_secs(86_400),
    })
}

fn new(now: OffsetDateTime, is_outage: bool) -> Standing {
    let give_up_at = now + Duration::from_secs(9);
    Standing { attempt: 1, failures: 0, token_expires_at: None, give_up_at, is_outage, is_unreadable: false }
}

#[test]
fn what_is_never_answered_readably_needs_a_person_at_once() {
    let now = OffsetDateTime::UNIX_EPOCH;
    for (is_outage, ends, state) in [
        (false, None, State::Parked),
        (true, None, State::Parked),
        (false, Some(now - Duration::from_secs(99)), State::Expired),
    ] {
        let standing = Standing { is_unreadable: true, token_expires_at: ends, ..new(now, is_outage) };
        assert_eq!(
            settle(&Answer::failed(Verdict::Transient, None, "x"), &standing, &schedule(), now).state,
            state
        );
    }
}

fn at(verdict: Verdict, expires_in: Option<i64>, give_up_in: i64) -> Settlement {
    let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let standing = Standing {
        attempt: 4,
        failures: 3,
        token_expires_at: expires_in.map(|s| now + time::Duration::seconds(s)),
        give_up_at: now + time::Duration::seconds(give_up_in),
        is_outage: false,
        is_unreadable: false,
    };
    settle(&Answer::failed(verdict, None, "x"), &standing, &schedule(), now)
}

#[test]
fn every_verdict_has_its_state() {
    for (verdict, expires_in, give_up_in, state, proof, spent) in [
        (Verdict::Done(Proof::Accepted), None, 1, State::Revoked, Some(Proof::Accepted), false),
        (Verdict::Done(Proof::Verified), Some(-90), 1, State::Revoked, Some(Proof::Verified), false),
        (Verdict::Unsupported, None, 1, State::Unsupported, None, false),
        (Verdict::Refused, None, 1, State::Parked, None, true),
        (Verdict::Transient, None, 1, State::Pending, None, true),
        (Verdict::Transient, None, 0, State::Parked, None, true),
        (Verdict::Transient, Some(10), -1, State::Pending, None, true),
        (Verdict::Transient, Some(-59), -1, State::Pending, None, true),
        (Verdict::Transient, Some(-60), 1, State::Expired, None, false),
        (Verdict::Contradicted, None, 1, State::Pending, Some(Proof::Contradicted), true),
        (Verdict::Contradicted, None, 0, State::Parked, Some(Proof::Contradicted), true),
        (Verdict::Misconfigured, None, -1, State::Pending, None, false),
        (Verdict::Misconfigured, Some(-61), 1, State::Expired, None, false),
        (Verdict::Doubted, None, 1, State::Pending, None, false),
        (Verdict::Doubted, None, 0, State::Parked, None, true),
        (Verdict::Doubted, Some(10), -1, State::Pending, None, false),
        (Verdict::Doubted, Some(-61), 1, State::Expired, None, false),
    ] {
        let got = at(verdict, expires_in, give_up_in);
        assert_eq!(
            (got.state, got.proof, got.spent),
            (state, proof, spent),
            "{verdict:?} {expires_in:?} {give_up_in}"
        );
        assert_eq!(
            got.due_in.is_some(),
            !state.is_final(),
            "{verdict:?}: open states, and only they, have a due time"
        );
    }
}

#[test]
fn retry_after_is_honoured_in_full() {
    let mut answer = Answer::failed(Verdict::Transient, Some(429), "slow down");
    answer.retry_after = Some(Duration::from_secs(5000));
    let now = OffsetDateTime::UNIX_EPOCH;
    let standing = new(now, false);
    let got = settle(&answer, &standing, &schedule(), now);
    assert!(got.due_in >= Some(Duration::from_secs(5000)), "{got:?}");
}

#[test]
fn in_an_outage_a_failure_is_not_counted_against_the_target() {
    let now = OffsetDateTime::UNIX_EPOCH;
    let standing = new(now, true);
    let got = settle(&Answer::failed(Verdict::Transient, None, "x"), &standing, &schedule(), now);
    assert_eq!((got.state, got.spent), (State::Pending, false));
    let got = settle(&Answer::failed(Verdict::Refused, None, "x"), &standing, &schedule(), now);
    assert_eq!((got.state, got.spent), (State::Parked, true), "an answer about the target is");
}

#[test]
fn a_target_in_doubt_is_tried_again_soon_but_not_at_once() {
    for attempt in [1, 2, 5, 40] {
        let now = OffsetDateTime::UNIX_EPOCH;
        let standing = Standing {
            attempt,
            failures: 0,
            token_expires_at: None,
            give_up_at: now + Duration::from_secs(9),
            is_outage: false,
            is_unreadable: false,
        };
        let due_in =
            settle(&Answer::failed(Verdict::Doubted, None, "x"), &standing, &schedule(), now).due_in.unwrap();
        assert!((SHORTEST_REST..=Duration::from_secs(601)).contains(&due_in), "{attempt}: {due_in:?}");
    }
}

#[test]
fn what_follows_from_an_answer_is_never_cut() {
    for length in [0, 100, 240, 1000] {
        let ruled = Answer::failed(Verdict::Doubted, Some(403), "é".repeat(length))
            .ruled(Verdict::Refused, "revoke it as its client");
        let error = ruled.error.unwrap();
        assert!(
            error.ends_with("; revoke it as its client") && error.chars().count() <= LONGEST_ERROR,
            "{error}"
        );
        assert_eq!((ruled.verdict, ruled.http_status), (Verdict::Refused, Some(403)));
    }
}
