//! `audit`: rows of the record that fit some filters, the newest first.

mod columns;
mod csv;
mod token;
mod verify;

use std::path::Path;

use clap::builder::NonEmptyStringValueParser as Word;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::columns::{ATTEMPTS, PARKED, REVOCATIONS};
use super::CommandError;
use super::operator::open_store;
use super::output::{remark, say, say_json_line, say_raw};
use super::page::{Page, View};
use super::table::Look;
use crate::config::{DatabaseSettings, Environment};
use crate::store::{AuditRow, Place, Question, audit};
use crate::trace::Trace;

const HELP: &str = include_str!("audit/help.txt");

/// Searches the record: targets with what became of them, or every call to a provider.
///
/// All filters that are given must fit. The newest rows come first.
#[derive(clap::Args)]
#[command(after_long_help = HELP, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The calls to providers, instead of the targets: audit.attempts instead of audit.revocations
    #[arg(long)]
    attempts: bool,
    #[command(flatten)]
    filters: Filters,
    /// Received at this time or later, or of calls started then: 2h (ago), 7d, or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// So many rows at most
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// The rows after a place, which the page before tells
    #[arg(long, value_name = "PLACE", value_parser = place)]
    after: Option<Place>,
    /// Print a JSON object a row
    #[arg(long, group = "form")]
    json: bool,
    /// Print CSV (RFC 4180), in which no cell is a formula
    #[arg(long, group = "form")]
    csv: bool,
    /// Print the question in SQL instead of asking it
    #[arg(long, group = "form")]
    sql: bool,
    #[command(flatten)]
    view: View,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say whether the record is what its checkpoints say: nothing changed, removed, added or cut off
    Verify(verify::Args),
}

#[derive(clap::Args)]
struct Filters {
    /// Of the token that this file holds, - for standard input: only its digest is looked for
    #[arg(long, value_name = "FILE", conflicts_with = "token_sha256")]
    token: Option<String>,
    /// Of the token with this SHA-256
    #[arg(long, value_name = "HEX", value_parser = digest)]
    token_sha256: Option<String>,
    /// Of this user
    #[arg(long, value_parser = Word::new())]
    sub: Option<String>,
    /// Of this session
    #[arg(long, value_parser = Word::new())]
    sid: Option<String>,
    /// Of this client
    #[arg(long, value_parser = Word::new())]
    client: Option<String>,
    /// Of this issuer
    #[arg(long, value_parser = Word::new())]
    iss: Option<String>,
    /// Of events of this source
    #[arg(long, value_name = "SOURCE", value_parser = Word::new(), requires = "event_id")]
    event_source: Option<String>,
    /// Of the event with this id
    #[arg(long, value_name = "ID", value_parser = Word::new(), requires = "event_source")]
    event_id: Option<String>,
    /// Of events of the trace with this id; a whole traceparent, too
    #[arg(long, value_name = "HEX", value_parser = trace_id)]
    trace: Option<String>,
    /// Of this incident
    #[arg(long, value_name = "NAME", value_parser = Word::new())]
    incident: Option<String>,
    /// At this provider
    #[arg(long, value_name = "NAME", value_parser = Word::new())]
    provider: Option<String>,
    /// In one of these states, with commas between
    #[arg(long, value_delimiter = ',', value_parser = STATES)]
    state: Vec<String>,
}

const STATES: [&str; 6] = ["pending", "parked", "revoked", "unsupported", "expired", "cancelled"];

/// A time, or how long ago.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    At(OffsetDateTime),
    Ago(std::time::Duration),
}

impl Moment {
    pub(super) fn before(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now - ago,
        }
    }
}

pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let at = OffsetDateTime::parse(text, &Rfc3339).map(Moment::At);
    let longest = std::time::Duration::from_secs(100 * 365 * 86_400);
    let ago = humantime::parse_duration(text).ok().filter(|ago| *ago <= longest).map(Moment::Ago);
    at.ok().or(ago).ok_or_else(|| "neither a duration such as 2h or 7d nor RFC 3339".to_owned())
}

fn digest(text: &str) -> Result<String, String> {
    let is_digest = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_digest { Ok(text.to_ascii_lowercase()) } else { Err("not 64 hexadecimal digits".to_owned()) }
}

