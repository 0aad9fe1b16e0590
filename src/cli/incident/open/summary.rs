//! What a person, or a program, is told in the end.

use serde::Serialize;
use serde_json::{Map, Value};

use super::no_call::NoCall;
use crate::cli::CommandError;
use crate::cli::output::{command, count, say, say_json};
use crate::cli::page::Page;
use crate::cli::table::{Cell, Column, Look, column, text};
use crate::order::first_pass::{FirstPass, RefusedLine};
use crate::order::second_pass::Published;
use crate::target::Kind;
use crate::visible::apart;

/// The JSON that `--json` prints.
#[derive(Serialize)]
pub(super) struct Summary {
    incident: String,
    dry_run: bool,
    targets: Targets,
    /// Targets that had been named before, and are sent once.
    named_again: u64,
    /// All events of the incident.
    events: u64,
    /// Of these, the events that the broker confirmed, and their targets.
    published: u64,
    published_targets: u64,
    /// Of these, the events that were on record already.
    skipped: u64,
    /// Lines of the input that are not blank.
    lines: u64,
    refused_lines: u64,
    /// The first of these.
    refused: Vec<RefusedLine>,
    /// Whether nothing is denied until a second person approves it, by the settings here.
    needs_approval: bool,
    approval_reasons: Vec<String>,
    /// What no provider can carry out, as far as the settings here tell; looked at by a dry run alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) no_call: Vec<NoCall>,
    interrupted: bool,
    error: Option<String>,
}

#[derive(Serialize)]
struct Targets {
    total: u64,
    by_kind: Map<String, Value>,
    by_provider: Map<String, Value>,
    #[serde(skip)]
    table: Vec<[String; 3]>,
}

impl Targets {
    fn of(found: &FirstPass) -> Self {
        let (mut by_kind, mut by_provider, mut table) = (Map::new(), Map::new(), Vec::new());
        for ((place, provider), number) in &found.counts {
            let kind = Kind::ALL[*place].as_str();
            let shown = if provider.is_empty() { FOUND_BY_WORKER } else { provider };
            for (sums, name) in [(&mut by_kind, kind), (&mut by_provider, shown)] {
                let sum = sums.get(name).and_then(Value::as_u64).unwrap_or_default() + number;
                sums.insert(name.to_owned(), sum.into());
            }
            table.push([kind.to_owned(), shown.to_owned(), number.to_string()]);
        }
        Self { total: found.targets(), by_kind, by_provider, table }
    }
}

const COLUMNS: [Column<[String; 3]>; 3] = [
    column("kind", |[kind, ..]| text(kind)),
    column("provider", |[_, provider, _]| text(provider)),
    column("targets", |[.., targets]| Cell::Number(targets.clone())),
];

const REMEDY: &str = "the same command with the same input goes on from there";

/// Instead of a provider's name, where only the worker's settings tell it.
const FOUND_BY_WORKER: &str = "(by the worker)";

impl Summary {
    /// What the first pass found.
    pub(super) fn of(
        incident: &str,
        dry_run: bool,
        found: &mut FirstPass,
        approval_reasons: Vec<String>,
    ) -> Self {
        Self {
            incident: incident.to_owned(),
            dry_run,
            targets: Targets::of(found),
            named_again: found.named_again,
            events: found.events,
            published: 0,
            published_targets: 0,
            skipped: 0,
            lines: found.lines,
            refused_lines: found.refused_lines,
            refused: std::mem::take(&mut found.refused),
            needs_approval: !approval_reasons.is_empty(),
            approval_reasons,
            no_call: Vec::new(),
            interrupted: false,
            error: None,
        }
    }

    /// What the second pass did.
    pub(super) fn add(&mut self, published: &Published) {
        self.published = published.events;
        self.published_targets = published.targets;
        self.skipped = published.skipped;
        self.interrupted = published.is_interrupted;
    }

    /// Prints it. Returns the error of a pass that broke off, or of lines that were refused.
    pub(super) fn finish(mut self, ended: Result<(), CommandError>, json: bool) -> Result<(), CommandError> {
        let ended = ended.map_err(|error| self.broke_off(&error)).and_then(|()| self.complete());
        self.error = ended.as_ref().err().map(ToString::to_string);
        match self.targets.total {
            _ if json => say_json(&self),
            0 => {}
            _ if self.dry_run => self.say_counts(),
            // What failed before anything was published says so itself.
            _ if ended.is_err() && self.published + self.skipped == 0 => {}
            _ => self.say_published(),
        }
        ended
    }

    fn broke_off(&self, error: &CommandError) -> CommandError {
        CommandError::failed(format!("{error}; {}; once that is mended, {REMEDY}", self.so_far()))
    }

    fn complete(&self) -> Result<(), CommandError> {
        if self.interrupted {
            return Err(CommandError::failed(format!("interrupted; {}; {REMEDY}", self.so_far())));
        }
        let (bad, listed) = (self.refused_lines, self.refused.len() as u64);
        if bad == 0 {
            return Ok(());
        }
        let first =
            if bad > listed { format!(" (the first {} are listed)", apart(listed)) } else { String::new() };
        let others = match self.targets.total {
            0 => "nothing was published",
            _ if self.dry_run => "the others are valid",
            _ => "the others were published",
        };
        Err(CommandError::advised(
            format!("{} of {} refused{first}; {others}", apart(bad), count(self.lines, "line")),
            "mend the refused lines and give them alone to the same command",
        ))
    }

    fn so_far(&self) -> String {
        format!("{} of {} events are confirmed", apart(self.published + self.skipped), apart(self.events))
    }

    fn say_counts(&self) {
        let mut page = Page::new(Look::here());
        page.table(&COLUMNS, &self.targets.table);
        page.say();
        let again = if self.named_again > 0 {
            format!(", {} named again and sent once", apart(self.named_again))
        } else {
            String::new()
        };
        say(format_args!(
            "{} in {}{again}; nothing was published",
            count(self.targets.total, "target"),
            count(self.events, "event")
        ));
        self.no_call.iter().for_each(|no_call| say(no_call.sentence()));
        match self.approval_reasons.as_slice() {
            [] => say("by the settings here nobody has to approve it"),
            reasons => say(format_args!(
                "by the settings here a second person has to approve it: {}",
                reasons.join(", and ")
            )),
        }
    }

    fn say_published(&self) {
        let skipped = if self.skipped > 0 {
            format!("; {} of {} events were on record already", apart(self.skipped), apart(self.events))
        } else {
            String::new()
        };
        let next = match self.needs_approval {
            true => format!(
                "nothing is denied until a second person runs: {}",
                command("incident approve", &format!("--targets {}", self.targets.total), &self.incident)
            ),
            false => format!("see how it goes: {}", command("incident watch", "", &self.incident)),
        };
        let (events, targets) = (count(self.published, "event"), count(self.published_targets, "target"));
        say(format_args!("{events} with {targets} published{skipped}; {next}"));
    }
}
