//! Telling verifiers: the only place of the worker that composes and publishes messages to them. Nothing here
//! waits for Postgres.
//!
//! | message | when |
//! |---|---|
//! | `requested` | an event was parsed, or its incident approved; again where it may not have gone out |
//! | `confirmed` | a target is revoked at its provider |
//! | both, again | the broker was lost, and may have lost what it had confirmed (`owed`, by [`republish`]) |
//! | heartbeat, mark | about once a second, by one worker of the fleet |

mod republish;

use std::time::Duration;

use time::OffsetDateTime;

pub(super) use republish::{Late, OVERLAP, RepublishLog};

use crate::broker::{Publisher, Standing};
use crate::clock::Clock;
use crate::event::LogoutEvent;
use crate::invalidation::{Composer, Entry, EventRef, Named, Outgoing, Phase, Progress, TokenNames};
use crate::store::{Denial, jti_iss};
use crate::target::{Fingerprint, Kind, Target, TokenTypeHint};

/// How long a result waits for the broker to take its `confirmed` message. Past that it is recorded without,
/// and published again later.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// Tells verifiers, in the name of this worker.
pub struct Announcer {
    publisher: Publisher,
    composer: Composer,
    clock: Clock,
    /// What was published late.
    pub(super) late: RepublishLog,
}

/// Messages that are composed and not yet published.
pub(super) struct Announcement(Vec<Outgoing>);

impl Announcer {
    /// Publishes by `publisher` what `composer` makes.
    pub fn new(publisher: Publisher, composer: Composer, clock: Clock) -> Self {
        Self { publisher, composer, clock, late: RepublishLog::default() }
    }

    /// Whether the publishing connection is up.
    pub fn is_connected(&self) -> bool {
        self.publisher.is_connected()
    }

    /// The publishing connection, for those who follow how it stands.
    pub(super) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The denial of everything that an event names.
    pub(super) fn denial(&self, event: &LogoutEvent) -> Announcement {
        let reference = EventRef { source: event.source.clone(), id: event.id.clone() };
        let targets = event.targets.iter().map(|target| (target, event.not_before));
        self.of_targets(Phase::Requested, &reference, event.incident.as_deref(), targets)
    }

    /// The message in one phase on targets of one event, each with its cutoff.
    pub(super) fn of_targets<'a>(
        &self,
        phase: Phase,
        event: &EventRef,
        incident: Option<&str>,
        targets: impl Iterator<Item = (&'a Target, OffsetDateTime)>,
    ) -> Announcement {
        let entries = targets.filter_map(|(target, not_before)| {
            Some((target.provider.to_string(), Named::of(target, not_before).entry()?))
        });
        Announcement(self.composer.invalidations(phase, event, incident, entries.collect()))
    }

    /// Publishes, again and again until the broker has confirmed all of it; returns when that was. `None`:
    /// the worker stopped first.
    pub(super) async fn deliver(&self, Announcement(messages): Announcement) -> Option<OffsetDateTime> {
        let delivered = messages.iter().map(|message| self.publisher.deliver(message));
        let delivered = futures::future::join_all(delivered).await;
        delivered.into_iter().all(|delivered| delivered.is_ok()).then(|| self.clock.now())
    }

    /// Publishes the `confirmed` messages of a result; returns whether the broker has confirmed them in time.
    pub(super) async fn confirm(&self, announcement: Announcement) -> bool {
        tokio::time::timeout(CONFIRMED_WITHIN, self.publish_once(announcement)).await.unwrap_or(false)
    }

    /// Publishes what the record says; returns whether the broker confirmed all of it.
    pub(super) async fn publish(&self, phase: Phase, denials: &[Denial]) -> bool {
        let events = denials.chunk_by(|a, b| a.event == b.event);
        let messages = events.flat_map(|event| {
            let reference = EventRef { source: event[0].event_source.clone(), id: event[0].event_id.clone() };
            let entries = event.iter().filter_map(|denial| Some((denial.provider.clone(), entry(denial)?)));
            self.composer.invalidations(phase, &reference, event[0].incident.as_deref(), entries.collect())
        });
        self.publish_once(Announcement(messages.collect())).await
    }

    async fn publish_once(&self, Announcement(messages): Announcement) -> bool {
        let published = messages.iter().map(|message| self.publisher.invalidate(message));
        futures::future::join_all(published).await.iter().all(Result::is_ok)
    }

    /// Marks the log: a message that denies nothing. Returns whether the broker has confirmed it.
    pub(super) async fn mark(&self, within: Duration) -> bool {
        let message = self.composer.mark();
        let marked = self.publisher.invalidate(&message);
        tokio::time::timeout(within, marked).await.is_ok_and(|marked| marked.is_ok())
    }

    /// Sends a heartbeat that says how far this worker has published, as seen at `standing`. One that is late
    /// is worth nothing; the next one follows.
    pub(super) async fn beat(
        &self,
        standing: &Standing,
        mark_age: Option<Duration>,
        within: Duration,
    ) -> bool {
        let progress: Progress = standing.progress(self.publisher.name(), mark_age);
        let message = self.composer.beat(Some(progress));
        tokio::time::timeout(within, self.publisher.beat(&message)).await.is_ok_and(|sent| sent.is_ok())
    }
}

/// The entry of a target that is on record.
fn entry(denial: &Denial) -> Option<Entry> {
    let digest = |bytes: &Option<Vec<u8>>| bytes.as_deref().and_then(Fingerprint::read);
    let token = digest(&denial.sha256).map(|sha256| TokenNames {
        sha256,
        signed: digest(&denial.signed),
        hint: denial.hint.as_deref().and_then(TokenTypeHint::parse),
        jti: denial.jti.clone(),
        jti_iss: jti_iss::read(denial.jti_iss.as_deref()),
    });
    let named = Named {
        kind: Kind::parse(&denial.kind)?,
        token,
        sub: denial.sub.clone(),
        sid: denial.sid.clone(),
        client_id: denial.client_id.clone(),
        iss: denial.iss.clone(),
        not_before: denial.not_before,
        expires_at: denial.deny_until,
    };
    named.entry()
}