fn trace_id(text: &str) -> Result<String, String> {
    let of_parent = Trace::parse(text).map(Trace::shown_id);
    let is_id = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    of_parent
        .or_else(|| is_id.then(|| text.to_ascii_lowercase()))
        .ok_or_else(|| "neither 32 hexadecimal digits nor a traceparent".to_owned())
}

/// `TIME/REVOCATION_ID`, of an attempt with its number after another slash.
fn place(text: &str) -> Result<Place, &'static str> {
    const WRONG: &str = "not a place that a page before told";
    let mut parts = text.split('/');
    let at = parts.next().and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok()).ok_or(WRONG)?;
    let id = parts.next().filter(|id| crate::target::TargetId::parse(id).is_some()).ok_or(WRONG)?;
    let attempt = parts.next().map(|number| number.parse().map_err(|_| WRONG)).transpose()?;
    if parts.next().is_some() { Err(WRONG) } else { Ok(Place { at, id: id.to_owned(), attempt }) }
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    if let Some(Command::Verify(args)) = &args.command {
        return verify::run(path, args).await;
    }
    let token = args.filters.token.as_deref().map(token::digests).transpose()?;
    if args.sql {
        say(format_args!("{};", args.question(token, OffsetDateTime::now_utc()).sql()));
        return Ok(());
    }
    let store = open_store(&DatabaseSettings::load(path, &Environment::of_process())?.database).await?;
    let look = args.view.look(&store).await?;
    let mut question = args.question(token, look.now);
    // One more, to see whether there is more.
    question.limit += 1;
    let found = store.audit(&question, look.now).await;
    store.close().await;
    let mut rows = found?;
    let has_more = rows.len() >= question.limit;
    rows.truncate(question.limit - 1);
    args.print(&rows, look);
    if let Some(last) = rows.last().filter(|_| has_more) {
        remark(format_args!("there are more: the same command with --after {}", told(last, args.attempts)));
    }
    Ok(())
}

impl Args {
    fn question(&self, token: Option<[String; 2]>, now: OffsetDateTime) -> Question {
        let given = &self.filters;
        let columns = [
            ("sub", &given.sub),
            ("sid", &given.sid),
            ("client_id", &given.client),
            ("iss", &given.iss),
            ("event_source", &given.event_source),
            ("event_id", &given.event_id),
            ("trace_id", &given.trace),
            ("incident", &given.incident),
            ("provider", &given.provider),
        ];
        let columns = columns.into_iter().filter_map(|(column, value)| Some((column, value.clone()?)));
        Question {
            attempts: self.attempts,
            token: token.or_else(|| given.token_sha256.clone().map(|digest| [digest.clone(), digest])),
            columns: columns.collect(),
            sources: Vec::new(),
            states: given.state.clone(),
            since: self.since.map(|since| since.before(now)),
            until: self.until.map(|until| until.before(now)),
            after: self.after.clone(),
            limit: self.limit as usize,
            within: None,
        }
    }

    fn print(&self, rows: &[AuditRow], look: Look) {
        if self.json {
            rows.iter().for_each(say_json_line);
        } else if self.csv {
            let columns = if self.attempts { &audit::ATTEMPTS[..] } else { &audit::REVOCATIONS[..] };
            say_raw(csv::written(columns, rows).as_bytes());
        } else if rows.is_empty() {
            say("nothing on record fits; what was published a moment ago may still be in the broker");
        } else {
            let mut page = Page::new(look);
            let columns = match &self.filters.state[..] {
                _ if self.attempts => &ATTEMPTS[..],
                [only] if only == "parked" && !look.wide => &PARKED,
                _ => &REVOCATIONS,
            };
            page.table(columns, rows);
            page.say();
        }
    }
}

/// A row's place, for `--after`.
fn told(row: &AuditRow, is_attempt: bool) -> String {
    let part = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    match is_attempt {
        false => format!("{}/{}", part("received_at"), part("revocation_id")),
        true => {
            let attempt = row.get("attempt").and_then(Value::as_i64).unwrap_or_default();
            format!("{}/{}/{attempt}", part("started_at"), part("revocation_id"))
        }
    }
}

#[cfg(test)]
mod tests;
