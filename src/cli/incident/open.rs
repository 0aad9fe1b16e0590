//! `incident open`: orders a mass revocation. A first pass checks and counts everything, a second one
//! publishes it.

mod check;
mod chunks;
mod csv;
mod flags;
mod input;
mod kept;
mod order;
mod publish;
mod rows;
mod summary;
mod survey;
mod written;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::builder::NonEmptyStringValueParser as Word;
use tokio::task::block_in_place;

use self::check::Checker;
use self::chunks::Chunker;
use self::flags::Flags;
use self::input::Input;
use self::kept::Kept;
use self::order::Order;
use self::publish::{Plan, Published, Publishing, Stage};
use self::rows::{Format, Source};
use self::summary::Summary;
use self::survey::Survey;
use crate::broker::{Broker, EventPublisher};
use crate::cli::CommandError;
use crate::cli::interrupt::interruption;
use crate::cli::operator::Operator;
use crate::cli::output::{printable, remark};
use crate::cli::progress::Progress;
use crate::clock::{Clock, Reading};
use crate::config::{BrokerSettings, DatabaseSettings, Environment, InvalidationConfig};
use crate::store::{Store, StoreError};

const EXAMPLES: &str = r#"Examples:
  200,000 stolen tokens, one a line below the header "token"; look first, then do it:
    revocation-worker incident open leak-2026-11 --reason token_theft --dry-run tokens.csv
    revocation-worker incident open leak-2026-11 --reason token_theft tokens.csv
  One client, for everybody who uses it:
    revocation-worker incident open kill-shop --reason secret_leaked --client shop
  All that two users had before noon:
    revocation-worker incident open takeover-7 --reason account_takeover --sub u-1 --sub u-2 --not-before 2026-11-20T12:00:00Z

FILE:
  NDJSON  {"token": "eyJ…", "token_type_hint": "access_token"}     one token
          {"sid": "s-1"}   {"sub": "u-1", "iss": "https://id"}     a session; a user
          {"client_id": "shop"}   {"iss": "https://id"}            a client; an issuer: both log out everybody there
  CSV     the same names in its first line: token, token_type_hint, sub, sid, client_id, iss, provider; an empty cell is an absent member
  A line is as wide as the narrowest thing that it names: beside a token, sub and the others are context. `provider` may stand in every line.
  UTF-8, one target a line, lines end with LF or CRLF. What is not what it looks like is refused: blanks around a name, characters that do not show.
  A client or an issuer with an empty token, sid or sub beside it is refused: a hole in an export must not log out everybody.
  Bad lines are listed by number and do not stop the good ones; the exit code is then 1. A target that is named twice is sent once.

Safe to repeat:
  The same NAME with the same input makes the same events, and the worker drops those that it has: after an interruption (Ctrl-C) or a
  failure run the same command again, as the same user of the same machine. What it goes on by is kept for 90 days in
  $XDG_STATE_HOME/revocation-worker (~/.local/state/revocation-worker); without that, all is ordered once more. Cutoffs (everything but tokens) are published and confirmed before the first token.
  An incident that was cancelled takes nothing more: the command refuses, and so does the worker.
  The cutoff of an event that is on record stays as it was, unless --not-before gives another one.

Exit code: 0 all published; 1 lines were refused, or it broke off; 2 wrong usage or configuration, nothing was published."#;

