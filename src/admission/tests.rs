mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::oneshot;

use super::permit::hand;
use super::room::{INTERACTIVE, KEPT};
use super::*;
use crate::config::{
    BasicEncoding, ClaimNames, ClientAuth, ClientConfig, KindConfig, ProviderConfig, Rfc7009Config, Verify,
};
use crate::event::{Lane, Party};
use crate::outcome::{Answer, Proof, Verdict};
use crate::provider::Provider;
use crate::target::{Scope, TargetId};

/// The admission of a provider that is never called; alone at its rate.
pub(crate) fn admission(slots: usize, rate_per_s: Option<f64>) -> Arc<Admission> {
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
        identity: crate::config::IdentityConfig::default(),
        discovery: crate::config::DiscoveryConfig::default(),
        ca_file: None,
        verify: Verify::Off,
        kind: KindConfig::Rfc7009(Rfc7009Config {
            revocation_endpoint: Some("https://id.example.com/revoke".to_owned()),
            introspection_endpoint: None,
            client: ClientConfig {
                id: "app".to_owned(),
                secret: None,
                auth: ClientAuth::None,
                assertion: crate::config::AssertionConfig::default(),
            },
            basic_encoding: BasicEncoding::Rfc6749,
        }),
    };
    let limits = Limits { concurrency: slots, rate_per_s, retry_after_max: config.retry_after_max };
    let admission = Admission::new(Provider::new("main".into(), &config).expect("a provider"), limits);
    admission.share(1);
    admission
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

fn call(party: Party, scope: Scope) -> Call {
    Call { lane: LANE, party, scope, requests: 1 }
}

async fn permit(admission: &Arc<Admission>, scope: Scope) -> CallPermit {
    admission.permit(call(USER, scope)).await.expect("a permit")
}

#[tokio::test]
async fn administrators_credentials_that_are_refused_do_not_stop_tokens() {
    let admission = admission(4, None);
    permit(&admission, Scope::Token).await.report(&failed(Verdict::Transient, None), Duration::ZERO);
    assert!(
        permit(&admission, Scope::Wide).await.report(&failed(Verdict::Misconfigured, None), Duration::ZERO),
        "wide calls are left alone"
    );
    assert_eq!((admission.wanted(LANE, Scope::Wide), admission.rejects(Scope::Wide)), (0, true));
    assert!(admission.permit(call(USER, Scope::Wide)).await.is_none());
    assert_eq!(
        (admission.wanted(LANE, Scope::Token), admission.rejects(Scope::Token)),
        (INTERACTIVE - KEPT, false)
    );
    assert!(admission.reserve(LANE, USER, 1).is_some());
    assert!(
        !permit(&admission, Scope::Token).await.report(&failed(Verdict::Transient, None), Duration::ZERO),
        "tokens are not"
    );
    assert_eq!((admission.breaker(), admission.status().breaker), ("open", "open"));
    assert_eq!(admission.status().last_error.as_deref(), Some("Misconfigured"), "of the worse of both");
    assert_eq!((admission.status().calls_5m, admission.status().failures_5m), (3, 3));
}

#[tokio::test]
async fn a_clients_credentials_that_are_refused_do_not_stop_wide_calls() {
    let admission = admission(4, None);
    permit(&admission, Scope::Token).await.report(&failed(Verdict::Misconfigured, None), Duration::ZERO);
    assert!(admission.permit(call(USER, Scope::Token)).await.is_none());
    assert!(admission.reserve(LANE, USER, 1).is_none());
    permit(&admission, Scope::Wide).await.report(&Answer::done(Proof::Accepted, None), Duration::ZERO);
    assert_eq!(admission.breaker(), "open");
}

