//! `dead`: the messages that were refused, or that the broker gave up.

mod list;
mod settle;
mod show;

use std::path::Path;

use super::CommandError;
use super::operator::Operator;
use crate::broker::{Broker, DeadMessage, DeadQueue};
use crate::config::{BrokerSettings, Environment, InvalidationConfig};
use crate::event::RefusalCode;

/// What to do with them. A place counts from 1, the oldest message first; it changes when an earlier message
/// is removed. An id stays a message's own.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List them, without their bodies
    List(list::Args),
    /// Show one message's properties, and its body where asked for
    Show(show::Args),
    /// Publish messages to auth.events again, as the user of amqp.url, and remove them here
    Requeue(settle::Requeue),
    /// Remove messages for good
    Discard(settle::Discard),
}

/// The messages that a command is for.
#[derive(clap::Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["places", "all"])))]
struct Selection {
    /// Ids or places, as `dead list` shows them; while others work on the list, a place may be another
    /// message's
    #[arg(value_name = "ID", value_parser = which)]
    places: Vec<Which>,
    /// All that are there now
    #[arg(long)]
    all: bool,
    /// Of all, only those with this code
    #[arg(long, requires = "all", value_name = "CODE", value_parser = code)]
    code: Option<String>,
}

/// How a message is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    Place(usize),
    Id(String),
}

impl Which {
    fn is(&self, message: &DeadMessage) -> bool {
        match self {
            Self::Place(place) => message.place == *place,
            Self::Id(id) => message.id() == *id,
        }
    }

    /// What is said where no message has it.
    fn absent(&self, waiting: usize) -> CommandError {
        let is_not = match self {
            Self::Place(place) => format!("has no place {place}"),
            Self::Id(id) => format!("has no message {id}, which may have been requeued or discarded"),
        };
        CommandError::failed(format!(
            "revocation.dead {is_not}: {waiting} waiting there; `dead list` shows them"
        ))
    }
}

fn which(text: &str) -> Result<Which, &'static str> {
    let place = text.parse::<u32>().ok().filter(|place| *place > 0).map(|place| Which::Place(place as usize));
    let is_id =
        || text.len() == 11 && text.starts_with('m') && text[1..].bytes().all(|b| b.is_ascii_hexdigit());
    place
        .or_else(|| is_id().then(|| Which::Id(text.to_owned())))
        .ok_or("neither a place from 1 nor an id as `dead list` shows it: m and 10 hexadecimal digits")
}

/// Why the broker itself moves a message to `revocation.dead`, and what has no reason.
const OTHER_CODES: [&str; 5] = ["delivery_limit", "expired", "maxlen", "rejected", "unknown"];

/// A code that a message can have: under any other name, an order would do nothing and say so to nobody.
fn code(text: &str) -> Result<String, String> {
    let known = RefusalCode::ALL.map(RefusalCode::as_str).into_iter().chain(OTHER_CODES).collect::<Vec<_>>();
    if known.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("no message has it; known are {}", known.join(", ")))
    }
}

/// Options of the commands that change the queue.
#[derive(clap::Args)]
struct Settlement {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    operator: Operator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(path: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    match command {
        Command::List(args) => list::run(open(path).await?, args).await,
        Command::Show(args) => show::run(open(path).await?, args).await,
        Command::Requeue(args) => settle::requeue(path, args).await,
        Command::Discard(args) => settle::discard(path, args).await,
    }
}

async fn open(path: Option<&Path>) -> Result<DeadQueue, CommandError> {
    let settings = BrokerSettings::load(path, &Environment::of_process())?;
    let broker =
        Broker::new(&settings.amqp, &InvalidationConfig::default(), "dead").map_err(CommandError::Usage)?;
    DeadQueue::open(&broker).await.map_err(CommandError::from)
}
