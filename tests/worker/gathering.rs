//! Events share invalidations: what gathers while the broker has not confirmed the messages before it goes
//! out in one, and every target is still its own event's.

use std::collections::BTreeMap;

use revocation_worker::invalidation::{Entry, Phase};
use serde_json::json;

use crate::harness::{App, Feed, Logout, Stage, logout_of};
use crate::scripted_idp::Memory;

const EVENTS: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_told_in_few_messages_and_each_event_has_its_own_targets() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    assert!(setup.clone().start().await.stop().await.success(), "the queues are there");
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(EVENTS));
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    let feed = Feed::listen(&stage.amqp_url).await;
    let mut worker = setup.start().await;
    stage.all_revoked(&logouts, &memory).await;
    stage.all_announced(&feed, &logouts).await;

    let messages = feed.messages();
    assert!(messages * 2 < EVENTS, "{messages} messages for {EVENTS} events in two phases");
    for phase in [Phase::Requested, Phase::Confirmed] {
        let mut of_events: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for seen in feed.seen().into_iter().filter(|seen| seen.data.phase == phase) {
            let digests = of_events.entry(seen.data.event.id).or_default();
            digests.extend(seen.data.targets.iter().map(|entry| match entry {
                Entry::Token { token_sha256, .. } => token_sha256.clone(),
                other => panic!("{other:?} is no token"),
            }));
        }
        for logout in &logouts {
            let mut told = of_events.remove(&logout.id).expect("every event is told of");
            told.sort_unstable();
            told.dedup();
            assert_eq!(
                told,
                Logout::digests(std::slice::from_ref(logout)),
                "{phase:?} of event {}",
                logout.id
            );
        }
        assert!(of_events.is_empty());
    }
    assert_eq!(stage.count("audit.revocations WHERE denied_at IS NULL OR confirmed_at IS NULL").await, 0);
    assert!(worker.stop().await.success());
    stage.queues_are_empty().await;
}

/// A message tells of one provider and one kind, so such an event is in several, each shared with others; it
/// is acknowledged when all of them are confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_several_kinds_is_denied_when_all_its_messages_are() {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = memory.serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    assert!(setup.clone().start().await.stop().await.success(), "the queues are there");
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..300 {
        let targets = json!([{ "sub": format!("u{number}") }, { "sid": format!("s{number}") },
            { "token": format!("opaque-{number}"), "token_type_hint": "access_token" }]);
        app.publish(&logout_of(&number.to_string(), targets)).await;
    }
    let feed = Feed::listen(&stage.amqp_url).await;
    let mut worker = setup.start().await;
    stage.wait_for_count(900, "audit.revocations WHERE denied_at IS NOT NULL").await;
    let told: Vec<_> = feed.seen().into_iter().filter(|seen| seen.data.phase == Phase::Requested).collect();
    for number in 0..300 {
        let its = told.iter().filter(|seen| seen.data.event.id == number.to_string());
        let mut kinds: Vec<_> =
            its.flat_map(|seen| &seen.data.targets).map(|entry| entry.kind().as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds, ["session", "subject", "token"], "of event {number}");
    }
    assert!(worker.stop().await.success());
    stage.queues_are_empty().await;
}
