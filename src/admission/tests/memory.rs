use super::super::room::most_mass;
use super::*;

#[test]
fn of_mass_revocations_two_seconds_work_is_in_memory() {
    let rows = [
        ((None, None), 64),
        ((None, Some(5.0)), 64),
        ((None, Some(80.0)), 160),
        ((None, Some(1e9)), 1024),
        ((Some(0.0), None), 8),
        ((Some(5.0), None), 10),
        ((Some(200.0), None), 400),
        ((Some(1e5), None), 1024),
        ((Some(5.0), Some(1e9)), 10),
        ((Some(1e5), Some(5.0)), 64),
    ];
    for ((rate, pace), window) in rows {
        assert_eq!(most_mass(rate, pace), window, "{rate:?} {pace:?}");
    }
}

#[tokio::test]
async fn so_much_is_claimed_of_mass_revocations_as_its_provider_takes_in_a_moment() {
    let limited = admission(4, Some(10.0));
    assert_eq!(
        (limited.wanted(Lane::Mass, Scope::Token), limited.wanted(LANE, Scope::Token)),
        (20, INTERACTIVE - KEPT)
    );
    let _room = limited.reserve(Lane::Mass, USER, 15).expect("room");
    assert_eq!(limited.wanted(Lane::Mass, Scope::Wide), 5, "what is in memory counts");
    limited.share(2);
    assert_eq!(limited.wanted(Lane::Mass, Scope::Token), 0, "this worker's share");
    let free = admission(8, None);
    assert_eq!(free.wanted(Lane::Mass, Scope::Token), 64, "nothing is known yet");
    for scope in Scope::ALL {
        permit(&free, scope).await.report(&Answer::done(Proof::Accepted, None), Duration::from_millis(100));
    }
    assert_eq!(free.wanted(Lane::Mass, Scope::Token), 160, "eight slots, ten calls a second each");
}

#[tokio::test]
async fn a_flood_leaves_places_for_everybody_elses_logouts_and_claims_leave_some_for_what_comes() {
    let admission = admission(4, None);
    let [flood, other, third] = ["flood", "other", "third"].map(|name| Party::of(Some(name)));
    let mut rooms: Vec<_> = std::iter::from_fn(|| admission.reserve(LANE, flood, 100)).collect();
    assert!((5900..=6144).contains(&admission.in_flight()), "{}", admission.in_flight());
    for party in [other, third, Party::UNNAMED] {
        rooms.push(admission.reserve(LANE, party, 400).expect("room"));
    }
    rooms.clear();
    let claimed = admission.room(LANE, admission.wanted(LANE, Scope::Token)).expect("room");
    assert_eq!((admission.in_flight(), admission.wanted(LANE, Scope::Token)), (INTERACTIVE - KEPT, KEPT / 4));
    assert!(admission.reserve(LANE, other, 1000).is_some());
    drop(claimed);
    assert_eq!(admission.in_flight(), 0);
    for party in [flood, other, third] {
        rooms.extend(std::iter::from_fn(|| admission.reserve(LANE, party, 1)));
    }
    assert!(
        admission.in_flight() > INTERACTIVE - KEPT && admission.wanted(LANE, Scope::Token) >= 32,
        "three floods, and room for retries"
    );
}

#[tokio::test]
async fn logouts_without_room_are_leased_ahead_as_far_as_room_will_soon_be_there() {
    let other = Party::of(Some("other"));
    for (slots, rate, took_ms, at_most) in [
        (4, None, 10, 3200),
        (1, None, 1000, 8),
        (4, Some(10.0), 10, 80),
        (1, Some(1000.0), 1000, 8),
        (32, None, 1, 49_152),
    ] {
        let admission = admission(slots, rate);
        assert!(admission.reserve_ahead(USER, 1).is_none(), "it has answered nobody yet");
        let took = Duration::from_millis(took_ms);
        permit(&admission, Scope::Token).await.report(&Answer::done(Proof::Accepted, None), took);
        let rooms: Vec<_> = std::iter::from_fn(|| admission.reserve_ahead(USER, 8)).collect();
        assert_eq!((rooms.len() * 8, admission.in_flight()), (at_most, 0), "{slots} {rate:?} {took_ms}");
        assert_eq!(
            admission.reserve_ahead(other, 8).is_some(),
            at_most == 49_152,
            "a crowd leaves others theirs"
        );
        drop(rooms);
        assert!(admission.reserve_ahead(USER, 8).is_some());
        permit(&admission, Scope::Token).await.report(&failed(Verdict::Misconfigured, None), Duration::ZERO);
        assert!(admission.reserve_ahead(USER, 1).is_none(), "its breaker is open");
    }
}