/// Orders a mass revocation: all targets are denied everywhere within moments and then revoked at their
/// providers.
///
/// Targets come from FILE (NDJSON or CSV), from standard input, or from --sub, --sid, --client and --iss.
/// Every line is looked at before the first event is published; bad ones are then left out, and the good ones
/// published all the same (--dry-run first tells). Where the worker's settings ask for it, nothing is denied
/// until a second person approves the incident.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The incident's name: a new one, or one that is open, which then has more targets
    #[arg(value_parser = Word::new())]
    name: String,
    /// Targets, one a line [default without --sub, --sid, --client and --iss: standard input, also -]
    file: Option<PathBuf>,
    /// Why, as a short word for the record: token_theft, secret_leaked, account_takeover
    #[arg(long, value_name = "REASON", value_parser = Word::new())]
    reason: String,
    /// Provider of the targets that name none [default: by their issuer, else the worker's default_provider]
    #[arg(long, value_name = "NAME", value_parser = Word::new())]
    provider: Option<String>,
    /// Of everything but tokens, deny what was issued up to this time (RFC 3339, such as
    /// 2026-11-20T22:30:00Z) [default: now, by the database's clock]
    #[arg(long, value_name = "TIME", value_parser = Word::new())]
    not_before: Option<String>,
    /// How FILE is written [default: by its name (.csv, .ndjson, .jsonl, .json), else by its first character]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Check and count everything, publish nothing; reaches no broker
    #[arg(long)]
    dry_run: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let environment = Environment::of_process();
    let settings = BrokerSettings::load(path, &environment)?;
    let database = DatabaseSettings::load_if_set(path, &environment)?;
    let broker = Broker::new(&settings.amqp, &InvalidationConfig::default(), "incident")
        .map_err(CommandError::Usage)?;
    let order = Arc::new(args.order(String::new()));
    let checker = Checker::new(order.clone(), &settings, broker.user())?;
    let (source, mut survey) = block_in_place(|| args.survey(&order, checker, &settings))?;
    let approval = survey.approval(&settings.approval);
    let mut summary = Summary::of(&order.incident, args.dry_run, &mut survey, approval);
    if args.dry_run || survey.targets() == 0 {
        return summary.finish(Ok(()), args.json);
    }
    if is_cancelled(database.as_ref(), &order.incident).await {
        let name = &order.incident;
        let why = format!(
            "incident {name}: it was cancelled, which is final: nothing was published; order it under \
                another name"
        );
        return Err(CommandError::failed(printable(&why)));
    }
    let known = on_record(database.as_ref(), &order.incident, broker.user()).await;
    let clock = clock(database.as_ref(), args.not_before.is_none() && survey.has(Stage::Cutoffs)).await;
    let kept = Kept::of(&broker.address(), &order.incident);
    let (order, kept) = (Arc::new(args.order(kept.random.clone())), Mutex::new(kept));
    let plan = Plan {
        order,
        kept,
        clock,
        source,
        settings,
        user: broker.user().to_owned(),
        whole: survey.whole(),
        digest: survey.digest.take(),
    };
    let (published, ended) = publish(&broker, plan, survey, known, args.json).await;
    summary.add(&published);
    summary.finish(ended, args.json)
}

impl Args {
    fn order(&self, random: String) -> Order {
        Order {
            random,
            incident: self.name.clone(),
            reason: self.reason.clone(),
            actor: self.operator.name(),
            provider: self.provider.clone(),
            not_before: self.not_before.clone(),
        }
    }

    /// The first pass.
    fn survey(
        &self,
        order: &Arc<Order>,
        mut checker: Checker,
        settings: &BrokerSettings,
    ) -> Result<(Source, Survey), CommandError> {
        let source = self.source(settings.limits.max_message_bytes)?;
        let mut progress =
            Progress::new(source.input.as_ref().map(|(input, _)| input.size), "valid", self.json);
        let survey = Survey::of(&source, &mut checker, Chunker::new(order, &settings.limits), &mut progress);
        progress.end();
        let survey = survey?;
        if survey.targets() + survey.refused_lines == 0 {
            return Err(CommandError::Usage(match &source.input {
                Some((input, _)) if self.file.as_deref().is_some_and(|file| file != Path::new("-")) => {
                    format!(
                        "nothing to revoke: {} has no line with a target; is it the right file?",
                        input.name
                    )
                }
                _ => NOTHING.to_owned(),
            }));
        }
        Ok((source, survey))
    }

