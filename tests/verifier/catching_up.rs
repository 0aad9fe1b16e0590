//! A verifier that was away ends with the denylist of one that never was.

use revocation_verifier::{Denial, StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::Entry;
use revocation_worker::target::Kind;
use time::OffsetDateTime;

use crate::door::Door;
use crate::harness::{Stage, eventually};
use crate::source::{Source, denials, holds, tokens, verifier};

/// `DENIALS=100000` for the whole measure.
fn missed() -> usize {
    std::env::var("DENIALS").ok().and_then(|number| number.parse().ok()).unwrap_or(5_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_caught_up_with_entry_by_entry() {
    let stage = Stage::new().await;
    let (source, door, missed) =
        (Source::declare(&stage.amqp_url, None).await, Door::before(&stage.amqp_url).await, missed());
    let steady = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    let interrupted = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailClosed);
    source.deny(denials(&tokens("before", 100))).await;
    holds(&interrupted, 100).await;

    door.shut();
    eventually("the connection is lost", async || interrupted.staleness()).await;
    let mut entries = denials(&tokens("meanwhile", missed));
    let now = OffsetDateTime::now_utc();
    let subject = |n: i64| Entry::Subject {
        iss: None,
        sub: "user".to_owned(),
        subject_claims: Vec::new(),
        claims_iss: None,
        not_before: now - time::Duration::seconds(n),
        expires_at: now + time::Duration::hours(1),
    };
    entries.extend((0..50).map(|n| subject(n * 7 % 50)));
    source.deny(entries).await;
    holds(&steady, 101 + missed).await;
    assert_eq!(interrupted.figures().entries, 100);

    door.open();
    source.beating(holds(&interrupted, 101 + missed)).await;
    source
        .beating(eventually("it is up to date", async || interrupted.staleness().is_none().then_some(())))
        .await;
    let late = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    late.ready().await;
    let all = steady.contents();
    assert_eq!(all.len(), 101 + missed);
    assert!(interrupted.contents() == all, "one that was interrupted holds the same");
    assert!(late.contents() == all, "one that is new holds the same");
    assert_eq!(interrupted.figures().truncations + late.figures().truncations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_means_read_to_the_end() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, None).await;
    let denied = tokens("t", 3000);
    source.deny(denials(&denied)).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    denylist.ready().await;
    for token in &denied {
        assert_eq!(denylist.check(&TokenView::bearer(token)), Verdict::Denied(Denial::Revoked(Kind::Token)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_feed_is_read_to_its_end() {
    let stage = Stage::new().await;
    let _source = Source::declare(&stage.amqp_url, None).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    denylist.ready().await;
    assert_eq!(denylist.figures().entries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_handle_ends_everything() {
    let stage = Stage::new().await;
    let (_source, door) = (Source::declare(&stage.amqp_url, None).await, Door::before(&stage.amqp_url).await);
    let denylist = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailClosed);
    denylist.ready().await;
    eventually("it reads, and it reports", async || (door.passing() == 2).then_some(())).await;
    let other = denylist.clone();
    drop(denylist);
    assert_eq!(door.passing(), 2);
    drop(other);
    eventually("no connection is left", async || (door.passing() == 0).then_some(())).await;
}
