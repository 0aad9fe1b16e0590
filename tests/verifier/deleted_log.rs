//! The log is deleted while its workers' connections live: they publish again what it held of late.

use revocation_verifier::{Denylist, StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::{EXCHANGE, MARK_KEY, STREAM};

use crate::door::Door;
use crate::harness::{App, Stage, canary_token, eventually, logout};
use crate::snapshots::fold;
use crate::source::{Source, verifier};

/// What becomes of the log, and who has not read all of it.
#[derive(Clone, Copy, Debug)]
enum Log {
    /// Workers declare it when they miss it.
    Deleted,
    /// Nothing is returned to any worker.
    DeclaredAnew,
    /// The same; a verifier starts from a snapshot that is older.
    Folded,
}

async fn is_fresh(denylist: &Denylist) {
    eventually("it is up to date", async || denylist.staleness().is_none().then_some(())).await;
}

async fn denies(denylist: &Denylist, tokens: &[String]) {
    eventually("all are denied", async || {
        let is_denied =
            |token: &String| matches!(denylist.check(&TokenView::bearer(token)), Verdict::Denied(_));
        tokens.iter().all(is_denied).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_log_held_of_late_reaches_those_who_had_not_read_it() {
    for log in [Log::Deleted, Log::DeclaredAnew, Log::Folded] {
        let stage = Stage::new().await;
        let mut workers = [(); 2].map(|()| stage.worker("http://127.0.0.1:9/revoke").spawn());
        for worker in &mut workers {
            worker.ready().await;
        }
        let door = Door::before(&stage.amqp_url).await;
        let steady = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
        let mut other = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailClosed);
        is_fresh(&other).await;
        is_fresh(&steady).await;
        if matches!(log, Log::Folded) {
            fold(&stage.amqp_url).await;
        }
        door.shut();
        eventually("the connection is lost", async || other.staleness()).await;

        let tokens: Vec<_> = (0..8).map(|_| canary_token()).collect();
        let app = App::connect(&stage.amqp_url).await;
        for (id, token) in tokens.iter().enumerate() {
            app.publish(&logout(&id.to_string(), token, &canary_token())).await;
        }
        denies(&steady, &tokens).await;
        // Workers find in the record what they publish again.
        stage.wait_for_count(16, "audit.revocations").await;
        let source = Source::attach(&stage.amqp_url).await;
        source.delete_stream().await;
        if !matches!(log, Log::Deleted) {
            source.declare_by_default().await;
            source.bind(STREAM, EXCHANGE, MARK_KEY).await;
        }
        if matches!(log, Log::Folded) {
            other = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailClosed);
        }
        door.open();
        denies(&other, &tokens).await;
        is_fresh(&other).await;
        assert_eq!(other.figures().truncations, 0, "{log:?}");
    }
}
