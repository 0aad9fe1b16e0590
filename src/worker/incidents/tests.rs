use std::time::{Duration, Instant};

use super::incident::{DOUBT, MOST_HOT, Turn};
use super::*;
use crate::target::Kind;

fn row(state: &str) -> ActiveIncident {
    ActiveIncident {
        incident: "leak".to_owned(),
        state: state.to_owned(),
        throttle_per_s: None,
        approved_up_to: 100,
        approved_asks: vec!["client".to_owned()],
        approved_asking: 3,
        asking: 1,
        received: 90,
        hot: 0,
        providers: vec!["main".to_owned()],
        withheld: false,
    }
}

#[test]
fn only_a_running_incident_whose_denials_are_out_is_worked_on() {
    let incidents = Incidents::default();
    for (state, withheld, works) in [
        ("running", false, true),
        ("running", true, false),
        ("paused", false, false),
        ("awaiting_approval", false, false),
        ("cancelled", false, false),
    ] {
        incidents.update(vec![ActiveIncident { withheld, ..row(state) }], 1);
        assert_eq!(incidents.of("leak").may_be_revoked(), works, "{state} {withheld}");
        assert_eq!(incidents.shares(10).len(), usize::from(works), "{state} {withheld}");
    }
}

fn order(asks: &[Kind], asking: i64, declared: i64) -> Ordered {
    Ordered { asks: asks.to_vec(), asking, asking_expected: None, targets: 1, declared }
}

#[test]
fn the_fuse_counts_what_is_on_record_and_what_has_arrived_since() {
    let incidents = Incidents::default();
    assert!(!incidents.of("new").arrive(10, 10), "as many as one person may order");
    assert!(incidents.of("new").arrive(1, 10), "one more");
    incidents.update(vec![row("running")], 1);
    let leak = incidents.of("leak");
    assert!(!leak.arrive(10, 1), "what was approved counts, not the setting");
    assert!(leak.arrive(1, 1));
    leak.land(10, true);
    leak.land(1, false);
    assert!(leak.arrive(1, 1), "what is committed counts as it did before");
    leak.land(1, false);
    incidents.begin_look();
    assert!(leak.arrive(1, 1), "and until a look has found it");
    leak.land(1, false);
    incidents.update(vec![ActiveIncident { received: 99, ..row("running") }], 1);
    assert!(!leak.arrive(1, 1), "what had been known before counts once");
    assert!(leak.arrive(1, 1));
}

#[test]
fn what_is_on_its_way_to_the_record_is_not_forgotten() {
    let incidents = Incidents::default();
    incidents.of("new").arrive(10, 10);
    incidents.begin_look();
    incidents.update(Vec::new(), 1);
    assert!(incidents.of("new").arrive(1, 10));
    assert!(!incidents.of("other").arrive(1, 10));
}

#[test]
fn an_approval_covers_kinds_and_numbers() {
    let incidents = Incidents::default();
    incidents.update(vec![row("running")], 1);
    let leak = incidents.of("leak");
    assert!(leak.is_approved(&order(&[Kind::Client], 2, 100)));
    assert!(!leak.is_approved(&order(&[Kind::Client], 3, 100)), "one is on record and three were approved");
    assert!(!leak.is_approved(&Ordered { asking_expected: Some(4), ..order(&[Kind::Client], 1, 100) }), "four are announced");
    assert!(!leak.is_approved(&order(&[Kind::Client], 1, 101)));
    assert!(!leak.is_approved(&order(&[Kind::Client, Kind::Issuer], 2, 2)));
    assert!(leak.is_approved(&order(&[], 0, 100)));
    assert!(!incidents.of("new").is_approved(&order(&[], 0, 1)), "nothing is, of what nobody has looked up");
}

#[test]
fn after_an_event_that_needs_an_approval_nothing_is_denied_at_once() {
    let incidents = Incidents::default();
    assert!(incidents.of("leak").denies_at_once());
    incidents.of("leak").arrive(1, 10);
    incidents.of("leak").doubt();
    assert!(!incidents.of("leak").denies_at_once());
    incidents.update(vec![row("running")], 1);
    assert!(!incidents.of("leak").denies_at_once(), "what Postgres says may be older");
    assert!(incidents.of("leak").may_be_revoked(), "what is on record goes by what Postgres says");
    for (state, denies) in [("running", true), ("paused", true), ("awaiting_approval", false), ("cancelled", false)] {
        incidents.update(vec![ActiveIncident { incident: "other".to_owned(), ..row(state) }], 1);
        assert_eq!(incidents.of("other").denies_at_once(), denies, "{state}");
    }
    let doubted = incidents.of("other");
    doubted.seen().doubted = Instant::now().checked_sub(DOUBT + Duration::from_millis(1));
    incidents.update(vec![ActiveIncident { incident: "other".to_owned(), ..row("running") }], 1);
    assert!(incidents.of("other").denies_at_once(), "by then it knows");
}

#[test]
fn a_throttle_is_shared_and_work_is_taken_on_for_a_second() {
    let incidents = Incidents::default();
    incidents.update(vec![ActiveIncident { throttle_per_s: Some(20), ..row("running") }], 2);
    let leak = incidents.of("leak");
    let seats: Vec<_> = (0..4).map(|_| leak.seat()).collect();
    assert_eq!(incidents.shares(100)[0].most, 6, "ten a second, and four are in memory");
    drop(seats);
    let now = Instant::now();
    let waits: Vec<_> = (0..3).map(|_| leak.seen().pay(now).as_millis()).collect();
    assert_eq!(waits, [0, 100, 200]);
    let era = leak.seen().era;
    assert!(leak.may_go_on(Turn(era)));
    incidents.update(vec![row("running")], 2);
    assert!(!leak.may_go_on(Turn(era)), "what has waited for its turn at another rate waits anew");
    assert_eq!(leak.seen().pay(now), Duration::ZERO, "the throttle was taken off");
    assert_eq!(incidents.shares(100)[0].most, 100);
}

#[test]
fn a_full_hot_index_lets_nothing_more_in() {
    let incidents = Incidents::default();
    incidents.update(vec![ActiveIncident { hot: MOST_HOT, ..row("running") }], 1);
    assert!(!incidents.shares(10)[0].lets_in);
}

#[test]
fn an_incident_that_has_ended_is_forgotten() {
    let incidents = Incidents::default();
    incidents.update(vec![row("paused")], 1);
    incidents.update(Vec::new(), 1);
    assert_eq!(incidents.of("leak").steering(), Steering::Running);
}
