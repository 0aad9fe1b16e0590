use super::*;

fn token(lane: Lane) -> Call {
    Call { lane, party: Party::UNNAMED, scope: Scope::Token, requests: 1 }
}

fn wide(lane: Lane) -> Call {
    Call { scope: Scope::Wide, ..token(lane) }
}

fn both(open: usize) -> PerScope<usize> {
    PerScope { token: open, wide: open }
}

fn take_calls(lanes: &mut Lanes<u32>, open: PerScope<usize>, now: Instant) -> Vec<Call> {
    let calls = std::iter::from_fn(|| match lanes.next(open, now) {
        Next::Call(call, _) => Some(call),
        Next::At(_) | Next::Idle => None,
    });
    calls.collect()
}

fn take(lanes: &mut Lanes<u32>, open: usize, now: Instant) -> Vec<Lane> {
    take_calls(lanes, both(open), now).into_iter().map(|call| call.lane).collect()
}

fn fill(lanes: &mut Lanes<u32>, lane: Lane, calls: u32) {
    (0..calls).for_each(|number| lanes.wait(token(lane), number));
}

#[test]
fn mass_revocations_leave_a_quarter_of_the_slots_free() {
    let now = Instant::now();
    for (slots, most) in [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (32, 24)] {
        let mut lanes = Lanes::new(slots, now);
        fill(&mut lanes, Lane::Mass, 100);
        assert_eq!(take(&mut lanes, slots, now).len(), most, "of {slots}");
        fill(&mut lanes, Lane::Interactive, 100);
        assert_eq!(take(&mut lanes, slots, now), vec![Lane::Interactive; slots - most], "of {slots}");
    }
}

#[test]
fn logouts_come_first_and_every_eighth_call_is_a_mass_revocations() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, now);
    fill(&mut lanes, Lane::Mass, 100);
    fill(&mut lanes, Lane::Interactive, 100);
    let mut calls = Vec::new();
    for _ in 0..32 {
        let taken = take(&mut lanes, 1, now);
        taken.iter().for_each(|lane| lanes.release(token(*lane)));
        calls.extend(taken);
    }
    let mass: Vec<_> =
        (0..).zip(&calls).filter(|(_, lane)| **lane == Lane::Mass).map(|(place, _)| place).collect();
    assert_eq!(mass, [7, 15, 23, 31]);
}

#[test]
fn a_mass_revocation_alone_waits_for_nobody() {
    let now = Instant::now();
    let mut lanes = Lanes::new(4, now);
    fill(&mut lanes, Lane::Mass, 1);
    assert_eq!(take(&mut lanes, 4, now), [Lane::Mass]);
    assert_eq!(lanes.next(both(4), now), Next::Idle);
}

#[test]
fn fewer_open_slots_shrink_both_lanes() {
    let now = Instant::now();
    let mut lanes = Lanes::new(32, now);
    fill(&mut lanes, Lane::Mass, 100);
    assert_eq!(take(&mut lanes, 1, now).len(), 1);
    assert_eq!(take(&mut lanes, 8, now).len(), 5, "six of eight, and one was under way");
}

#[test]
fn no_window_has_more_requests_than_the_rate_and_the_little_that_may_be_caught_up() {
    let start = Instant::now();
    let mut lanes = Lanes::new(1000, start);
    lanes.set_rate(Some(200.0));
    fill(&mut lanes, Lane::Mass, 5000);
    let mut made = Vec::new();
    for ms in 0..10_000 {
        let now = start + Duration::from_millis(ms);
        for lane in take(&mut lanes, 1000, now) {
            lanes.release(token(lane));
            made.push(ms);
        }
    }
    let busiest = (0..9000)
        .map(|from| made.iter().filter(|ms| (from..from + 1000).contains(*ms)).count())
        .max()
        .unwrap();
    assert!((200..=205).contains(&busiest), "{busiest} in a second");
    assert!((1995..=2015).contains(&made.len()), "{} in ten seconds", made.len());
}

