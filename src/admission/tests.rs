use futures::FutureExt;

use super::*;
use crate::config::{
    BasicEncoding, ClaimNames, ClientAuth, ClientConfig, KindConfig, ProviderConfig, Rfc7009Config, Verify,
};
use crate::outcome::{Proof, Verdict};
use crate::target::TargetId;

/// The gate of a provider that is never called; alone at its rate.
pub(crate) fn gate(slots: usize, rate_per_s: Option<f64>) -> Admission {
    let config = ProviderConfig {
        issuer: None,
        claims: ClaimNames::default(),
        token_ttl: Duration::from_secs(3600),
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        concurrency: slots,
        rate_per_s: None,
        retry_after_max: Duration::from_secs(86_400),
        allow_http: false,
        discovery: crate::config::DiscoveryConfig::default(),
        ca_file: None,
        verify: Verify::Off,
        kind: KindConfig::Rfc7009(Rfc7009Config {
            revocation_endpoint: Some("https://id.example.com/revoke".to_owned()),
            introspection_endpoint: None,
            client: ClientConfig { id: "app".to_owned(), secret: None, auth: ClientAuth::None },
            basic_encoding: BasicEncoding::Rfc6749,
        }),
    };
    let gate = Admission::new(Provider::new("main".into(), &config).expect("a provider"), slots, rate_per_s);
    gate.share(1);
    gate
}

/// A failure with its `Retry-After` in seconds.
pub(crate) fn failed(verdict: Verdict, retry_after: Option<u64>) -> Answer {
    Answer {
        retry_after: retry_after.map(Duration::from_secs),
        ..Answer::failed(verdict, None, format!("{verdict:?}"))
    }
}

const LANE: Lane = Lane::Interactive;
const USER: Party = Party::UNNAMED;

async fn pass(gate: &Admission, wide: bool) -> CallPermit {
    gate.enter(LANE, USER, wide, 1).await.expect("a pass")
}

#[tokio::test]
async fn administrators_credentials_that_are_refused_do_not_stop_tokens() {
    let gate = gate(4, None);
    pass(&gate, false).await.report(&failed(Verdict::Transient, None), Duration::ZERO);
    assert!(
        pass(&gate, true).await.report(&failed(Verdict::Misconfigured, None), Duration::ZERO),
        "wide calls are left alone"
    );
    assert_eq!((gate.appetite(LANE, true), gate.takes_calls(true)), (0, false));
    assert!(gate.enter(LANE, USER, true, 1).await.is_none());
    assert_eq!((gate.appetite(LANE, false), gate.takes_calls(false)), (WINDOWS[0] - KEPT, true));
    assert!(gate.reserve(LANE, USER, 1).is_some());
    assert!(
        !pass(&gate, false).await.report(&failed(Verdict::Transient, None), Duration::ZERO),
        "tokens are not"
    );
    assert_eq!((gate.breaker(), gate.status().breaker), ("open", "open"));
    assert_eq!(gate.status().last_error.as_deref(), Some("Misconfigured"), "of the worse of both");
    assert_eq!((gate.status().calls_5m, gate.status().failures_5m), (3, 3));
}

#[tokio::test]
async fn a_clients_credentials_that_are_refused_do_not_stop_wide_calls() {
    let gate = gate(4, None);
    pass(&gate, false).await.report(&failed(Verdict::Misconfigured, None), Duration::ZERO);
    assert!(gate.enter(LANE, USER, false, 1).await.is_none());
    assert!(gate.reserve(LANE, USER, 1).is_none());
    pass(&gate, true).await.report(&Answer::done(Proof::Accepted, None), Duration::ZERO);
    assert_eq!(gate.breaker(), "open");
}

#[tokio::test]
async fn of_those_who_wait_only_those_are_sent_away_whose_breaker_opens() {
    let gate = gate(2, None);
    let (first, second) = (pass(&gate, true).await, pass(&gate, false).await);
    let (mut wide, mut token) =
        (Box::pin(gate.enter(LANE, USER, true, 1)), Box::pin(gate.enter(LANE, USER, false, 1)));
    assert!((&mut wide).now_or_never().is_none() && (&mut token).now_or_never().is_none());
    first.report(&failed(Verdict::Misconfigured, None), Duration::ZERO);
    assert!(wide.now_or_never().expect("sent away").is_none());
    assert!(token.now_or_never().expect("let in").is_some());
    drop(second);
}

