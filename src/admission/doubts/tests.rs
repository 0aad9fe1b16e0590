use std::time::Duration;

use super::*;

/// A clock of whole seconds.
struct Clock(Instant);

impl Clock {
    fn at(&self, seconds: u64) -> Instant {
        self.0 + Duration::from_secs(seconds)
    }
}

fn scene() -> (Doubts, Clock) {
    (Doubts::default(), Clock(Instant::now()))
}

fn id(event: u128) -> TargetId {
    TargetId { event: Uuid::from_u128(event), ordinal: 0 }
}

/// The attempt `attempt` at a target of `event`, whose call took from `began` to the second after.
fn doubt(clock: &Clock, event: u128, attempt: u32, began: u64) -> Doubt {
    Doubt { id: id(event), attempt, began: clock.at(began), answered: clock.at(began + 1) }
}

fn refused(plainly: bool) -> Probed {
    Probed::Refused { answer: Answer::failed(Verdict::Misconfigured, Some(401), "refused"), plainly }
}

fn probe(doubts: &mut Doubts, clock: &Clock, probed: Probed, at: u64) -> Finding {
    doubts.probed(probed, clock.at(at), clock.at(at))
}

const PARK: Ruling = Ruling::Target { by_probe: true };
const PARK_BESIDE_OTHERS: Ruling = Ruling::Target { by_probe: false };

#[test]
fn what_only_one_target_gets_parks_it_at_its_second_attempt() {
    let (mut doubts, clock) = scene();
    for (attempt, began, ruling) in [(1, 0, Ruling::Open), (2, 5, PARK)] {
        let finding = probe(&mut doubts, &clock, Probed::Accepted, began + 2);
        assert_eq!(doubts.rule(doubt(&clock, 1, attempt, began), finding), ruling, "attempt {attempt}");
    }
}

#[test]
fn the_credential_must_have_been_good_before_the_call_and_ever_since() {
    // When a probe was accepted and when one was refused before the call, which lasts from 10 to 11; the
    // probe after it is accepted.
    let rows = [
        ("nothing was known", &[][..], Ruling::Open),
        ("accepted before", &[(5, true)], PARK),
        ("accepted while it was under way", &[(10, true)], Ruling::Open),
        ("refused since", &[(5, true), (7, false)], Ruling::Open),
        ("mended before", &[(3, false), (5, true)], PARK),
        ("mended while it was under way", &[(5, true), (7, false), (11, true)], Ruling::Open),
    ];
    for (what, probes, ruling) in rows {
        let (mut doubts, clock) = scene();
        for (at, accepted) in probes {
            probe(&mut doubts, &clock, if *accepted { Probed::Accepted } else { refused(true) }, *at);
        }
        let finding = probe(&mut doubts, &clock, Probed::Accepted, 12);
        assert_eq!(doubts.rule(doubt(&clock, 1, 2, 10), finding), ruling, "{what}");
    }
}

#[test]
fn another_targets_success_is_as_good_as_a_probe_unless_it_is_older_than_a_refusal() {
    let (mut doubts, clock) = scene();
    doubts.succeeded(clock.at(1), clock.at(2));
    let finding = probe(&mut doubts, &clock, Probed::Accepted, 12);
    assert_eq!(doubts.rule(doubt(&clock, 1, 2, 10), finding), PARK);

    let (mut doubts, clock) = scene();
    probe(&mut doubts, &clock, refused(true), 5);
    doubts.succeeded(clock.at(4), clock.at(6));
    let finding = probe(&mut doubts, &clock, Probed::Accepted, 12);
    assert_eq!(doubts.rule(doubt(&clock, 1, 2, 10), finding), Ruling::Open);
}

