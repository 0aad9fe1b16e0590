use std::time::{Duration, Instant};

use super::incident::{MOST_CLAIMABLE, Turn};
use super::*;
use crate::target::Kind;

fn row(state: &str) -> ActiveIncident {
    ActiveIncident {
        incident: "leak".to_owned(),
        state: state.to_owned(),
        throttle_per_s: None,
        above_targets: 10,
        approved_targets: Some(100),
        approved_kinds: Some(vec!["client".to_owned()]),
        approved_needing: Some(3),
        needing_approval: 1,
        received: 90,
        claimable: 0,
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

fn token() -> Ordered {
    Ordered {
        approval_kinds: vec![],
        needing_approval: 0,
        needing_approval_expected: None,
        targets: 1,
        declared: 1,
    }
}

fn arrive(incidents: &Incidents, name: &str, order: &Ordered) -> (Arrival, bool) {
    incidents.arrive(name, None, order, 10)
}

#[test]
fn what_is_on_its_way_to_the_record_is_not_forgotten() {
    let incidents = Incidents::default();
    let (arrival, withheld) = arrive(&incidents, "new", &Ordered { targets: 10, ..token() });
    assert!(!withheld);
    incidents.begin_poll();
    incidents.update(Vec::new(), 1);
    assert!(arrive(&incidents, "new", &token()).1, "the eleventh");
    assert!(!arrive(&incidents, "other", &token()).1);
    drop(arrival);
    incidents.update(Vec::new(), 1);
    assert!(
        !arrive(&incidents, "new", &Ordered { targets: 10, ..token() }).1,
        "what was given up does not count"
    );
}

#[test]
fn an_incident_that_is_not_known_is_judged_by_what_was_found_of_it() {
    let incidents = Incidents::default();
    assert!(!incidents.is_known("leak"));
    let found = Some(ActiveIncident { received: 100, ..row("running") });
    let (arrival, withheld) = incidents.arrive("leak", found, &token(), 1000);
    assert!(withheld && incidents.is_known("leak"), "100 were approved, and are on record");
    arrival.land(true);
    let found = Some(row("cancelled"));
    assert!(incidents.arrive("gone", found, &token(), 1000).1);
}

#[test]
fn what_comes_behind_an_event_that_needs_an_approval_waits_with_it() {
    let incidents = Incidents::default();
    let client = Ordered { approval_kinds: vec![Kind::Client], needing_approval: 1, ..token() };
    let (arrival, withheld) = arrive(&incidents, "leak", &client);
    assert!(withheld);
    incidents.begin_poll();
    incidents.update(vec![ActiveIncident { received: 1, ..row("running") }], 1);
    assert!(arrive(&incidents, "leak", &token()).1, "it is not on record yet");
    assert!(incidents.of("leak").may_be_revoked(), "what is on record goes by what Postgres says");
    arrival.land(true);
    incidents.begin_poll();
    incidents.update(vec![ActiveIncident { received: 1, ..row("running") }], 1);
    assert!(!arrive(&incidents, "leak", &token()).1, "and Postgres says that it may go on");
    for (state, withheld) in
        [("running", false), ("paused", false), ("awaiting_approval", true), ("cancelled", true)]
    {
        incidents.update(vec![ActiveIncident { received: 1, ..row(state) }], 1);
        assert_eq!(arrive(&incidents, "leak", &token()).1, withheld, "{state}");
    }
}

#[test]
fn a_throttle_is_shared_and_work_is_taken_on_for_a_second() {
    let incidents = Incidents::default();
    incidents.update(vec![ActiveIncident { throttle_per_s: Some(20), ..row("running") }], 2);
    let leak = incidents.of("leak");
    let guards: Vec<_> = (0..4).map(|_| leak.guard()).collect();
    assert_eq!(incidents.shares(100)[0].most, 6, "ten a second, and four are in memory");
    drop(guards);
    let now = Instant::now();
    let waits: Vec<_> = (0..3).map(|_| leak.polled().draw(now).as_millis()).collect();
    assert_eq!(waits, [0, 100, 200]);
    let era = leak.polled().era;
    assert!(leak.may_go_on(Turn(era)));
    incidents.update(vec![row("running")], 2);
    assert!(!leak.may_go_on(Turn(era)), "what has waited for its turn at another rate waits anew");
    assert_eq!(leak.polled().draw(now), Duration::ZERO, "the throttle was taken off");
    assert_eq!(incidents.shares(100)[0].most, 100);
}

#[test]
fn nothing_more_is_let_in_where_much_is_claimable() {
    let incidents = Incidents::default();
    incidents.update(vec![ActiveIncident { claimable: MOST_CLAIMABLE, ..row("running") }], 1);
    assert!(!incidents.shares(10)[0].lets_in);
}

#[test]
fn an_incident_that_has_ended_is_forgotten() {
    let incidents = Incidents::default();
    incidents.update(vec![row("paused")], 1);
    incidents.update(Vec::new(), 1);
    assert_eq!(incidents.of("leak").state(), IncidentState::Running);
}
