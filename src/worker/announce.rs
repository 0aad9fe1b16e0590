//! Telling verifiers: the only place of the worker that composes and publishes messages to them, but for
//! snapshots (`fold`). Nothing here waits for Postgres.
//!
//! | message | when |
//! |---|---|
//! | `requested` | an event was parsed, or its incident approved; again where it may not have gone out |
//! | `confirmed` | a target is revoked at its provider |
//! | both, again | the broker was lost, and may have lost what it had confirmed (`owed`, by [`republish`]) |
//! | heartbeat, mark | about once a second, by one worker of the fleet |
//! | checkpoint | one of the record was made |

mod outbox;
mod republish;
mod traced;

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::watch;

use self::outbox::{Heard, Outbox};
pub(super) use republish::{Late, OVERLAP, RepublishLog};
pub(super) use traced::message;

use crate::broker::{Publisher, Standing};
use crate::clock::Clock;
use crate::event::{Lane, LogoutEvent};
use crate::invalidation::{
    Checkpointing, Composer, Entry, EventOf, EventRef, Named, Outgoing, Phase, Progress, TokenNames,
};
use crate::store::{Denial, jti_iss};
use crate::target::{Fingerprint, Kind, Target, TokenTypeHint};
use crate::trace::{Span, Spans, Trace};

/// How long a result waits for the broker to take its `confirmed` message. Past that it is recorded without,
/// and published again later.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// Tells verifiers, in the name of this worker.
pub struct Announcer {
    publisher: Publisher,
    composer: Composer,
    logouts: Arc<Outbox>,
    cutoffs: Arc<Outbox>,
    mass: Arc<Outbox>,
    spans: Spans,
    /// What was published late.
    pub(super) late: RepublishLog,
    /// Up to which loss of the broker all is published again.
    pub(super) republished: watch::Sender<u64>,
}

impl Announcer {
    /// Publishes by `publisher` what `composer` makes.
    pub fn new(publisher: Publisher, composer: Composer, clock: Clock, spans: Spans) -> Self {
        let outbox = || Arc::new(Outbox::new(publisher.clone(), composer.clone(), clock.clone()));
        let ([logouts, cutoffs, mass], late) = ([outbox(), outbox(), outbox()], RepublishLog::default());
        let republished = watch::Sender::new(0);
        Self { publisher, composer, logouts, cutoffs, mass, spans, late, republished }
    }

    /// Whether the publishing connection is up.
    pub fn is_connected(&self) -> bool {
        self.publisher.is_connected()
    }

    /// The publishing connection, for those who follow how it stands.
    pub(super) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Has everything that an event names denied, by as many messages as it takes, again and again until the
    /// broker has confirmed all of them. It shares them with what else is due in its lane, and waits for
    /// nothing while nothing there is on its way. `heard` is called when that is done, and never where the
    /// worker stops first.
    pub(super) fn deny(&self, event: &LogoutEvent, heard: impl FnOnce(OffsetDateTime) + Send + 'static) {
        let reference = EventRef { source: event.source.clone(), id: event.id.clone() };
        let mut event_of = EventOf { event: reference, incident: event.incident.clone(), traceparent: None };
        let span = self.send(Phase::Requested, &mut event_of, event.trace);
        let heard = move |at| {
            drop(span);
            heard(at);
        };
        let targets = event.targets.iter().map(|target| (target, event.not_before));
        self.deny_targets(event.lane(), event_of, targets, Box::new(heard));
    }

    /// Has the messages on an event carry its trace; the span that they then are of, where it is recorded.
    fn send(&self, phase: Phase, event: &mut EventOf, trace: Option<Trace>) -> Option<Span> {
        let trace = trace?;
        let span = traced::send(&self.spans, phase, &event.event, trace);
        let carried = span.as_ref().and_then(Span::trace).unwrap_or(trace);
        event.traceparent = Some(carried.to_string());
        span
    }

    /// Denies some of an event's targets, each by its own cutoff.
    pub(super) fn deny_targets<'a>(
        &self,
        lane: Lane,
        event: EventOf,
        targets: impl Iterator<Item = (&'a Target, OffsetDateTime)>,
        heard: Heard,
    ) {
        let mut entries = targets.filter_map(entry_of).peekable();
        let outbox = match (lane, entries.peek()) {
            (Lane::Interactive, _) => &self.logouts,
            (Lane::Mass, Some((_, Entry::Token { .. })) | None) => &self.mass,
            // One of them stops more than a list of tokens does.
            (Lane::Mass, Some(_)) => &self.cutoffs,
        };
        outbox.deny(event, entries, heard);
    }

    /// Publishes the `confirmed` messages of results, shared by their events; returns whether the broker has
    /// confirmed all of them in time.
    pub(super) async fn confirm<'a, T>(
        &self,
        events: impl IntoIterator<Item = (EventOf, Option<Trace>, T)>,
    ) -> bool
    where
        T: Iterator<Item = (&'a Target, OffsetDateTime)>,
    {
        let mut spans = Vec::new();
        let events = events.into_iter().map(|(mut event, trace, targets)| {
            spans.extend(self.send(Phase::Confirmed, &mut event, trace));
            (event, targets.filter_map(entry_of).collect())
        });
        let messages = self.composer.invalidations(Phase::Confirmed, events);
        tokio::time::timeout(CONFIRMED_WITHIN, self.publish_once(messages)).await.unwrap_or(false)
    }

    /// Publishes what the record says; returns whether the broker confirmed all of it.
    pub(super) async fn publish(&self, phase: Phase, denials: &[Denial]) -> bool {
        let events = denials.chunk_by(|a, b| a.event == b.event).map(|event| {
            let reference = EventRef { source: event[0].event_source.clone(), id: event[0].event_id.clone() };
            let entries =
                event.iter().filter_map(|denial| Some((denial.provider.as_str().into(), entry(denial)?)));
            let trace = event[0].trace.as_deref().and_then(Trace::read);
            let traceparent = trace.map(|trace| trace.to_string());
            let incident = event[0].incident.clone();
            (EventOf { event: reference, incident, traceparent }, entries.collect())
        });
        self.publish_once(self.composer.invalidations(phase, events)).await
    }

    async fn publish_once(&self, messages: Vec<Outgoing>) -> bool {
        let published = messages.iter().map(|message| self.publisher.invalidate(message));
        futures::future::join_all(published).await.iter().all(Result::is_ok)
    }

    /// Marks the log: a message that denies nothing. Returns whether the broker has confirmed it.
    pub(super) async fn mark(&self, within: Duration) -> bool {
        let message = self.composer.mark();
        let marked = self.publisher.invalidate(&message);
        tokio::time::timeout(within, marked).await.is_ok_and(|marked| marked.is_ok())
    }

    /// Puts a checkpoint of the record into the log. Returns whether the broker has confirmed it.
    pub(super) async fn publish_checkpoint(&self, checkpoint: Checkpointing) -> bool {
        let message = self.composer.checkpoint(checkpoint);
        let published = self.publisher.invalidate(&message);
        tokio::time::timeout(CONFIRMED_WITHIN, published).await.is_ok_and(|published| published.is_ok())
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

/// The entry of a target in memory, and whose it is.
fn entry_of((target, not_before): (&Target, OffsetDateTime)) -> Option<(Arc<str>, Entry)> {
    Some((target.provider.clone(), Named::of(target, not_before).entry()?))
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