#[tokio::test]
async fn answers_in_doubt_are_neither_failures_nor_a_reason_to_leave_the_provider_alone() {
    let gate = gate(4, None);
    for wide in [false, true] {
        for _ in 0..100 {
            assert!(
                !pass(&gate, wide).await.report(&failed(Verdict::Doubted, None), Duration::ZERO),
                "{wide}"
            );
        }
    }
    assert_eq!((gate.status().calls_5m, gate.status().failures_5m, gate.breaker()), (200, 0, "closed"));
}

#[tokio::test]
async fn no_probe_is_made_while_the_provider_wants_to_be_left_alone() {
    let gate = gate(4, None);
    gate.hold(Duration::from_secs(30));
    let (id, now) = (TargetId { event: uuid::Uuid::nil(), ordinal: 0 }, Instant::now());
    let doubt = Doubt { id, attempt: 2, began: now, answered: now };
    let ruled = gate.rule(false, doubt, failed(Verdict::Doubted, None)).now_or_never().expect("at once");
    assert!(ruled.verdict == Verdict::Doubted && ruled.error.unwrap().contains("asked to be left alone"));
}

#[tokio::test]
async fn a_retry_after_is_everybodys() {
    for wide in [false, true] {
        let gate = gate(4, None);
        pass(&gate, wide).await.report(&failed(Verdict::Transient, Some(30)), Duration::ZERO);
        assert!(gate.held_for() > Some(Duration::from_secs(29)), "{wide}");
        assert!(gate.status().held_for > Some(Duration::from_secs(29)), "{wide}");
        assert_eq!([gate.appetite(LANE, false), gate.appetite(LANE, true)], [0; 2], "{wide}");
    }
    let told = gate(4, None);
    told.hold(Duration::from_secs(30));
    assert_eq!([told.appetite(LANE, false), told.appetite(LANE, true)], [0; 2]);
}

#[tokio::test]
async fn a_worker_that_gets_nothing_but_429_tells_the_others_for_how_long() {
    let gate = gate(32, None);
    let passes = futures::future::join_all((0..32).map(|_| pass(&gate, false))).await;
    for pass in passes {
        pass.report(&failed(Verdict::Transient, Some(30)), Duration::ZERO);
    }
    assert!(gate.status().held_for > Some(Duration::from_secs(29)));
}

#[tokio::test]
async fn those_who_gave_up_waiting_are_forgotten() {
    let gate = gate(1, None);
    let only = pass(&gate, false).await;
    for wide in [false, true] {
        let mut waiting: Vec<_> = (0..9216).map(|_| Box::pin(gate.enter(LANE, USER, wide, 1))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
    }
    dispatch(&gate.core);
    assert_eq!([false, true].map(|wide| gate.core.state().lanes.dismiss(wide).len()), [0; 2]);
    drop(only);
    drop(pass(&gate, false).await);
}

#[tokio::test]
async fn a_pass_for_someone_who_has_just_gone_frees_its_slot_and_lets_nobody_in_from_within() {
    let gate = gate(1, None);
    let only = pass(&gate, false).await;
    let mut next = Box::pin(gate.enter(LANE, USER, false, 1));
    assert!((&mut next).now_or_never().is_none());
    let (turn, gone) = oneshot::channel();
    drop(gone);
    hand(turn, only);
    assert!((&mut next).now_or_never().is_none(), "that is left to whoever dispatches");
    dispatch(&gate.core);
    assert!(next.now_or_never().expect("the slot is free").is_some());
}

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
        assert_eq!(mass_window(rate, pace), window, "{rate:?} {pace:?}");
    }
}

#[tokio::test]
async fn so_much_is_claimed_of_mass_revocations_as_its_provider_takes_in_a_moment() {
    let limited = gate(4, Some(10.0));
    assert_eq!((limited.appetite(Lane::Mass, false), limited.appetite(LANE, false)), (20, WINDOWS[0] - KEPT));
    let _room = limited.reserve(Lane::Mass, USER, 15).expect("room");
    assert_eq!(limited.appetite(Lane::Mass, true), 5, "what is in memory counts");
    limited.share(2);
    assert_eq!(limited.appetite(Lane::Mass, false), 0, "this worker's share");
    let free = gate(8, None);
    assert_eq!(free.appetite(Lane::Mass, false), 64, "nothing is known yet");
    for wide in [false, true] {
        pass(&free, wide).await.report(&Answer::done(Proof::Accepted, None), Duration::from_millis(100));
    }
    assert_eq!(free.appetite(Lane::Mass, false), 160, "eight slots, ten calls a second each");
}

