//! The second pass: cutoffs first, each confirmed before a token is sent.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::check::{Checker, Fingerprint};
use super::chunks::{Chunk, Chunker};
use super::order::Order;
use super::rows::Source;
use crate::broker::{EventPublisher, PublishError};
use crate::cli::CommandError;
use crate::cli::progress::Progress;
use crate::config::BrokerSettings;
use crate::event::{CUTOFF_ROUTING_KEY, EventType};
use crate::target::Kind;

/// Events that are sent and not confirmed yet.
const WINDOW: usize = 32;
/// Events that are read ahead.
const READ_AHEAD: usize = 8;

/// What is published together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Sessions, subjects, clients, issuers: few events, each of which stops many tokens.
    Cutoffs,
    /// Single tokens.
    Tokens,
}

impl Stage {
    /// Both, the urgent one first.
    pub(super) const ALL: [Self; 2] = [Self::Cutoffs, Self::Tokens];

    /// Whether targets of this kind are its.
    pub(super) fn takes(self, kind: Kind) -> bool {
        (kind == Kind::Token) == (self == Self::Tokens)
    }

    fn routing_key(self) -> &'static str {
        match self {
            Self::Cutoffs => CUTOFF_ROUTING_KEY,
            Self::Tokens => EventType::MassRevocation.routing_key(),
        }
    }
}

/// What both passes go by.
pub(super) struct Plan {
    pub(super) order: Arc<Order>,
    pub(super) source: Source,
    pub(super) settings: BrokerSettings,
    pub(super) user: String,
    /// All that the incident will have.
    pub(super) targets: i64,
    /// SHA-256 of the input, as the first pass found it.
    pub(super) digest: Option<Vec<u8>>,
}

/// An event to send.
struct Ready {
    id: String,
    body: Zeroizing<String>,
    targets: u64,
}

/// How far it came.
#[derive(Default)]
pub(super) struct Published {
    /// Events that the broker confirmed, and their targets.
    pub(super) events: u64,
    pub(super) targets: u64,
    /// Events that were on record already.
    pub(super) skipped: u64,
    /// Whether somebody asked it to stop.
    pub(super) is_interrupted: bool,
}

/// The second pass as it goes on.
pub(super) struct Publishing<'p> {
    pub(super) plan: Arc<Plan>,
    pub(super) publisher: &'p EventPublisher,
    /// Ids of events that are on record.
    pub(super) known: HashSet<String>,
    pub(super) progress: Progress,
    pub(super) stop: CancellationToken,
    pub(super) published: Published,
}

impl Publishing<'_> {
    /// Publishes one stage after the other. `seen`: every valid target, each of which is sent once.
    ///
    /// # Errors
    /// The first failure; nothing is sent after it, but what is outstanding still counts.
    pub(super) async fn run(&mut self, stages: &[Stage], mut seen: HashSet<Fingerprint>) -> Result<(), CommandError> {
        for stage in stages {
            let (sender, ready) = mpsc::channel(READ_AHEAD);
            let (plan, stage) = (self.plan.clone(), *stage);
            let reading = spawn_blocking(move || read(&plan, stage, &mut seen, &sender).map(|()| seen));
            let sent = self.send_all(stage, ready).await;
            let read = reading.await.map_err(CommandError::failed)?;
            sent?;
            if self.published.is_interrupted {
                return Ok(());
            }
            seen = read?;
        }
        if seen.is_empty() { Ok(()) } else { Err(changed()) }
    }

    /// Keeps up to [`WINDOW`] events outstanding, and returns when none is.
    async fn send_all(&mut self, stage: Stage, mut ready: mpsc::Receiver<Ready>) -> Result<(), CommandError> {
        let mut window = FuturesUnordered::new();
        let (mut failure, mut is_open) = (None, true);
        while is_open || !window.is_empty() {
            tokio::select! {
                Some((targets, confirmed)) = window.next(), if !window.is_empty() => self.settle(targets, confirmed, &mut failure),
                () = self.stop.cancelled(), if is_open => {
                    self.published.is_interrupted = true;
                    is_open = false;
                }
                event = ready.recv(), if is_open && window.len() < WINDOW => match event {
                    None => is_open = false,
                    Some(event) if self.known.contains(&event.id) => self.skip(event.targets),
                    Some(event) => match self.publisher.send(stage.routing_key(), &event.id, event.body.as_bytes()).await {
                        Ok(sent) => window.push(async move { (event.targets, sent.confirmed().await) }),
                        Err(error) => self.settle(0, Err(error), &mut failure),
                    },
                },
            }
            is_open &= failure.is_none();
        }
        failure.map_or(Ok(()), |error: PublishError| Err(CommandError::failed(error)))
    }

    fn settle(&mut self, targets: u64, confirmed: Result<(), PublishError>, failure: &mut Option<PublishError>) {
        match confirmed {
            Ok(()) => {
                self.published.events += 1;
                self.published.targets += targets;
                self.progress.advanced(targets);
            }
            Err(error) => *failure = failure.take().or(Some(error)),
        }
    }

    fn skip(&mut self, targets: u64) {
        self.published.skipped += 1;
        self.progress.skipped(targets);
    }
}

/// Walks over everything again and hands on the events of one stage. A receiver that went away ends it.
fn read(plan: &Plan, stage: Stage, seen: &mut HashSet<Fingerprint>, ready: &mpsc::Sender<Ready>) -> Result<(), CommandError> {
    let mut checker = Checker::new(plan.order.clone(), &plan.settings, &plan.user)?;
    let mut chunker = Chunker::new(&plan.order, &plan.settings.limits);
    let mut rows = plan.source.rows();
    while let Some(row) = rows.next()? {
        // The first pass has told what is wrong with the others.
        let Ok(target) = row.written.and_then(|written| checker.check(written)) else { continue };
        if !stage.takes(target.kind) || !seen.remove(&target.fingerprint) {
            continue;
        }
        if let Some(chunk) = chunker.add(target)
            && ready.blocking_send(plan.event(&chunk)).is_err()
        {
            return Ok(());
        }
    }
    if rows.digest() != plan.digest {
        return Err(changed());
    }
    for chunk in chunker.finish() {
        if ready.blocking_send(plan.event(&chunk)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Plan {
    fn event(&self, chunk: &Chunk) -> Ready {
        let id = chunk.id(&self.order);
        let targets = chunk.targets.iter().map(|target| target.as_str());
        let body = self.order.event(&id, chunk.provider.as_deref(), self.targets, targets);
        Ready { id, body, targets: chunk.targets.len() as u64 }
    }
}

fn changed() -> CommandError {
    CommandError::failed("the file changed while it was read, so that some of its targets may not have been published")
}