#[test]
fn a_refused_probe_blames_us_and_an_unanswered_one_nobody() {
    let (mut doubts, clock) = scene();
    doubts.succeeded(clock.at(1), clock.at(2));
    for plainly in [true, false] {
        let finding = probe(&mut doubts, &clock, refused(plainly), 12);
        assert_eq!(doubts.rule(doubt(&clock, 1, 2, 10), finding), Ruling::Us { by_probe: true });
    }
    let busy = Answer {
        retry_after: Some(Duration::from_secs(7)),
        ..Answer::failed(Verdict::Transient, Some(503), "busy")
    };
    let finding = probe(&mut doubts, &clock, Probed::Unanswered(busy.clone()), 13);
    let ruling = doubts.rule(doubt(&clock, 1, 3, 12), finding);
    assert_eq!(ruling, Ruling::Nobody(busy));
    let answer = ruling.applied(Answer::failed(Verdict::Doubted, Some(403), "x"), Scope::Token);
    assert_eq!(
        (answer.verdict, answer.http_status, answer.retry_after),
        (Verdict::Transient, Some(403), Some(Duration::from_secs(7)))
    );
}

#[test]
fn without_a_probe_three_events_in_doubt_with_no_success_since_blame_us() {
    let (mut doubts, clock) = scene();
    let rule = |doubts: &mut Doubts, event, attempt, began| {
        doubts.rule(doubt(&clock, event, attempt, began), Finding::Nothing)
    };
    doubts.succeeded(clock.at(0), clock.at(0));
    for (event, attempt, began) in [(1, 1, 1), (1, 2, 2), (2, 1, 3), (1, 3, 4), (2, 2, 5)] {
        assert_eq!(
            rule(&mut doubts, event, attempt, began),
            Ruling::Open,
            "{event} {attempt}: it is two events"
        );
    }
    assert_eq!(rule(&mut doubts, 3, 1, 6), Ruling::Us { by_probe: false });
    doubts.succeeded(clock.at(10), clock.at(11));
    for event in [1, 2, 3] {
        assert_eq!(rule(&mut doubts, event, 4, 12), PARK_BESIDE_OTHERS, "{event}: others succeed");
    }
    assert_eq!(rule(&mut doubts, 4, 1, 13), Ruling::Open, "the count begins anew");
}

#[test]
fn without_a_probe_a_success_that_began_before_the_doubt_parks_nobody() {
    let (mut doubts, clock) = scene();
    assert_eq!(doubts.rule(doubt(&clock, 1, 1, 5), Finding::Nothing), Ruling::Open);
    doubts.succeeded(clock.at(4), clock.at(9));
    assert_eq!(doubts.rule(doubt(&clock, 1, 2, 10), Finding::Nothing), Ruling::Open);
}

#[test]
fn many_in_doubt_without_a_success_are_not_parked_although_the_probe_is_accepted() {
    let (mut doubts, clock) = scene();
    doubts.succeeded(clock.at(0), clock.at(0));
    for event in 0..100 {
        let finding = probe(&mut doubts, &clock, Probed::Accepted, 1);
        assert_eq!(doubts.rule(doubt(&clock, event, 1, 2), finding), Ruling::Open);
    }
    assert_eq!(doubts.rule(doubt(&clock, 1, 2, 5), Finding::Accepted), Ruling::Open);
    doubts.succeeded(clock.at(7), clock.at(8));
    assert_eq!(doubts.rule(doubt(&clock, 1, 3, 9), Finding::Accepted), PARK);
}

#[test]
fn many_in_doubt_are_parked_when_it_has_lasted_and_the_probe_was_accepted_all_the_while() {
    for (refused_at, ruling) in [(None, PARK), (Some(20), Ruling::Open)] {
        let (mut doubts, clock) = scene();
        for event in 0..100 {
            let finding = probe(&mut doubts, &clock, Probed::Accepted, 3);
            assert_eq!(doubts.rule(doubt(&clock, event, 1, 2), finding), Ruling::Open);
        }
        assert_eq!(doubts.rule(doubt(&clock, 1, 2, 31), Finding::Accepted), Ruling::Open, "not yet");
        refused_at.into_iter().for_each(|at| drop(probe(&mut doubts, &clock, refused(true), at)));
        let finding = probe(&mut doubts, &clock, Probed::Accepted, 34);
        assert_eq!(doubts.rule(doubt(&clock, 1, 3, 33), finding), ruling, "{refused_at:?}");
    }
}