#[tokio::test]
async fn an_order_is_followed_once_and_none_from_before_the_first_look() {
    let gate = gate(4, None);
    let hold = async |gate: &Admission| {
        pass(gate, false).await.report(&failed(Verdict::Transient, Some(60)), Duration::ZERO)
    };
    hold(&gate).await;
    assert!(
        !gate.follow(7) && gate.held_for().is_some(),
        "ordered before this worker looked for the first time"
    );
    assert!(!gate.follow(7) && gate.held_for().is_some(), "no news");
    assert!(gate.follow(8) && gate.held_for().is_none() && gate.takes_calls(false) && gate.takes_calls(true));
    hold(&gate).await;
    assert!(
        !gate.follow(8) && !gate.follow(3) && gate.held_for().is_some(),
        "what it is told after the order counts"
    );
    assert_eq!(gate.status().order_no, 8);
}

#[tokio::test]
async fn while_nothing_but_doubt_comes_back_no_crowd_follows() {
    let gate = gate(4, None);
    for _ in 0..2 {
        pass(&gate, true).await.report(&failed(Verdict::Doubted, None), Duration::ZERO);
    }
    let under_way = [pass(&gate, true).await, pass(&gate, true).await];
    assert!(gate.enter(LANE, USER, true, 1).now_or_never().is_none(), "two of four slots are left");
    assert!(gate.enter(LANE, USER, false, 1).now_or_never().is_some(), "tokens are not meant");
    gate.core.state().health.decided(true);
    let third =
        gate.enter(LANE, USER, true, 1).now_or_never().flatten().expect("a slot: one doubt is decided");
    let [first, _second] = under_way;
    first.report(&Answer::done(Proof::Accepted, None), Duration::ZERO);
    assert!(
        gate.enter(LANE, USER, true, 1).now_or_never().flatten().is_some(),
        "a success says that it is not us"
    );
    drop(third);
}

#[tokio::test]
async fn a_flood_leaves_places_for_everybody_elses_logouts_and_claims_leave_some_for_what_comes() {
    let gate = gate(4, None);
    let [flood, other, third] = ["flood", "other", "third"].map(|name| Party::of(Some(name)));
    let mut rooms: Vec<_> = std::iter::from_fn(|| gate.reserve(LANE, flood, 100)).collect();
    assert!((5900..=6144).contains(&gate.in_flight()), "{}", gate.in_flight());
    for party in [other, third, Party::UNNAMED] {
        rooms.push(gate.reserve(LANE, party, 400).expect("room"));
    }
    rooms.clear();
    let claimed = gate.room(LANE, gate.appetite(LANE, false)).expect("room");
    assert_eq!((gate.in_flight(), gate.appetite(LANE, false)), (WINDOWS[0] - KEPT, KEPT / 4));
    assert!(gate.reserve(LANE, other, 1000).is_some());
    drop(claimed);
    assert_eq!(gate.in_flight(), 0);
    for party in [flood, other, third] {
        rooms.extend(std::iter::from_fn(|| gate.reserve(LANE, party, 1)));
    }
    assert!(
        gate.in_flight() > WINDOWS[0] - KEPT && gate.appetite(LANE, false) >= 32,
        "three floods, and room for retries"
    );
}

#[tokio::test]
async fn the_gate_lets_users_through_in_turns() {
    let gate = gate(1, None);
    let [flood, other] = ["flood", "other"].map(|name| Party::of(Some(name)));
    let under_way = gate.enter(LANE, flood, false, 1).await.expect("a pass");
    let mut crowd: Vec<_> = (0..9000).map(|_| Box::pin(gate.enter(LANE, flood, false, 1))).collect();
    assert!(crowd.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
    let mut one = Box::pin(gate.enter(LANE, other, false, 1));
    assert!((&mut one).now_or_never().is_none());
    drop(under_way);
    drop(crowd[0].as_mut().now_or_never().flatten().expect("a pass"));
    drop(one.now_or_never().flatten().expect("a pass, though thousands came before"));
    assert!(crowd[1].as_mut().now_or_never().flatten().is_some());
}
