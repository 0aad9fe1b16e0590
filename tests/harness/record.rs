//! What must hold of the record, however the events got there.

use std::time::Duration;

use revocation_worker::invalidation::Phase;

use super::scripted_idp::Memory;
use super::{App, Feed, Logout, Stage, eventually};

/// Targets whose attempts are not exactly 1..n, each closed by one row.
const HOLES: &str = "audit.revocations r LEFT JOIN (SELECT revocation_id, count(*) AS rows, \
    max(attempt) AS last, bool_or(outcome IS NULL) AS open FROM audit.attempts \
    GROUP BY revocation_id) a USING (revocation_id)
    WHERE attempts <> coalesce(a.rows, 0) OR attempts <> coalesce(a.last, 0) OR a.open";

impl Stage {
    /// Waits until every token of these logouts is revoked, denied and confirmed, then checks that the record
    /// is whole.
    pub(crate) async fn all_revoked(&self, logouts: &[Logout], memory: &Memory) {
        let targets = 2 * logouts.len() as i64;
        self.wait_for_count(targets, "audit.revocations WHERE state = 'revoked'").await;
        self.wait_for_count(targets, "audit.revocations WHERE denied_at IS NOT NULL").await;
        self.wait_for_count(targets, "audit.revocations WHERE confirmed_at IS NOT NULL").await;
        let unseen = logouts
            .iter()
            .flat_map(|logout| &logout.tokens)
            .filter(|token| !memory.is_revoked(token))
            .count();
        assert_eq!(unseen, 0, "tokens that the provider never saw");
        self.is_whole(logouts.len()).await;
    }

    /// One row an event, no attempt without its end, nothing sealed, nothing leased.
    pub(crate) async fn is_whole(&self, events: usize) {
        assert_eq!(self.count("revocation.events").await, events as i64, "one row an event");
        assert_eq!(self.count(HOLES).await, 0, "every attempt from 1 to n is closed by one row");
        assert_eq!(
            self.count("revocation.targets WHERE finished_at IS NOT NULL AND sealed IS NOT NULL").await,
            0,
            "sealed copies are erased"
        );
        assert_eq!(
            self.count("revocation.targets WHERE lease_owner IS NOT NULL").await,
            0,
            "nothing is held"
        );
    }

    /// Every token was denied, and confirmed, at least once, as a listener sees it.
    pub(crate) async fn all_announced(&self, feed: &Feed, logouts: &[Logout]) {
        let digests = Logout::digests(logouts);
        for phase in [Phase::Requested, Phase::Confirmed] {
            eventually(&format!("every token is seen in phase {phase:?}"), async || {
                (feed.digests(phase) == digests).then_some(())
            })
            .await;
        }
    }

    /// Once no worker runs: nothing is in the queues, and nothing was dead-lettered.
    pub(crate) async fn queues_are_empty(&self) {
        let app = App::connect(&self.amqp_url).await;
        for queue in ["revocation.logout", "revocation.mass", "revocation.cutoff", "revocation.dead"] {
            // A consumer's unacknowledged messages are ready again in the moment that it is gone.
            let what = format!("{queue} has no consumer");
            let (messages, _) = eventually(&what, async || {
                Some(app.depth(queue).await).filter(|(_, consumers)| *consumers == 0)
            })
            .await;
            assert_eq!(messages, 0, "{queue} is empty");
        }
    }

    /// The whole record as text, to see whether anything changed.
    pub(crate) async fn snapshot(&self) -> String {
        let rows = "SELECT (SELECT string_agg(r::text, chr(10) ORDER BY revocation_id) FROM \
            audit.revocations r) || chr(10) ||
            (SELECT string_agg(a::text, chr(10) ORDER BY revocation_id, attempt) FROM audit.attempts a)";
        self.text(rows).await.expect("a record")
    }

    /// As if no denial had been confirmed yet.
    pub(crate) async fn forget_denials(&self) {
        for table in ["events", "targets"] {
            self.raw(&format!("UPDATE revocation.{table} SET denied_at = NULL")).await;
        }
    }

    /// How long it takes until this many rows are there.
    pub(crate) async fn time_until(&self, wanted: i64, rows: &str) -> Duration {
        let began = std::time::Instant::now();
        self.wait_for_count(wanted, rows).await;
        began.elapsed()
    }
}
