//! The second pass: reads everything again and publishes it, cutoffs first, each confirmed before a token is
//! sent.

use std::collections::HashSet;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::chunks::{Chunk, Chunker};
use super::error::OrderError;
use super::event::{Order, time_by};
use super::first_pass::FirstPass;
use super::observer::Observer;
use super::publish::{Event, Publication, publish};
use super::resume::Resume;
use super::rows::Source;
use super::rules::LocalRules;
use crate::broker::{EventPublisher, PublishError};
use crate::clock::Clock;
use crate::config::LimitsConfig;
use crate::event::{CUTOFF_ROUTING_KEY, EventType};
use crate::target::Kind;

/// Most events that are sent and not confirmed.
const UNCONFIRMED: usize = 32;
/// Events that are read ahead.
const READ_AHEAD: usize = 8;

/// What is published together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Sessions, subjects, clients, issuers: few events, each of which stops many tokens.
    Cutoffs,
    /// Single tokens.
    Tokens,
}

impl Stage {
    /// Both, the urgent one first.
    const ALL: [Self; 2] = [Self::Cutoffs, Self::Tokens];

    /// Whether targets of this kind are its.
    pub(crate) fn takes(self, kind: Kind) -> bool {
        (kind == Kind::Token) == (self == Self::Tokens)
    }

    fn routing_key(self) -> &'static str {
        match self {
            Self::Cutoffs => CUTOFF_ROUTING_KEY,
            Self::Tokens => EventType::MassRevocation.routing_key(),
        }
    }
}

/// What the second pass goes by.
pub(crate) struct SecondPass {
    /// What was ordered, with the random part that makes the ids.
    pub(crate) order: Order,
    /// The same input again.
    pub(crate) source: Source,
    /// The same rules again.
    pub(crate) rules: LocalRules,
    /// How large an event may be.
    pub(crate) limits: LimitsConfig,
    /// By which cutoffs are told that nobody gave.
    pub(crate) clock: Clock,
    /// What the same command, given again, goes on by.
    pub(crate) resume: Resume,
    /// What is there.
    pub(crate) found: FirstPass,
}

/// How far it came.
#[derive(Default)]
pub(crate) struct Published {
    /// Events that the broker confirmed.
    pub(crate) events: u64,
    /// Their targets.
    pub(crate) targets: u64,
    /// Events that were on record already.
    pub(crate) skipped: u64,
    /// Whether somebody asked it to stop.
    pub(crate) is_interrupted: bool,
    /// Why what the same command would go on by could not be kept.
    pub(crate) not_kept: Option<String>,
}

impl SecondPass {
    /// Publishes one stage after the other. `known`: ids of events that are on record, which are not sent.
    /// Returns how far it came, with the first failure: nothing is sent after it, but what is unconfirmed
    /// still counts.
    pub(crate) async fn publish(
        self,
        publisher: &EventPublisher,
        known: &HashSet<String>,
        stop: &CancellationToken,
        observer: &mut impl Observer,
    ) -> (Published, Result<(), OrderError>) {
        let mut published = Published::default();
        let (senders, stages): (Vec<_>, Vec<_>) = Stage::ALL
            .into_iter()
            .filter(|stage| self.found.kinds().into_iter().any(|kind| stage.takes(kind)))
            .map(|stage| {
                let (sender, ready) = mpsc::channel(READ_AHEAD);
                ((stage, sender), ready)
            })
            .unzip();
        let reading = spawn_blocking(move || self.read_all(senders));
        let mut sent = Ok(false);
        for ready in stages {
            let mut sending = Sending { ready, known, observer, published: &mut published };
            sent = publish(&mut sending, Some(publisher), UNCONFIRMED, stop).await;
            if !matches!(sent, Ok(false)) {
                break;
            }
        }
        let (not_kept, read) = reading.await.unwrap_or_else(|error| (None, Err(OrderError::failed(error))));
        published.not_kept = not_kept;
        published.is_interrupted = matches!(sent, Ok(true));
        let is_interrupted = published.is_interrupted;
        (published, sent.and(if is_interrupted { Ok(()) } else { read }))
    }

