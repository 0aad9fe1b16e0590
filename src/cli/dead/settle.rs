//! `dead requeue` and `dead discard`: orders that change the queue, and are recorded where there is a
//! database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::{Selection, Settlement, Which, open};
use crate::broker::{DeadMessage, DeadQueue};
use crate::cli::CommandError;
use crate::cli::operator::open_store;
use crate::cli::output::{count, remark, say, say_json};
use crate::config::{DatabaseSettings, Environment};
use crate::store::Store;

/// Options of `dead requeue`.
#[derive(clap::Args)]
pub(in crate::cli) struct Requeue {
    #[command(flatten)]
    settlement: Settlement,
}

/// Options of `dead discard`.
#[derive(clap::Args)]
pub(in crate::cli) struct Discard {
    #[command(flatten)]
    settlement: Settlement,
    /// Yes, for good: neither the messages nor the logouts in them come back
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy)]
enum Action {
    Requeue,
    Discard,
}

impl Action {
    /// Its name in `audit.operations`.
    fn name(self) -> &'static str {
        match self {
            Self::Requeue => "dead requeue",
            Self::Discard => "dead discard",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Requeue => "requeued",
            Self::Discard => "discarded",
        }
    }

    async fn apply(self, queue: &mut DeadQueue, message: &DeadMessage) -> Result<(), CommandError> {
        match self {
            Self::Requeue => queue.requeue(message).await.map_err(CommandError::from),
            Self::Discard => queue.discard(message).await.map_err(CommandError::from),
        }
    }
}

/// A message that is no longer in the queue.
#[derive(Serialize)]
struct Settled {
    place: usize,
    id: String,
    code: String,
    message_id: Option<String>,
}

impl Settled {
    fn of(message: DeadMessage) -> Self {
        let id = message.id();
        Self { place: message.place, id, code: message.code, message_id: message.message_id }
    }
}

pub(super) async fn requeue(path: Option<&Path>, args: &Requeue) -> Result<(), CommandError> {
    run(path, Action::Requeue, &args.settlement).await
}

pub(super) async fn discard(path: Option<&Path>, args: &Discard) -> Result<(), CommandError> {
    if !args.yes {
        let why = "`dead discard` removes messages for good; look at them with `dead list` and repeat the \
            command with --yes";
        return Err(CommandError::Usage(why.to_owned()));
    }
    run(path, Action::Discard, &args.settlement).await
}

/// The database comes first: where one is configured, nothing is done that could not be recorded.
async fn run(path: Option<&Path>, action: Action, settlement: &Settlement) -> Result<(), CommandError> {
    let store = match DatabaseSettings::load_if_set(path, &Environment::of_process())? {
        Some(settings) => Some(open_store(&settings.database).await?),
        None => None,
    };
    let mut queue = open(path).await?;
    let (settled, ended) = settle(&mut queue, action, &settlement.selection).await;
    let closed = queue.close().await.map_err(CommandError::from);
    let recorded = record(store, action, settlement, &settled).await;
    tell(action, settlement.json, &settled, recorded.as_ref().is_ok_and(|recorded| *recorded));
    ended.and(closed)?;
    recorded.map(drop)
}

/// Ends at the first failure; what was done until then is done.
async fn settle(
    queue: &mut DeadQueue,
    action: Action,
    selection: &Selection,
) -> (Vec<Settled>, Result<(), CommandError>) {
    let mut settled = Vec::new();
    let work = async {
        let (mut named, waiting) = (BTreeSet::from_iter(&selection.places), queue.waiting().await?);
        let beyond = named.iter().find(|which| matches!(which, Which::Place(place) if *place > waiting));
        if let Some(beyond) = beyond {
            return Err(beyond.absent(waiting));
        }
        let mut found = Vec::new();
        // Only what is there now: a message that is refused again comes back at the end of the queue.
        for _ in 0..waiting {
            if !selection.all && named.is_empty() {
                break;
            }
            let Some(message) = queue.take().await? else { break };
            let before = named.len();
            named.retain(|which| !which.is(&message));
            if selection.all && selection.has_code(&message) {
                action.apply(queue, &message).await?;
                settled.push(Settled::of(message));
            } else if named.len() < before {
                found.push(message);
            }
        }
        if let Some(absent) = named.first() {
            return Err(absent.absent(waiting));
        }
        for message in found {
            action.apply(queue, &message).await?;
            settled.push(Settled::of(message));
        }
        Ok(())
    };
    let ended = work.await;
    (settled, ended)
}

impl Selection {
    fn has_code(&self, message: &DeadMessage) -> bool {
        self.code.as_ref().is_none_or(|code| *code == message.code)
    }
}

/// Whether it was written to `audit.operations`; nothing is written where nothing was done.
async fn record(
    store: Option<Store>,
    action: Action,
    settlement: &Settlement,
    settled: &[Settled],
) -> Result<bool, CommandError> {
    let Some(store) = store else {
        remark("no database is configured: this was not recorded in audit.operations");
        return Ok(false);
    };
    let mut codes = BTreeMap::new();
    for message in settled {
        *codes.entry(message.code.as_str()).or_insert(0_u64) += 1;
    }
    let Selection { places, code, .. } = &settlement.selection;
    let (mut ids, mut numbers) = (Vec::new(), Vec::new());
    for which in places {
        match which {
            Which::Place(place) => numbers.push(place),
            Which::Id(id) => ids.push(id),
        }
    }
    let mut detail = json!({ "places": numbers, "code": code, "messages": settled.len(), "codes": codes });
    if !ids.is_empty() {
        detail["ids"] = json!(ids);
    }
    let noted = if settled.is_empty() {
        Ok(())
    } else {
        store.note_operation(&settlement.operator.name(), action.name(), &detail).await
    };
    store.close().await;
    match noted {
        Ok(()) => Ok(!settled.is_empty()),
        Err(error) => Err(CommandError::failed(format!(
            "{} {}, but {error}",
            count(settled.len(), "message"),
            action.done()
        ))),
    }
}

fn tell(action: Action, json: bool, settled: &[Settled], recorded: bool) {
    if json {
        say_json(&json!({ "action": action.name(), "messages": settled, "recorded": recorded }));
    } else {
        say(format_args!("{} {}", count(settled.len(), "message"), action.done()));
    }
}
