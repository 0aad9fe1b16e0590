//! `submit`: publishes events from NDJSON, each checked here as the worker will check it.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Serialize;

use super::CommandError;
use super::local_rules::LocalRules;
use super::ndjson::{Line, Lines};
use super::output::{count, say, say_json};
use super::progress::Progress;
use crate::broker::{Broker, EventPublisher, PublishError};
use crate::config::{BrokerSettings, Environment, InvalidationConfig};
use crate::event::LogoutEvent;

/// Events that are sent and not confirmed yet.
const WINDOW: usize = 256;

/// Options of `submit`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Events, one CloudEvents JSON object a line [default: standard input, also -]
    file: Option<PathBuf>,
    /// Check the lines and publish nothing
    #[arg(long)]
    dry_run: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

/// What became of the input: the JSON that `--json` prints.
#[derive(Default, Serialize)]
struct Summary {
    dry_run: bool,
    /// Lines that are not blank.
    lines: u64,
    valid: u64,
    /// Confirmed by the broker.
    published: u64,
    refused: Vec<RefusedLine>,
    error: Option<String>,
}

#[derive(Serialize)]
struct RefusedLine {
    line: u64,
    code: &'static str,
    detail: String,
}

struct Submission {
    rules: LocalRules,
    progress: Progress,
    summary: Summary,
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let settings = BrokerSettings::load(path, &Environment::of_process())?;
    let broker =
        Broker::new(&settings.amqp, &InvalidationConfig::default(), "submit").map_err(CommandError::Usage)?;
    let mut lines = Lines::open(args.file.as_deref(), settings.limits.max_message_bytes)?;
    let progress = Progress::new(lines.total, if args.dry_run { "valid" } else { "published" }, args.json);
    let summary = Summary { dry_run: args.dry_run, ..Summary::default() };
    let mut submission = Submission { rules: LocalRules::new(&settings, broker.user()), progress, summary };
    let ended = if args.dry_run {
        submission.check_all(&mut lines).await
    } else {
        submission.publish_all(&broker, &mut lines).await
    };
    submission.finish(ended, args.json)
}

impl Submission {
    async fn check_all(&mut self, lines: &mut Lines) -> Result<(), CommandError> {
        while let Some(line) = lines.next().await? {
            if self.check(&line).is_some() {
                self.progress.done(1, line.end);
            }
        }
        Ok(())
    }

    async fn publish_all(&mut self, broker: &Broker, lines: &mut Lines) -> Result<(), CommandError> {
        let publisher = EventPublisher::open(broker).await.map_err(CommandError::failed)?;
        let ended = self.publish(&publisher, lines).await;
        publisher.close().await;
        ended
    }

    /// Keeps up to [`WINDOW`] events outstanding. After the first failure nothing more is sent, but what is
    /// outstanding still counts.
    async fn publish(&mut self, publisher: &EventPublisher, lines: &mut Lines) -> Result<(), CommandError> {
        let mut window = FuturesUnordered::new();
        let (mut failure, mut is_open) = (None, true);
        while is_open || !window.is_empty() {
            tokio::select! {
                Some((line, confirmed)) = window.next(), if !window.is_empty() => self.settle(&line, confirmed, &mut failure),
                line = lines.next(), if is_open && window.len() < WINDOW => match line {
                    Ok(Some(line)) => {
                        let Some(event) = self.check(&line) else { continue };
                        match publisher.send(event.event_type.routing_key(), &event.id, &line.body).await {
                            Ok(sent) => window.push(async move { (line, sent.confirmed().await) }),
                            Err(error) => self.settle(&line, Err(error), &mut failure),
                        }
                    }
                    Ok(None) => is_open = false,
                    Err(error) => failure = failure.or(Some(error)),
                },
            }
            is_open &= failure.is_none();
        }
        failure.map_or(Ok(()), Err)
    }

    /// The event of a valid line; a bad one goes on the list.
    fn check(&mut self, line: &Line) -> Option<LogoutEvent> {
        self.summary.lines += 1;
        match self.rules.check_line(line) {
            Ok(event) => {
                self.summary.valid += 1;
                Some(event)
            }
            Err(refusal) => {
                self.progress.refused(line.number, &refusal, line.end);
                self.summary.refused.push(RefusedLine {
                    line: line.number,
                    code: refusal.code.as_str(),
                    detail: refusal.detail,
                });
                None
            }
        }
    }

    fn settle(
        &mut self,
        line: &Line,
        confirmed: Result<(), PublishError>,
        failure: &mut Option<CommandError>,
    ) {
        match confirmed {
            Ok(()) => {
                self.summary.published += 1;
                self.progress.done(1, line.end);
            }
            Err(error) => {
                failure.get_or_insert_with(|| CommandError::failed(format!("line {}: {error}", line.number)));
            }
        }
    }

    fn finish(mut self, ended: Result<(), CommandError>, json: bool) -> Result<(), CommandError> {
        self.progress.end();
        let ended =
            ended.map_err(|error| self.summary.broke_off(&error)).and_then(|()| self.summary.complete());
        self.summary.error = ended.as_ref().err().map(ToString::to_string);
        if json {
            say_json(&self.summary);
        } else {
            let Summary { valid, published, .. } = self.summary;
            say(if self.summary.dry_run {
                format!("{} valid; nothing was published", count(valid, "event"))
            } else {
                format!("{} published", count(published, "event"))
            });
        }
        ended
    }
}

impl Summary {
    fn broke_off(&self, error: &CommandError) -> CommandError {
        let Self { lines, published, .. } = self;
        let remedy =
            "submit the same input again once that is mended: an event that arrived twice changes nothing";
        let what = if self.dry_run { "checked" } else { "read" };
        CommandError::failed(format!(
            "{error}; {published} confirmed of {} {what}; {remedy}",
            count(*lines, "line")
        ))
    }

    fn complete(&self) -> Result<(), CommandError> {
        let others = match (self.valid, self.dry_run) {
            (0, _) => "nothing was published",
            (_, true) => "the others are valid",
            (_, false) => "the others were published",
        };
        match self.refused.len() {
            0 => Ok(()),
            bad => {
                Err(CommandError::failed(format!("{bad} of {} refused; {others}", count(self.lines, "line"))))
            }
        }
    }
}