    /// Reads the input once a stage. Returns what could not be kept, and how it ended.
    fn read_all(
        mut self,
        stages: Vec<(Stage, mpsc::Sender<Event<u64>>)>,
    ) -> (Option<String>, Result<(), OrderError>) {
        let mut read = Ok(());
        for (stage, ready) in stages {
            read = read.and_then(|()| self.read(stage, &ready));
        }
        let is_whole = self.found.seen.is_empty();
        (self.resume.not_kept(), read.and_then(|()| if is_whole { Ok(()) } else { Err(changed()) }))
    }

    /// Walks over everything once more, and hands on what belongs to a stage. Ends early where nobody takes
    /// it any more.
    fn read(&mut self, stage: Stage, ready: &mpsc::Sender<Event<u64>>) -> Result<(), OrderError> {
        let mut chunker = Chunker::new(&self.order, &self.limits);
        let mut rows = self.source.rows();
        let (order, resume, clock) = (&self.order, &mut self.resume, &self.clock);
        let counts = self.found.by_kind();
        let mut make = |chunk: &Chunk| event(order, &counts, resume, clock, stage, chunk);
        while let Some(row) = rows.next()? {
            // The first pass has told what is wrong with the others.
            let target = row.raw.and_then(|raw| order.check(&mut self.rules, raw));
            let Ok(target) = target else { continue };
            if !stage.takes(target.kind) || !self.found.seen.remove(&target.fingerprint) {
                continue;
            }
            if let Some(chunk) = chunker.add(target)
                && ready.blocking_send(make(&chunk)).is_err()
            {
                return Ok(());
            }
        }
        if rows.digest() != self.found.digest {
            return Err(changed());
        }
        for chunk in chunker.finish() {
            if ready.blocking_send(make(&chunk)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The event of a chunk. Where its time is its cutoff, that is the same every time.
fn event(
    order: &Order,
    counts: &[(Kind, i64)],
    resume: &mut Resume,
    clock: &Clock,
    stage: Stage,
    chunk: &Chunk,
) -> Event<u64> {
    let id = chunk.id(order);
    let time = match stage {
        Stage::Cutoffs if order.not_before.is_none() => resume.cutoff(&id, clock),
        _ => time_by(clock),
    };
    let targets = chunk.targets.iter().map(|target| target.as_str());
    let mut body = order.event(&id, &time, chunk.provider.as_deref(), counts, targets);
    let body = Zeroizing::new(std::mem::take(&mut *body).into_bytes());
    Event { routing_key: stage.routing_key(), id, body, known_as: chunk.targets.len() as u64 }
}

fn changed() -> OrderError {
    OrderError::failed(
        "the file changed while it was read, so that some of its targets may not have been published",
    )
}

/// A stage on its way; an event is known by the number of its targets.
struct Sending<'p, O> {
    ready: mpsc::Receiver<Event<u64>>,
    known: &'p HashSet<String>,
    observer: &'p mut O,
    published: &'p mut Published,
}

impl<O: Observer> Publication for Sending<'_, O> {
    type KnownAs = u64;

    async fn next(&mut self) -> Result<Option<Event<u64>>, OrderError> {
        while let Some(event) = self.ready.recv().await {
            if !self.known.contains(&event.id) {
                return Ok(Some(event));
            }
            self.published.skipped += 1;
            self.observer.skipped(event.known_as);
        }
        Ok(None)
    }

    fn confirmed(&mut self, targets: &u64) {
        self.published.events += 1;
        self.published.targets += targets;
        self.observer.advanced(*targets);
    }

    fn failure(&self, _: &u64, error: &PublishError) -> OrderError {
        OrderError::failed(error)
    }
}

#[cfg(test)]
mod tests;