#[test]
fn a_call_of_several_requests_pays_for_each() {
    let start = Instant::now();
    let mut lanes = Lanes::new(10, start);
    lanes.set_rate(Some(10.0));
    (0..2).for_each(|number| lanes.wait(Call { requests: 5, ..token(Lane::Mass) }, number));
    assert_eq!(take(&mut lanes, 10, start).len(), 1);
    assert!(matches!(lanes.next(both(10), start), Next::At(at) if at == start + Duration::from_millis(480)));
}

#[test]
fn a_worker_without_a_share_calls_nobody_and_looks_again() {
    let now = Instant::now();
    let mut lanes = Lanes::new(4, now);
    lanes.set_rate(Some(0.0));
    fill(&mut lanes, Lane::Interactive, 1);
    assert_eq!(lanes.next(both(4), now), Next::At(now + WITHOUT_SHARE));
    lanes.set_rate(Some(1000.0));
    assert_eq!(take(&mut lanes, 4, now), [Lane::Interactive]);
}

#[test]
fn whoever_waits_can_be_sent_away_and_others_stay() {
    let now = Instant::now();
    let mut lanes = Lanes::new(8, now);
    fill(&mut lanes, Lane::Mass, 3);
    fill(&mut lanes, Lane::Interactive, 2);
    lanes.wait(wide(Lane::Mass), 1);
    lanes.wait(wide(Lane::Interactive), 2);
    assert_eq!(lanes.dismiss(Scope::Wide).len(), 2);
    assert_eq!(take(&mut lanes, 1, now), [Lane::Interactive]);
    assert_eq!(lanes.dismiss(Scope::Token).len(), 4);
    assert_eq!(lanes.next(both(8), now), Next::Idle);
}

#[test]
fn whoever_is_gone_gets_no_slot_and_costs_nothing() {
    let now = Instant::now();
    let mut lanes = Lanes::new(2, now);
    lanes.set_rate(Some(10.0));
    (0..10_000).for_each(|number| lanes.wait(token(Lane::Mass), number));
    (10_000..20_000).for_each(|number| lanes.wait(wide(Lane::Mass), number));
    lanes.forget(|number| *number != 15_000);
    assert!(matches!(lanes.next(both(2), now), Next::Call(Call { scope: Scope::Wide, .. }, 15_000)));
    lanes.forget(|_| true);
    assert_eq!(lanes.next(both(2), now), Next::Idle);
}

#[test]
fn whoever_came_first_goes_first_whatever_the_call_is_for() {
    let now = Instant::now();
    let mut lanes = Lanes::new(8, now);
    let calls = [wide(Lane::Mass), token(Lane::Mass), token(Lane::Mass), wide(Lane::Mass)];
    (0..).zip(calls).for_each(|(number, call)| lanes.wait(call, number));
    assert_eq!(take_calls(&mut lanes, both(8), now), calls);
}

#[test]
fn slots_are_shared_and_those_that_are_not_open_to_wide_calls_are_left_to_tokens() {
    let now = Instant::now();
    let mut lanes = Lanes::new(4, now);
    (0..10).for_each(|number| lanes.wait(wide(Lane::Interactive), number));
    fill(&mut lanes, Lane::Interactive, 10);
    let taken = take_calls(&mut lanes, PerScope { token: 4, wide: 1 }, now);
    assert_eq!(
        taken,
        [
            wide(Lane::Interactive),
            token(Lane::Interactive),
            token(Lane::Interactive),
            token(Lane::Interactive)
        ]
    );
    taken.into_iter().for_each(|call| lanes.release(call));
    assert_eq!(take_calls(&mut lanes, both(4), now).len(), 4);
    let mut lanes = Lanes::new(4, now);
    fill(&mut lanes, Lane::Mass, 10);
    (0..10).for_each(|number| lanes.wait(wide(Lane::Mass), number));
    assert_eq!(
        take_calls(&mut lanes, PerScope { token: 1, wide: 4 }, now).len(),
        3,
        "both together leave a quarter free"
    );
}

