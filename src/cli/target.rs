//! `target`: one target at a time, by its `revocation_id`.

mod show;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::interval;

use super::CommandError;
use super::operator::{Operator, open_store, reason};
use super::output::{count, or_dash, printable, remark, say, say_json};
use super::retry::target_id;
use crate::attention::mint;
use crate::config::{DatabaseSettings, Environment};
use crate::store::{CancelledTarget, GivenUp, Store, StoreError};
use crate::target::TargetId;

/// How often to ask whether a worker has settled what it holds.
const POLL: Duration = Duration::from_millis(100);
/// How long to wait for that: a provider call ends within its timeout, by default 10 s.
const LONGEST_WAIT: Duration = Duration::from_secs(12);

/// What to do.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show one target's story: how it stands, what to do about it, and every call for it
    Show(show::Args),
    /// Give up targets that will never be revoked; what is denied stays denied until it expires
    Cancel(Cancel),
}

/// Options of `target cancel`.
#[derive(clap::Args)]
pub(super) struct Cancel {
    /// The targets: revocation_id of audit.revocations
    #[arg(required = true, value_name = "REVOCATION_ID", value_parser = target_id)]
    ids: Vec<TargetId>,
    /// Why, for the record
    #[arg(long, value_parser = reason)]
    reason: String,
    #[command(flatten)]
    operator: Operator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A target that was not given up, and why.
struct Refusal {
    id: TargetId,
    why: String,
}

pub(super) async fn run(path: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    let store = open_store(&DatabaseSettings::load(path, &Environment::of_process())?.database).await?;
    match command {
        Command::Show(args) => {
            let shown = show::run(&store, args).await;
            store.close().await;
            shown
        }
        Command::Cancel(args) => cancel_all(store, args).await,
    }
}

async fn cancel_all(store: Store, args: &Cancel) -> Result<(), CommandError> {
    let (mut cancelled, mut mints, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for id in &args.ids {
        match cancel(&store, args, *id).await {
            Ok(given_up) => {
                // Where that cannot be told, it is not said to be safe.
                mints.push(store.may_mint(*id).await.unwrap_or(true));
                cancelled.push(given_up);
            }
            Err(why) => refused.push(Refusal { id: *id, why }),
        }
    }
    store.close().await;
    if args.json {
        let refused: Vec<_> = refused
            .iter()
            .map(|refusal| json!({ "revocation_id": refusal.id.to_string(), "why": refusal.why }))
            .collect();
        say_json(&json!({ "cancelled": cancelled, "refused": refused }));
    } else {
        say_cancelled(&cancelled, &mints);
    }
    conclude(&refused)
}

/// Gives one target up. One that a worker holds is given time to be settled; then it is taken from the
/// worker.
async fn cancel(store: &Store, args: &Cancel, id: TargetId) -> Result<CancelledTarget, String> {
    let (began, mut ticker) = (Instant::now(), interval(POLL));
    loop {
        ticker.tick().await;
        let is_late = began.elapsed() > LONGEST_WAIT;
        let given_up = store.give_up(&args.operator.name(), id, &args.reason, is_late).await;
        match given_up.map_err(|error: StoreError| error.to_string())? {
            GivenUp::Done(given_up) => return Ok(given_up),
            GivenUp::Leased => {}
            GivenUp::Final(state) => {
                return Err(format!("it is {state}, which is final; nothing is left to give up"));
            }
            GivenUp::Unknown => {
                return Err("audit.revocations has no such revocation_id".to_owned());
            }
        }
    }
}

fn say_cancelled(cancelled: &[CancelledTarget], mints: &[bool]) {
    for (target, mints) in cancelled.iter().zip(mints) {
        let denial = match target.withheld {
            true => "once its incident is approved, verifiers deny it all the same",
            false => "verifiers deny it all the same",
        };
        let (id, provider, until) = (&target.revocation_id, &target.provider, or_dash(&target.denied_until));
        say(printable(&format!(
            "{id}: cancelled; provider {provider} is not asked again, {denial}, until {until}"
        )));
        if *mints {
            say(format_args!("{id}: {}", mint::ONE));
        }
    }
}

/// The first refusal is the command's last word, those before it are remarks.
fn conclude(refused: &[Refusal]) -> Result<(), CommandError> {
    let sentence = |refusal: &Refusal| format!("cancel {}: {}", refusal.id, refusal.why);
    match refused {
        [] => Ok(()),
        [only] => Err(CommandError::Failed(sentence(only))),
        several => {
            several.iter().for_each(|refusal| remark(printable(&sentence(refusal))));
            Err(CommandError::Failed(format!("{} not cancelled", count(several.len() as u64, "target"))))
        }
    }
}