#[test]
fn a_probe_is_trusted_from_its_first_yes_until_a_no() {
    let (mut doubts, clock) = scene();
    doubts.succeeded(clock.at(1), clock.at(2));
    assert!(!doubts.trusts_probe(), "it was never accepted");
    for (at, probed, trusted) in
        [(3, Probed::Accepted, true), (5, refused(true), false), (7, Probed::Accepted, true)]
    {
        probe(&mut doubts, &clock, probed, at);
        assert_eq!(doubts.trusts_probe(), trusted, "{at}");
    }
}

#[test]
fn a_server_that_refuses_every_unknown_string_is_found_out_by_a_target() {
    // Whether it blames the client, and whether a target tries after the first refusal, and so on.
    for (plainly, tries) in [(false, [true; 4]), (true, [false, false, true, true])] {
        let (mut doubts, clock) = scene();
        for (at, expected) in [0, 1, 2, 3].into_iter().zip(tries) {
            let Finding::Refused { untested, .. } = probe(&mut doubts, &clock, refused(plainly), at) else {
                panic!("a refusal");
            };
            assert_eq!(untested, expected, "plainly {plainly}, at {at}");
            doubts.succeeded(clock.at(0), clock.at(at + 1)); // a call from before tells nothing
        }
        doubts.succeeded(clock.at(4), clock.at(5));
        for plainly in [false, true] {
            assert_eq!(probe(&mut doubts, &clock, refused(plainly), 6), Finding::Nothing);
        }
        probe(&mut doubts, &clock, Probed::Accepted, 8);
        assert!(
            matches!(
                probe(&mut doubts, &clock, refused(plainly), 9),
                Finding::Refused { untested: false, .. }
            ),
            "it can say yes"
        );
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let (mut doubts, clock) = scene();
    for event in 0..2 * MOST as u128 {
        doubts.rule(
            doubt(&clock, event, 1, u64::try_from(event).unwrap()),
            Finding::Unanswered(Answer::failed(Verdict::Transient, None, "x")),
        );
    }
    assert_eq!(doubts.first.len(), MOST);
    assert!(
        doubts.first.contains_key(&id(2 * MOST as u128 - 1)) && !doubts.first.contains_key(&id(0)),
        "the oldest went"
    );
}

#[test]
fn every_ruling_is_told_after_the_targets_own_answer() {
    let nobody = Ruling::Nobody(Answer::failed(Verdict::Transient, None, "x"));
    let rows = [
        (PARK, Verdict::Refused),
        (PARK_BESIDE_OTHERS, Verdict::Refused),
        (Ruling::Us { by_probe: true }, Verdict::Misconfigured),
        (Ruling::Us { by_probe: false }, Verdict::Misconfigured),
        (nobody, Verdict::Transient),
        (Ruling::Open, Verdict::Doubted),
    ];
    for (ruling, verdict) in rows {
        for scope in Scope::ALL {
            let answer = ruling.applied(
                Answer::failed(Verdict::Doubted, Some(403), "POST https://a/revoke answered 403"),
                scope,
            );
            assert_eq!(answer.verdict, verdict);
            let error = answer.error.unwrap();
            assert!(error.starts_with("POST https://a/revoke answered 403; ") && error.len() > 50, "{error}");
        }
    }
}

#[test]
fn without_a_probe_a_call_from_before_the_key_was_mended_parks_nobody() {
    let (mut doubts, clock) = scene();
    for event in [1, 2, 3] {
        doubts.rule(doubt(&clock, event, 1, 1), Finding::Nothing);
    }
    doubts.succeeded(clock.at(10), clock.at(11));
    assert_eq!(doubts.rule(doubt(&clock, 1, 2, 9), Finding::Nothing), Ruling::Open);
    assert_eq!(doubts.rule(doubt(&clock, 1, 3, 12), Finding::Nothing), PARK_BESIDE_OTHERS);
}