#[tokio::test]
async fn of_those_who_wait_only_those_are_sent_away_whose_breaker_opens() {
    let admission = admission(2, None);
    let (first, second) = (permit(&admission, Scope::Wide).await, permit(&admission, Scope::Token).await);
    let (mut wide, mut token) = (
        Box::pin(admission.permit(call(USER, Scope::Wide))),
        Box::pin(admission.permit(call(USER, Scope::Token))),
    );
    assert!((&mut wide).now_or_never().is_none() && (&mut token).now_or_never().is_none());
    first.report(&failed(Verdict::Misconfigured, None), Duration::ZERO);
    assert!(wide.now_or_never().expect("sent away").is_none());
    assert!(token.now_or_never().expect("let in").is_some());
    drop(second);
}

#[tokio::test]
async fn answers_in_doubt_are_neither_failures_nor_a_reason_to_leave_the_provider_alone() {
    let admission = admission(4, None);
    for scope in Scope::ALL {
        for _ in 0..100 {
            assert!(
                !permit(&admission, scope).await.report(&failed(Verdict::Doubted, None), Duration::ZERO),
                "{scope:?}"
            );
        }
    }
    assert_eq!(
        (admission.status().calls_5m, admission.status().failures_5m, admission.breaker()),
        (200, 0, "closed")
    );
}

#[tokio::test]
async fn no_probe_is_made_while_the_provider_wants_to_be_left_alone() {
    let admission = admission(4, None);
    admission.hold(Duration::from_secs(30));
    let (id, now) = (TargetId { event: uuid::Uuid::nil(), ordinal: 0 }, Instant::now());
    let doubt = Doubt { id, attempt: 2, began: now, answered: now };
    let ruled =
        admission.rule(Scope::Token, doubt, failed(Verdict::Doubted, None)).now_or_never().expect("at once");
    assert!(ruled.verdict == Verdict::Doubted && ruled.error.unwrap().contains("asked to be left alone"));
}

#[tokio::test]
async fn a_retry_after_is_everybodys() {
    for scope in Scope::ALL {
        let admission = admission(4, None);
        permit(&admission, scope).await.report(&failed(Verdict::Transient, Some(30)), Duration::ZERO);
        assert!(admission.held_for() > Some(Duration::from_secs(29)), "{scope:?}");
        assert!(admission.status().held_for > Some(Duration::from_secs(29)), "{scope:?}");
        assert_eq!(
            [admission.wanted(LANE, Scope::Token), admission.wanted(LANE, Scope::Wide)],
            [0; 2],
            "{scope:?}"
        );
    }
    let told = admission(4, None);
    told.hold(Duration::from_secs(30));
    assert_eq!([told.wanted(LANE, Scope::Token), told.wanted(LANE, Scope::Wide)], [0; 2]);
}

#[tokio::test]
async fn a_worker_that_gets_nothing_but_429_tells_the_others_for_how_long() {
    let admission = admission(32, None);
    let permits = futures::future::join_all((0..32).map(|_| permit(&admission, Scope::Token))).await;
    for permit in permits {
        permit.report(&failed(Verdict::Transient, Some(30)), Duration::ZERO);
    }
    assert!(admission.status().held_for > Some(Duration::from_secs(29)));
}

