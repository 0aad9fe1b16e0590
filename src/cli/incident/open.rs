//! `incident open`: orders a mass revocation. A first pass checks and counts everything, a second one
//! publishes it; a dry run ends between the two.

mod flags;
mod no_call;
mod summary;

use std::collections::HashSet;
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser as Word;
use tokio::task::block_in_place;

use self::flags::Flags;
use self::summary::Summary;
use crate::broker::{Broker, EventPublisher};
use crate::cli::CommandError;
use crate::cli::interrupt::interruption;
use crate::cli::operator::{Operator, reason};
use crate::cli::output::{printable, remark};
use crate::cli::progress::Progress;
use crate::cli::record::Record;
use crate::config::{BrokerSettings, DatabaseSettings, Environment, InvalidationConfig, LimitsConfig};
use crate::order::event::Order;
use crate::order::first_pass::FirstPass;
use crate::order::input::Input;
use crate::order::resume::Resume;
use crate::order::rows::{Format, Source};
use crate::order::rules::LocalRules;
use crate::order::second_pass::{Published, SecondPass};

const HELP: &str = include_str!("open/help.txt");

/// Orders a mass revocation: all targets are denied everywhere within moments and then revoked at their
/// providers.
///
/// Targets come from FILE (NDJSON or CSV), from standard input, or from --sub, --sid, --client and --iss.
/// Every line is looked at before the first event is published; bad ones are then left out, and the good ones
/// published all the same (--dry-run first tells). Where the worker's settings ask for it, nothing is denied
/// until a second person approves the incident.
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(in crate::cli) struct Args {
    /// The incident's name: a new one, or one that is open, which then has more targets
    #[arg(value_parser = Word::new())]
    name: String,
    /// Targets, one a line [default without --sub, --sid, --client and --iss: standard input, also -]
    file: Option<PathBuf>,
    /// Why, as a short word for the record: token_theft, secret_leaked, account_takeover
    #[arg(long, value_name = "REASON", value_parser = reason)]
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
    let (mut order, mut rules) = (args.order(), LocalRules::new(&settings, broker.user()));
    order.check_words(&mut rules)?;
    let (source, mut found) = block_in_place(|| args.first_pass(&order, &mut rules, &settings.limits))?;
    let approval = found.approval(&settings.approval);
    let no_call = if args.dry_run { no_call::of(path, &environment, &found) } else { Vec::new() };
    let mut summary = Summary::of(&order.incident, args.dry_run, &mut found, approval);
    summary.no_call = no_call;
    if args.dry_run || found.targets() == 0 {
        return summary.finish(Ok(()), args.json);
    }
    let record = Record::reach(database.as_ref()).await;
    if record.is_cancelled(&order.incident).await {
        return Err(CommandError::failed(printable(&format!(
            "incident {}: it was cancelled, which is final: nothing was published; order it under another \
                name",
            order.incident
        ))));
    }
    let known = record.event_ids(&order.incident, broker.user()).await;
    let clock = record.clock(order.not_before.is_none() && found.has_cutoffs()).await;
    record.close().await;
    let resume = Resume::of(&broker.address(), &order.incident).unwrap_or_else(|why| {
        remark(why);
        Resume::nothing()
    });
    order.random.clone_from(&resume.random);
    let pass = SecondPass { order, source, rules, limits: settings.limits, clock, resume, found };
    let (published, ended) = publish(&broker, pass, &known, args.json).await;
    summary.add(&published);
    summary.finish(ended, args.json)
}

impl Args {
    fn order(&self) -> Order {
        Order {
            random: String::new(),
            incident: self.name.clone(),
            reason: self.reason.clone(),
            actor: self.operator.name(),
            provider: self.provider.clone(),
            not_before: self.not_before.clone(),
        }
    }

    fn first_pass(
        &self,
        order: &Order,
        rules: &mut LocalRules,
        limits: &LimitsConfig,
    ) -> Result<(Source, FirstPass), CommandError> {
        let source = self.source(limits.max_message_bytes)?;
        let size = source.input.as_ref().map(|(input, _)| input.size);
        let mut progress = Progress::new(size, "valid", self.json);
        let found = FirstPass::of(&source, order, rules, limits, &mut progress);
        progress.end();
        let found = found?;
        if found.targets() + found.refused_lines > 0 {
            return Ok((source, found));
        }
        Err(CommandError::Usage(match &source.input {
            Some((Input { name, .. }, _)) if self.path().is_some() => {
                format!("nothing to revoke: {name} has no line with a target; is it the right file?")
            }
            _ => NOTHING.to_owned(),
        }))
    }

    /// The file; none for standard input.
    fn path(&self) -> Option<&Path> {
        self.file.as_deref().filter(|file| *file != Path::new("-"))
    }

    fn source(&self, limit: usize) -> Result<Source, CommandError> {
        let flags = self.flags.targets(self.file.is_some())?;
        if self.file.is_none() && self.flags.is_given() {
            return Ok(Source { flags, input: None, limit });
        }
        if self.path().is_none() && stdin().is_terminal() {
            if self.file.is_none() {
                return Err(CommandError::Usage(NOTHING.to_owned()));
            }
            remark("reading targets from the terminal, one a line; Ctrl-D ends");
        }
        let input = Input::open(self.path())?;
        let format = Format::of(self.format, &input, limit)?;
        Ok(Source { flags, input: Some((input, format)), limit })
    }
}

const NOTHING: &str = "nothing to revoke: name a FILE, - for standard input, or --sub, --sid, --client or \
    --iss; see `incident open --help`";

/// The second pass.
async fn publish(
    broker: &Broker,
    pass: SecondPass,
    known: &HashSet<String>,
    json: bool,
) -> (Published, Result<(), CommandError>) {
    let (stop, publisher) = match (interruption(), EventPublisher::open(broker).await) {
        (Ok(stop), Ok(publisher)) => (stop, publisher),
        (Err(error), _) => return (Published::default(), Err(error)),
        (_, Err(error)) => return (Published::default(), Err(CommandError::failed(error))),
    };
    let mut progress = Progress::new(Some(pass.found.targets()), "published", json);
    let (published, ended) = pass.publish(&publisher, known, &stop, &mut progress).await;
    progress.end();
    publisher.close().await;
    published.not_kept.iter().for_each(remark);
    (published, ended.map_err(CommandError::from))
}
