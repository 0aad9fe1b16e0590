//! Figures of all workers together, as Postgres and the broker have them: every worker shows the same.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::super::labels::{BacklogLabels, StateLabel};
use super::{add, in_seconds};
use crate::event::Lane;
use crate::store::{Ages, Backlog, VerifierCount};

/// What each help text ends with: a sum over workers means nothing.
const SAME: &str = ". Fleet-wide: every worker shows the same, so take the max, not the sum";

/// The states of open targets.
const OPEN: [&str; 2] = ["pending", "parked"];

/// The figures.
pub struct Fleet {
    backlog: Family<BacklogLabels, Gauge>,
    oldest_due: Family<BacklogLabels, Gauge<f64, AtomicU64>>,
    oldest_unconfirmed: Gauge<f64, AtomicU64>,
    verifiers: Family<StateLabel, Gauge>,
    awaiting_approval: Gauge,
    dead: Gauge,
    schema_version: Gauge,
    checkpoint_age: Gauge<f64, AtomicU64>,
}

impl Fleet {
    pub(super) fn new(r: &mut Registry) -> Self {
        let same = |help: &str| format!("{help}{SAME}");
        Self {
            backlog: add(r, "backlog_targets", &same("Open targets in Postgres that no worker holds")),
            oldest_due: in_seconds(
                r,
                "oldest_due",
                &same("For how long the first target has been due that nothing holds back; 0: none is"),
                Family::default(),
            ),
            oldest_unconfirmed: in_seconds(
                r,
                "oldest_unconfirmed",
                &same(
                    "For how long the first target has been revoked of which verifiers are not told; 0: none",
                ),
                Gauge::default(),
            ),
            verifiers: add(
                r,
                "verifiers",
                &same(
                    "Verifiers in Postgres: up_to_date, stale, or gone for 15 s to a day; live ones whose \
                        reports nobody vouches for: unverified",
                ),
            ),
            awaiting_approval: add(
                r,
                "incidents_awaiting_approval",
                &same("Incidents that wait for a second person"),
            ),
            dead: add(r, "dead_messages", &same("Refused messages that wait in revocation.dead")),
            checkpoint_age: in_seconds(
                r,
                "checkpoint_age",
                &same("How long ago the last checkpoint of the audit record was made"),
                Gauge::default(),
            ),
            schema_version: add(r, "schema_version", &same("The last migration of the database")),
        }
    }

    /// Replaces the backlog's gauges. Each provider has all lanes and states, 0 where there is nothing.
    pub fn set_backlog<'a>(&self, backlog: &[Backlog], providers: impl Iterator<Item = &'a str>) {
        self.backlog.clear();
        for provider in providers {
            for labels in every_state(provider) {
                self.backlog.get_or_create(&labels).set(0);
            }
        }
        for Backlog { provider, lane, state, targets } in backlog {
            self.backlog.get_or_create(&labels(provider, lane, state)).set(*targets);
        }
    }

    /// Replaces the ages.
    pub fn set_ages<'a>(&self, ages: &Ages, providers: impl Iterator<Item = &'a str>) {
        self.oldest_due.clear();
        for provider in providers {
            for labels in every_state(provider) {
                self.oldest_due.get_or_create(&labels).set(0.0);
            }
        }
        for due in &ages.due {
            self.oldest_due.get_or_create(&labels(&due.provider, &due.lane, &due.state)).set(due.seconds);
        }
        self.oldest_unconfirmed.set(ages.unconfirmed_s);
        self.schema_version.set(ages.schema_version);
        self.checkpoint_age.set(ages.checkpoint_s);
    }

    /// Replaces the verifiers' gauges.
    pub fn set_verifiers(&self, VerifierCount { up_to_date, stale, gone, unverified }: VerifierCount) {
        for (state, verifiers) in
            [("up_to_date", up_to_date), ("stale", stale), ("gone", gone), ("unverified", unverified)]
        {
            self.verifiers.get_or_create(&StateLabel { state }).set(verifiers);
        }
    }

    /// So many incidents wait for a second person.
    pub fn set_awaiting_approval(&self, incidents: usize) {
        self.awaiting_approval.set(i64::try_from(incidents).unwrap_or(i64::MAX));
    }

    /// So many messages wait in `revocation.dead`.
    pub fn set_dead(&self, messages: u32) {
        self.dead.set(messages.into());
    }
}

fn labels(provider: &str, lane: &str, state: &str) -> BacklogLabels {
    BacklogLabels { provider: provider.to_owned(), lane: lane.to_owned(), state: state.to_owned() }
}

fn every_state(provider: &str) -> impl Iterator<Item = BacklogLabels> {
    let states = |lane: Lane| OPEN.map(|state| labels(provider, lane.as_str(), state));
    Lane::ALL.into_iter().flat_map(states)
}
