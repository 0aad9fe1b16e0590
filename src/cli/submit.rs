//! `submit`: publishes events from NDJSON, each checked here as the worker will check it.

use std::collections::HashMap;
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::CommandError;
use super::output::{count, remark, say, say_json};
use super::progress::Progress;
use super::record::Record;
use crate::broker::{Broker, EventPublisher, PublishError};
use crate::config::{BrokerSettings, DatabaseSettings, Environment, InvalidationConfig};
use crate::event::{LogoutEvent, Refusal, RefusalCode};
use crate::order::error::OrderError;
use crate::order::first_pass::RefusedLine;
use crate::order::lines::{Line, Lines};
use crate::order::observer::Observer;
use crate::order::publish::{Event, Publication, publish};
use crate::order::rules::LocalRules;

/// Most events that are sent and not confirmed.
const UNCONFIRMED: usize = 256;

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

struct Submission {
    lines: Lines,
    rules: LocalRules,
    progress: Progress,
    summary: Summary,
    incidents: Incidents,
    /// A valid line whose incident is being looked up.
    waiting: Option<(LogoutEvent, Line)>,
}

/// Which incidents are on record as cancelled: an event for one would be refused by the worker.
struct Incidents {
    database: Option<DatabaseSettings>,
    /// Reached for the first event that has an incident.
    record: Option<Record>,
    cancelled: HashMap<String, bool>,
}

/// A line by its number, and where it ends.
type Place = (u64, u64);

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let environment = Environment::of_process();
    let settings = BrokerSettings::load(path, &environment)?;
    let database = DatabaseSettings::load_if_set(path, &environment)?.filter(|_| !args.dry_run);
    let broker =
        Broker::new(&settings.amqp, &InvalidationConfig::default(), "submit").map_err(CommandError::Usage)?;
    let file = args.file.as_deref().filter(|file| *file != Path::new("-"));
    if file.is_none() && stdin().is_terminal() {
        remark("reading events from the terminal, one a line; Ctrl-D ends");
    }
    let lines = Lines::open(file, settings.limits.max_message_bytes)?;
    let progress = Progress::new(lines.total, if args.dry_run { "valid" } else { "published" }, args.json);
    let summary = Summary { dry_run: args.dry_run, ..Summary::default() };
    let rules = LocalRules::new(&settings, broker.user());
    let incidents = Incidents { database, record: None, cancelled: HashMap::new() };
    let mut submission = Submission { lines, rules, progress, summary, incidents, waiting: None };
    let ended = submission.publish(&broker).await;
    if let Some(record) = submission.incidents.record.take() {
        record.close().await;
    }
    submission.finish(ended, args.json)
}

impl Publication for Submission {
    type KnownAs = Place;

    /// May be dropped while it waits: what it has read stays in `waiting`.
    async fn next(&mut self) -> Result<Option<Event<Place>>, OrderError> {
        loop {
            if self.waiting.is_none() {
                let Some(line) = self.lines.next().await? else { return Ok(None) };
                self.waiting = self.check(&line).map(|event| (event, line));
            }
            if let Some((LogoutEvent { incident: Some(incident), .. }, _)) = &self.waiting {
                self.incidents.look_up(incident).await;
            }
            let Some((event, line)) = self.waiting.take() else { continue };
            if let Err(refusal) = self.incidents.check(&event) {
                self.refuse(&line, refusal);
                continue;
            }
            self.summary.valid += 1;
            return Ok(Some(Event {
                routing_key: event.event_type.routing_key(),
                id: event.id,
                body: line.body,
                known_as: (line.number, line.end),
            }));
        }
    }

    fn confirmed(&mut self, (_, end): &Place) {
        self.summary.published += u64::from(!self.summary.dry_run);
        self.progress.done(1, *end);
    }

    fn failure(&self, (line, _): &Place, error: &PublishError) -> OrderError {
        OrderError::failed(format!("line {line}: {error}"))
    }
}

impl Submission {
    async fn publish(&mut self, broker: &Broker) -> Result<(), CommandError> {
        let publisher = match self.summary.dry_run {
            true => None,
            false => Some(EventPublisher::open(broker).await?),
        };
        let ended = publish(self, publisher.as_ref(), UNCONFIRMED, &CancellationToken::new()).await;
        if let Some(publisher) = publisher {
            publisher.close().await;
        }
        Ok(ended.map(drop)?)
    }

    /// The event of a valid line; a bad one goes on the list.
    fn check(&mut self, line: &Line) -> Option<LogoutEvent> {
        self.summary.lines += 1;
        self.rules.check_line(line).map_err(|refusal| self.refuse(line, refusal)).ok()
    }

    fn refuse(&mut self, line: &Line, refusal: Refusal) {
        self.progress.refused(line.number, &refusal.to_string(), line.end);
        let (line, code) = (line.number, Some(refusal.code.as_str()));
        self.summary.refused.push(RefusedLine { line, code, detail: refusal.detail });
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

impl Incidents {
    async fn look_up(&mut self, incident: &str) {
        if self.database.is_none() || self.cancelled.contains_key(incident) {
            return;
        }
        if self.record.is_none() {
            self.record = Some(Record::reach(self.database.as_ref()).await);
        }
        let Some(record) = &self.record else { return };
        let is_cancelled = record.is_cancelled(incident).await;
        self.cancelled.insert(incident.to_owned(), is_cancelled);
    }

    fn check(&self, event: &LogoutEvent) -> Result<(), Refusal> {
        match &event.incident {
            Some(incident) if self.cancelled.get(incident) == Some(&true) => {
                let detail =
                    format!("incident {incident} was cancelled, which is final: order it under another name");
                Err(Refusal::new(RefusalCode::NotAllowed, detail))
            }
            _ => Ok(()),
        }
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
            bad => Err(CommandError::advised(
                format!("{bad} of {} refused; {others}", count(self.lines, "line")),
                "mend the refused lines and submit them again",
            )),
        }
    }
}
