//! The second pass: cutoffs first, each confirmed before a token is sent.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::check::{Checker, Fingerprint};
use super::chunks::{Chunk, Chunker};
use super::kept::{Kept, time_by};
use super::order::{Order, Whole};
use super::rows::Source;
use crate::broker::{EventPublisher, PublishError};
use crate::cli::CommandError;
use crate::cli::progress::Progress;
use crate::clock::Clock;
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
    pub(super) kept: Mutex<Kept>,
    pub(super) clock: Clock,
    pub(super) source: Source,
    pub(super) settings: BrokerSettings,
    pub(super) user: String,
    /// All that the incident will have.
    pub(super) whole: Whole,
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
    pub(super) async fn run(
        &mut self,
        stages: &[Stage],
        mut seen: HashSet<Fingerprint>,
    ) -> Result<(), CommandError> {
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

    fn settle(
        &mut self,
        targets: u64,
        confirmed: Result<(), PublishError>,
        failure: &mut Option<PublishError>,
    ) {
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
fn read(
    plan: &Plan,
    stage: Stage,
    seen: &mut HashSet<Fingerprint>,
    ready: &mpsc::Sender<Ready>,
) -> Result<(), CommandError> {
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
        let body =
            self.order.event(&id, &self.time(chunk, &id), chunk.provider.as_deref(), &self.whole, targets);
        Ready { id, body, targets: chunk.targets.len() as u64 }
    }

    /// Where it is the event's cutoff, the same one every time.
    fn time(&self, chunk: &Chunk, id: &str) -> String {
        if chunk.kind == Kind::Token || self.order.not_before.is_some() {
            return time_by(&self.clock);
        }
        // Nothing under this lock can panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).cutoff(id, &self.clock)
    }
}

fn changed() -> CommandError {
    CommandError::failed(
        "the file changed while it was read, so that some of its targets may not have been published",
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::{order, settings};
    use super::super::input::Input;
    use super::super::rows::Format;
    use super::super::survey::Survey;
    use super::*;

    /// A file of this test's own; its plan, and what the first pass saw.
    struct Scene {
        path: std::path::PathBuf,
        plan: Plan,
        seen: HashSet<Fingerprint>,
    }

    impl Scene {
        fn of(text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("publish-{}.ndjson", uuid::Uuid::now_v7()));
            std::fs::write(&path, text).unwrap();
            let (order, settings) =
                (Arc::new(order()), settings(&[("REVOCATION__LIMITS__MAX_TARGETS", "2")]));
            let source = Source {
                flags: vec![],
                input: Some((Input::open(Some(&path)).unwrap(), Format::Ndjson)),
                limit: 1024,
            };
            let mut checker = Checker::new(order.clone(), &settings, "soc").unwrap();
            let (chunker, mut progress) =
                (Chunker::new(&order, &settings.limits), Progress::new(None, "valid", true));
            let mut survey = Survey::of(&source, &mut checker, chunker, &mut progress).unwrap();
            let (whole, digest) = (survey.whole(), survey.digest.take());
            Self {
                path,
                seen: survey.seen,
                plan: Plan {
                    order,
                    kept: Mutex::new(Kept::nothing()),
                    clock: Clock::default(),
                    source,
                    settings,
                    user: "soc".to_owned(),
                    whole,
                    digest,
                },
            }
        }

        /// What one stage hands on: the targets of each event.
        fn read(&mut self, stage: Stage) -> (Vec<u64>, Result<(), CommandError>) {
            let (sender, mut ready) = mpsc::channel(100);
            let ended = read(&self.plan, stage, &mut self.seen, &sender);
            let events = std::iter::from_fn(|| ready.try_recv().ok()).map(|event| event.targets);
            (events.collect(), ended)
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            std::fs::remove_file(&self.path).unwrap();
        }
    }

    const MIXED: &str = r#"{"token":"a"}
        {"sub":"u"}
        {"token":"b"}
        {"token":"a"}
        bad
        {"token":"c"}
        {"client_id":"c"}
        {"sub":"u"}"#;

    #[test]
    fn each_target_is_in_one_event_of_its_stage() {
        let mut scene = Scene::of(MIXED);
        assert_eq!(scene.seen.len(), 5);
        let (cutoffs, ended) = scene.read(Stage::Cutoffs);
        assert!(ended.is_ok() && cutoffs == [1, 1], "a client and a subject: {cutoffs:?}");
        let (tokens, ended) = scene.read(Stage::Tokens);
        assert!(ended.is_ok() && tokens == [2, 1], "{tokens:?}");
        assert!(scene.seen.is_empty());
    }

    #[test]
    fn a_file_that_changed_is_noticed() {
        let mut scene = Scene::of(MIXED);
        std::fs::write(&scene.path, MIXED.replace("\"a\"", "\"x\"")).unwrap();
        let (cutoffs, ended) = scene.read(Stage::Cutoffs);
        assert!(
            cutoffs.is_empty()
                && ended.err().is_some_and(|error| error.to_string().starts_with("the file changed"))
        );
    }

    #[test]
    fn a_receiver_that_went_away_ends_the_reading() {
        let mut scene = Scene::of(MIXED);
        let (sender, ready) = mpsc::channel(1);
        drop(ready);
        assert!(read(&scene.plan, Stage::Tokens, &mut scene.seen, &sender).is_ok());
    }
}
