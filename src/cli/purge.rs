//! `purge`: removes what is too old from the record. What went stays counted, digested and signed in
//! `audit.purges`.

use std::path::Path;
use std::time::Duration;

use revocation_evidence::SigningKey;
use serde::Serialize;
use serde_json::json;
use time::{Date, OffsetDateTime};
use tokio_util::sync::CancellationToken;

use super::CommandError;
use super::interrupt::interruption;
use super::operator::{Operator, open_store};
use super::output::{count, remark, say, say_json};
use crate::checkpoint::Chain;
use crate::config::{Environment, PurgeSettings};
use crate::store::{PurgeSession, Purgeable, Store};

const HELP: &str = include_str!("purge/help.txt");

/// Removes what is too old from the record, whole months of UTC at a time.
///
/// Nothing goes unless this is run. An event goes with its targets and attempts, once all of them have ended
/// before the first month that stays; an open target keeps its event, however old it is.
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// What is older than this, such as 400d; not less than invalidation.stream_max_age
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    older_than: Duration,
    /// Purge even where rows that may go are not what was checkpointed; what is left says so for ever
    #[arg(long)]
    even_if_changed: bool,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    operator: Operator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What became of one month.
#[derive(Serialize)]
struct Month {
    month: String,
    /// How many rows went, or would go, by table.
    rows: std::collections::BTreeMap<String, u64>,
    kept_events: u64,
    open_targets: Vec<String>,
    /// Its number in `audit.purges`.
    purge: Option<i64>,
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let settings = PurgeSettings::load(path, &Environment::of_process())?;
    check_age(args.older_than, settings.stream_max_age)?;
    let store = open_store(&settings.database).await?;
    let interrupted = interruption()?;
    let session = store.purge_session(args.older_than).await?;
    let mut session = session.ok_or_else(|| {
        CommandError::advised("purge the record: another purge is running", "wait until it has ended")
    })?;
    let reach = if args.dry_run { None } else { session.reach().await? };
    let was_intact = match reach {
        Some((last, false)) => is_intact(&store, last, args.even_if_changed).await?,
        _ => false,
    };
    let mut months = Vec::new();
    for month in session.months().await? {
        let found = session.purgeable(month).await?;
        let number = match found.rows.values().any(|rows| *rows > 0) || found.under_way {
            true if !args.dry_run => {
                Some(purge(&mut session, month, &settings.signing_key, args, &interrupted).await?)
            }
            true => None,
            false if found.kept == 0 => continue,
            false => None,
        };
        let month = Month::of(month, found, number);
        if !args.json {
            month.say(args.dry_run);
        }
        months.push(month);
    }
    let has_purged = months.iter().any(|month: &Month| month.purge.is_some());
    if let Some((last, is_begun)) = reach
        && (has_purged || is_begun)
    {
        session.leave_base(last, was_intact, &settings.signing_key, &args.operator.name()).await?;
    }
    let ends_before = session.ends_before;
    drop(session);
    store.close().await;
    say_end(&months, ends_before, args);
    Ok(())
}

/// What verifiers may still read in the stream has its record, too.
fn check_age(older_than: Duration, least: Duration) -> Result<(), CommandError> {
    let days = |age: Duration| humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    if older_than >= least {
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "--older-than {}: not less than invalidation.stream_max_age, {}: for so long denials may count, and \
            verifiers read them",
        days(older_than),
        days(least)
    )))
}

/// Whether the record is what its checkpoints say, up to this number: what a purge leaves is signed anew, and
/// must not hide what was done before.
async fn is_intact(store: &Store, last: i64, even_if_changed: bool) -> Result<bool, CommandError> {
    let mut verification = store.verification(|within| Chain::new(None, within), None).await?;
    while let Some(page) = verification.page().await? {
        if let Some(finding) = page.findings.iter().find(|finding| finding.checkpoint <= last) {
            if even_if_changed {
                return Ok(false);
            }
            return Err(CommandError::advised(
                format!(
                    "purge the record: it was changed: checkpoint {}: {}",
                    finding.checkpoint, finding.text
                ),
                "`revocation-worker audit verify` says all; --even-if-changed purges all the same, and what \
                    is left says for ever that it was changed",
            ));
        }
        if page.documents.last().is_some_and(|(document, _)| document.checkpoint >= last) {
            break;
        }
    }
    Ok(true)
}

/// All of a month, signed at the end. Returns its number.
async fn purge(
    session: &mut PurgeSession,
    month: Date,
    key: &SigningKey,
    args: &Args,
    interrupted: &CancellationToken,
) -> Result<i64, CommandError> {
    let note = args.operator.name();
    let mut purge = session.begin(month, &note).await?;
    while purge.batch().await? {
        if interrupted.is_cancelled() {
            return Err(CommandError::advised(
                format!("purge {}: interrupted; what went is counted, and not signed yet", name(month)),
                "the same command goes on where this one was",
            ));
        }
    }
    let (number, checkpoint, signer) = (purge.number, purge.checkpoint().await?, key.signer());
    let (public_key, signature) = (signer.public_key.to_string(), key.sign(checkpoint.as_bytes()));
    purge.end(&checkpoint, &signer.key_id, &public_key, &signature, &note).await?;
    Ok(number)
}

fn name(month: Date) -> String {
    format!("{}-{:02}", month.year(), u8::from(month.month()))
}

impl Month {
    fn of(month: Date, found: Purgeable, purge: Option<i64>) -> Self {
        let Purgeable { rows, kept, open, .. } = found;
        Self { month: name(month), rows, kept_events: kept, open_targets: open, purge }
    }

    fn say(&self, dry_run: bool) {
        let of = |table: &str| self.rows.get(table).copied().unwrap_or_default();
        let [events, targets, attempts] = ["events", "targets", "attempts"].map(of);
        let others = self.rows.values().sum::<u64>() - events - targets - attempts;
        let rows = [
            count(events, "event"),
            count(targets, "target"),
            count(attempts, "attempt"),
            count(others, "other row"),
        ];
        let what = if dry_run { "would go" } else { "purged" };
        say(format_args!("{}: {} {what}", self.month, rows.join(", ")));
        if self.kept_events > 0 {
            let open = match &self.open_targets[..] {
                [] => String::new(),
                open => format!("; open: {}", open.join(", ")),
            };
            let stay = if self.kept_events == 1 { "stays" } else { "stay" };
            say(format_args!(
                "  {} {stay}, not being over for so long{open}",
                count(self.kept_events, "event")
            ));
        }
    }
}

fn say_end(months: &[Month], ends_before: OffsetDateTime, args: &Args) {
    let first = name(ends_before.date());
    if args.json {
        return say_json(&json!({ "first_month_kept": first, "dry_run": args.dry_run, "months": months }));
    }
    say(format_args!("{first} is the first month that stays as it is"));
    if months.iter().any(|month| !month.open_targets.is_empty()) {
        remark(format_args!(
            "what is open stays until it has ended: `revocation-worker audit --state pending,parked` lists \
                it, \
                `retry` tries it again, `target cancel` gives it up"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_below_that_of_the_stream_is_refused() {
        let day = |days: u64| Duration::from_secs(days * 86_400);
        for (older_than, least, is_fine) in
            [(day(400), day(30), true), (day(30), day(30), true), (day(29), day(30), false)]
        {
            assert_eq!(check_age(older_than, least).is_ok(), is_fine);
        }
        let said = check_age(day(2), day(30)).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.starts_with("--older-than 2days: not less than"), "{said}");
    }
}