#[test]
fn a_call_that_was_not_made_costs_nothing() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, now);
    lanes.set_rate(Some(10.0));
    fill(&mut lanes, Lane::Mass, 100);
    for _ in 0..50 {
        assert_eq!(take(&mut lanes, 1, now), [Lane::Mass]);
        lanes.refund(1);
        lanes.release(token(Lane::Mass));
    }
    assert_eq!(take(&mut lanes, 1, now), [Lane::Mass]);
    lanes.release(token(Lane::Mass));
    assert_eq!(take(&mut lanes, 1, now), [], "that one is made");
}

fn user(name: &str, call: Call) -> Call {
    Call { party: Party::of(Some(name)), ..call }
}

/// The users' names in the order of their calls, one at a time.
fn turns(lanes: &mut Lanes<char>, calls: usize, open: PerScope<usize>, now: Instant) -> String {
    let mut next = || match lanes.next(open, now) {
        Next::Call(call, name) => {
            lanes.release(call);
            Some(name)
        }
        Next::At(_) | Next::Idle => None,
    };
    (0..calls).map_while(|_| next()).collect()
}

fn crowd(lanes: &mut Lanes<char>, call: Call, of: &[(char, u32)]) {
    for (name, calls) in of {
        (0..*calls).for_each(|_| lanes.wait(user(&name.to_string(), call), *name));
    }
}

#[test]
fn in_every_lane_and_kind_users_take_turns() {
    let now = Instant::now();
    for call in [token(Lane::Interactive), wide(Lane::Interactive), token(Lane::Mass), wide(Lane::Mass)] {
        let mut lanes = Lanes::new(1, now);
        crowd(&mut lanes, call, &[('a', 20_000), ('b', 2), ('c', 1)]);
        lanes.wait(call, '-');
        assert_eq!(turns(&mut lanes, 9, both(1), now), "abc-abaaa", "{call:?}");
    }
}

#[test]
fn a_users_tokens_do_not_keep_another_users_wide_calls_waiting_nor_the_other_way_round() {
    let now = Instant::now();
    for (crowded, other) in
        [(token(Lane::Interactive), wide(Lane::Interactive)), (wide(Lane::Mass), token(Lane::Mass))]
    {
        let mut lanes = Lanes::new(1, now);
        crowd(&mut lanes, crowded, &[('a', 20_000)]);
        crowd(&mut lanes, other, &[('b', 3)]);
        assert_eq!(turns(&mut lanes, 8, both(1), now), "abababaa");
        // The breaker of what `b` has lets nothing through, then it does again.
        crowd(&mut lanes, other, &[('b', 2)]);
        let closed = PerScope::new(|scope| usize::from(scope != other.scope));
        assert_eq!(turns(&mut lanes, 50, closed, now), "a".repeat(50));
        assert_eq!(turns(&mut lanes, 4, both(1), now).matches('b').count(), 2);
    }
}

#[test]
fn calls_of_several_requests_are_so_many_turns_at_a_rate_too() {
    let start = Instant::now();
    let mut lanes = Lanes::new(4, start);
    lanes.set_rate(Some(1000.0));
    crowd(&mut lanes, Call { requests: 4, ..token(Lane::Interactive) }, &[('a', 1000)]);
    crowd(&mut lanes, token(Lane::Interactive), &[('b', 1000)]);
    let made: String =
        (0..100).map(|ms| turns(&mut lanes, 100, both(4), start + Duration::from_millis(ms))).collect();
    let [a, b] = ['a', 'b'].map(|name| made.matches(name).count());
    assert!((4 * a).abs_diff(b) <= 4 && b >= 50, "as many requests for each: {a} calls of four, {b} of one");
}

#[test]
fn a_users_logouts_come_before_its_own_and_others_mass_revocations() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, now);
    crowd(&mut lanes, token(Lane::Mass), &[('m', 100), ('b', 100)]);
    crowd(&mut lanes, token(Lane::Interactive), &[('a', 100), ('b', 2)]);
    assert_eq!(turns(&mut lanes, 24, both(1), now), "ababaaamaaaaaaabaaaaaaam");
}