#[tokio::test]
async fn those_who_gave_up_waiting_are_forgotten() {
    let admission = admission(1, None);
    let only = permit(&admission, Scope::Token).await;
    for scope in Scope::ALL {
        let mut waiting: Vec<_> = (0..9216).map(|_| Box::pin(admission.permit(call(USER, scope)))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
    }
    admission.dispatch();
    assert_eq!(Scope::ALL.map(|scope| admission.lock().lanes.dismiss(scope).len()), [0; 2]);
    drop(only);
    drop(permit(&admission, Scope::Token).await);
}

#[tokio::test]
async fn a_permit_for_someone_who_has_just_gone_frees_its_slot_and_lets_nobody_in_from_within() {
    let admission = admission(1, None);
    let only = permit(&admission, Scope::Token).await;
    let mut next = Box::pin(admission.permit(call(USER, Scope::Token)));
    assert!((&mut next).now_or_never().is_none());
    let (turn, gone) = oneshot::channel();
    drop(gone);
    hand(turn, only);
    assert!((&mut next).now_or_never().is_none(), "that is left to whoever dispatches");
    admission.dispatch();
    assert!(next.now_or_never().expect("the slot is free").is_some());
}

#[tokio::test]
async fn an_order_is_followed_once_and_none_from_before_the_first_look() {
    let admission = admission(4, None);
    let hold = async |admission: &Arc<Admission>| {
        permit(admission, Scope::Token).await.report(&failed(Verdict::Transient, Some(60)), Duration::ZERO)
    };
    hold(&admission).await;
    assert!(
        !admission.follow(7) && admission.held_for().is_some(),
        "ordered before this worker looked for the first time"
    );
    assert!(!admission.follow(7) && admission.held_for().is_some(), "no news");
    assert!(
        admission.follow(8)
            && admission.held_for().is_none()
            && !admission.rejects(Scope::Token)
            && !admission.rejects(Scope::Wide)
    );
    hold(&admission).await;
    assert!(
        !admission.follow(8) && !admission.follow(3) && admission.held_for().is_some(),
        "what it is told after the order counts"
    );
    assert_eq!(admission.status().order_no, 8);
}

#[tokio::test]
async fn while_nothing_but_doubt_comes_back_no_crowd_follows() {
    let admission = admission(4, None);
    for _ in 0..2 {
        permit(&admission, Scope::Wide).await.report(&failed(Verdict::Doubted, None), Duration::ZERO);
    }
    let under_way = [permit(&admission, Scope::Wide).await, permit(&admission, Scope::Wide).await];
    assert!(admission.permit(call(USER, Scope::Wide)).now_or_never().is_none(), "two of four slots are left");
    assert!(admission.permit(call(USER, Scope::Token)).now_or_never().is_some(), "tokens are not meant");
    admission.lock().health.decided(Scope::Wide);
    let third = admission
        .permit(call(USER, Scope::Wide))
        .now_or_never()
        .flatten()
        .expect("a slot: one doubt is decided");
    let [first, _second] = under_way;
    first.report(&Answer::done(Proof::Accepted, None), Duration::ZERO);
    assert!(
        admission.permit(call(USER, Scope::Wide)).now_or_never().flatten().is_some(),
        "a success says that it is not us"
    );
    drop(third);
}

#[tokio::test]
async fn users_are_given_permits_in_turns() {
    let admission = admission(1, None);
    let [flood, other] = ["flood", "other"].map(|name| Party::of(Some(name)));
    let under_way = admission.permit(call(flood, Scope::Token)).await.expect("a permit");
    let mut crowd: Vec<_> =
        (0..9000).map(|_| Box::pin(admission.permit(call(flood, Scope::Token)))).collect();
    assert!(crowd.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
    let mut one = Box::pin(admission.permit(call(other, Scope::Token)));
    assert!((&mut one).now_or_never().is_none());
    drop(under_way);
    drop(crowd[0].as_mut().now_or_never().flatten().expect("a permit"));
    drop(one.now_or_never().flatten().expect("a permit, though thousands came before"));
    assert!(crowd[1].as_mut().now_or_never().flatten().is_some());
}

#[tokio::test]
async fn an_answer_without_a_wish_stays_and_is_none() {
    let admission = admission(1, None);
    let target = TargetId { event: uuid::Uuid::nil(), ordinal: 0 };
    let wish = |seconds| {
        let answer = failed(Verdict::Transient, seconds);
        admission.of_provider(Scope::Token, target, &answer).retry_after
    };
    assert_eq!(wish(None), None);
    permit(&admission, Scope::Token).await.report(&Answer::done(Proof::Accepted, None), Duration::ZERO);
    assert_eq!(wish(Some(60)), Some(Duration::from_secs(60)), "the first one, although others were answered");
    permit(&admission, Scope::Token).await.report(&Answer::done(Proof::Accepted, None), Duration::ZERO);
    assert_eq!((wish(Some(60)), wish(None)), (None, None), "its own");
}