    fn source(&self, limit: usize) -> Result<Source, CommandError> {
        let flags = self.flags.targets(self.file.is_some())?;
        let file = self.file.as_deref().filter(|file| *file != Path::new("-"));
        let has_input = self.file.is_some() || !self.flags.is_given();
        if self.file.is_none() && has_input && std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            return Err(CommandError::Usage(NOTHING.to_owned()));
        }
        let input = if has_input { Some(Input::open(file)?) } else { None };
        let formatted = |input| Format::of(self.format, &input, limit).map(|format| (input, format));
        Ok(Source { flags, input: input.map(formatted).transpose()?, limit })
    }
}

const NOTHING: &str = "nothing to revoke: name a FILE, - for standard input, or --sub, --sid, --client or \
    --iss; see `incident open --help`";

/// Whether the incident is on record as cancelled. Where the database is away, the worker finds it out, and
/// refuses the events.
async fn is_cancelled(settings: Option<&DatabaseSettings>, incident: &str) -> bool {
    let state = async {
        let store = Store::new(&settings?.database).ok()?;
        let state = store.incident_state(incident).await.ok()?;
        store.close().await;
        state
    };
    state.await.as_deref() == Some("cancelled")
}

/// The ids of this incident's events that a worker has recorded and this user has published: somebody else's
/// may say anything. Without a database, or where it is away, every event is published: one that arrives
/// twice changes nothing.
async fn on_record(settings: Option<&DatabaseSettings>, incident: &str, user: &str) -> HashSet<String> {
    let Some(settings) = settings else { return HashSet::new() };
    match known_ids(settings, incident, user).await {
        Ok(known) => known,
        Err(error) => {
            remark(format_args!(
                "cannot tell what is on record already and publishes everything, which does no harm: {error}"
            ));
            HashSet::new()
        }
    }
}

async fn known_ids(
    settings: &DatabaseSettings,
    incident: &str,
    user: &str,
) -> Result<HashSet<String>, StoreError> {
    let store = Store::new(&settings.database)?;
    store.ping().await?;
    let known = store.event_ids(order::SOURCE, incident, user).await;
    store.close().await;
    known
}

/// The database's clock, where there are cutoffs to tell by it; this machine's own, which may be off, where
/// that cannot be asked.
async fn clock(settings: Option<&DatabaseSettings>, has_cutoffs: bool) -> Clock {
    let clock = Clock::default();
    if !has_cutoffs {
        return clock;
    }
    let told = match settings {
        Some(settings) => database_time(settings).await.map_err(|error| error.to_string()),
        None => Err("no database is configured (DATABASE_URL)".to_owned()),
    };
    match told {
        // How far this machine is off, nobody here asks.
        Ok(reading) => {
            clock.learn(reading);
        }
        Err(why) => remark(format_args!(
            "cutoffs are by this machine's clock, which lets live what was issued since if it is behind: \
                {why}"
        )),
    }
    clock
}

async fn database_time(settings: &DatabaseSettings) -> Result<Reading, StoreError> {
    let store = Store::new(&settings.database)?;
    store.ping().await?;
    let time = store.time().await;
    store.close().await;
    time
}

/// The second pass.
async fn publish(
    broker: &Broker,
    plan: Plan,
    survey: Survey,
    known: HashSet<String>,
    json: bool,
) -> (Published, Result<(), CommandError>) {
    let stages: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| survey.has(*stage)).collect();
    let (stop, publisher) = match (interruption(), EventPublisher::open(broker).await) {
        (Ok(stop), Ok(publisher)) => (stop, publisher),
        (Err(error), _) => return (Published::default(), Err(error)),
        (_, Err(error)) => return (Published::default(), Err(CommandError::failed(error))),
    };
    let progress = Progress::new(Some(survey.targets()), "published", json);
    let (plan, published) = (Arc::new(plan), Published::default());
    let mut publishing = Publishing { plan, publisher: &publisher, known, progress, stop, published };
    let ended = publishing.run(&stages, survey.seen).await;
    let Publishing { progress, published, .. } = publishing;
    progress.end();
    publisher.close().await;
    (published, ended)
}
