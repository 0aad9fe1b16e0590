//! What somebody should look at: a sentence for each thing.

use super::Finding;
use super::incident::call_for_action;
use super::provider::{failing, left_alone, overdue};
use super::verifiers::silent;
use crate::clock::TOLERATED;
use crate::store::{
    BacklogRow, DeadLetters, GivenUpTargets, Incident, LostWorker, RefusedWrites, Status, VerifierRow,
    WorkerRow,
};
use crate::visible::count;
use crate::visible::names::{command, first_of};
use crate::visible::times::{utc, utc_to_the_second};

/// A verifier that has reported nothing for longer was most likely replaced by another. It is told of all the
/// same while there is something that it may accept.
const FORGOTTEN_AFTER_S: i64 = 600;

/// The most urgent first; none: nothing is wrong.
pub fn wrong(status: &Status) -> Vec<Finding> {
    let mut wrong: Vec<_> = status.refuses_writes.iter().map(writes).collect();
    // What does not get on record is no fault of those who cannot write it.
    let is_current = wrong.is_empty();
    wrong.extend(status.incidents.iter().filter_map(incident));
    if is_current {
        wrong.extend(verifiers(status));
        wrong.extend(left_alone(status));
        wrong.extend(overdue(status));
        wrong.extend(failing(status));
    }
    wrong.extend(status.backlog.iter().filter_map(parked));
    wrong.extend(status.given_up.iter().map(given_up));
    wrong.extend(status.dead_letters.iter().filter_map(dead_letters));
    if is_current {
        wrong.extend(workers(&status.workers));
        wrong.extend(status.lost_workers.iter().map(lost));
    }
    wrong
}

fn writes(refused: &RefusedWrites) -> Finding {
    Finding { says: refused.to_string(), command: Some("revocation-worker check".to_owned()) }
}

fn incident(row: &Incident) -> Option<Finding> {
    let call = call_for_action(row)?;
    Some(Finding { says: format!("incident {}: {}", row.incident, call.says), ..call })
}

fn verifiers(status: &Status) -> impl Iterator<Item = Finding> {
    let rows = &status.verifiers;
    let names = |of: &dyn Fn(&VerifierRow) -> bool, told: fn(&VerifierRow) -> String| {
        rows.iter().filter(|row| of(row)).map(told).collect::<Vec<_>>()
    };
    let live = rows.iter().filter(|row| row.verified && row.live).count();
    let stale = names(&|row| row.counts() && row.live && !row.up_to_date, with_reason);
    let is_open = |row: &VerifierRow| row.may_accept() && status.unapplied.is_some();
    let gone = rows.iter().filter(|row| row.silent_s < FORGOTTEN_AFTER_S || is_open(row));
    let strangers = names(&|row| !row.verified && row.live, with_claimant);
    let many = |names: &[String]| count(names.len(), "verifier");
    let mut wrong = Vec::new();
    if !stale.is_empty() {
        let live = count(live, "live verifier");
        wrong.push(format!("{} of {live} not up to date: {}", stale.len(), first_of(&stale)));
    }
    wrong.extend(silent(gone));
    if !strangers.is_empty() {
        let (many, names) = (many(&strangers), first_of(&strangers));
        wrong.push(format!("reports for {many} are unverified and vouch for nothing: {names}"));
    }
    wrong.into_iter().map(Finding::of)
}

fn name(verifier: &VerifierRow) -> String {
    format!("{}/{}", verifier.service, verifier.instance)
}

fn with_reason(verifier: &VerifierRow) -> String {
    match &verifier.stale_reason {
        Some(reason) => match &verifier.staleness_policy {
            Some(policy) => format!("{} ({reason}, {policy})", name(verifier)),
            None => format!("{} ({reason})", name(verifier)),
        },
        None => name(verifier),
    }
}

fn with_claimant(verifier: &VerifierRow) -> String {
    match &verifier.broker_user {
        Some(user) => format!("{} (by {user}, who does not own the service)", name(verifier)),
        None => format!("{} (without user_id)", name(verifier)),
    }
}

fn parked(row: &BacklogRow) -> Option<Finding> {
    let targets = count(row.targets, "target");
    (row.state == "parked").then(|| Finding {
        says: format!("provider {}: {targets} parked", row.provider),
        command: Some(command("audit --state parked --provider", "", &row.provider)),
    })
}

fn given_up(row: &GivenUpTargets) -> Finding {
    let (provider, targets) = (&row.provider, count(row.targets, "target"));
    let until = utc(row.until.as_deref());
    Finding {
        says: format!("provider {provider}: {targets} given up, which it honours until {until}"),
        command: Some(command("audit --state cancelled --provider", "", provider)),
    }
}

fn dead_letters(row: &DeadLetters) -> Option<Finding> {
    let (since, messages) = (utc(Some(row.many_since.as_ref()?)), count(row.messages, "refused message"));
    Some(Finding {
        says: format!("revocation.dead holds {messages}, too many since {since}"),
        command: Some("revocation-worker dead list".to_owned()),
    })
}

/// What waits of refused messages, while they are not too many.
pub fn refused(status: &Status) -> Option<Finding> {
    let few = status.dead_letters.iter().filter(|row| row.many_since.is_none());
    let messages: u64 = few.map(|row| row.messages).sum();
    let wait = if messages == 1 { "waits" } else { "wait" };
    (messages > 0).then(|| Finding {
        says: format!("{} {wait}", count(messages, "refused message")),
        command: Some("revocation-worker dead list".to_owned()),
    })
}

/// A worker is dead once its lease has run out, however long that is: the row says until when it runs.
fn workers(rows: &[WorkerRow]) -> impl Iterator<Item = Finding> {
    let (live, dead): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.live);
    let fate = if live.is_empty() { "its work waits until one runs" } else { "others take its work over" };
    let silent = |row: &WorkerRow| format!("worker {}: silent for {} s; {fate}", row.instance, row.silent_s);
    let mut wrong: Vec<_> = dead.into_iter().map(silent).collect();
    wrong.extend(live.iter().filter_map(|row| wrong_clock(row)));
    if live.is_empty() {
        wrong.push("no worker is running".to_owned());
    }
    wrong.into_iter().map(Finding::of)
}

/// What it held is in good hands; why it ended, and whether another runs in its place, only a person can see.
fn lost(row: &LostWorker) -> Finding {
    let since = utc_to_the_second(&row.last_seen_at);
    Finding::of(format!(
        "worker {}: ended without a word, last seen {since}; others have taken its work over, and nothing is \
            lost: look at its log, and start one in its place",
        row.instance
    ))
}

fn wrong_clock(row: &WorkerRow) -> Option<String> {
    let ahead = time::Duration::milliseconds(row.clock_offset_ms?);
    let (seconds, way) =
        (ahead.abs().as_seconds_f64(), if ahead.is_negative() { "behind" } else { "ahead of" });
    (ahead.abs() > TOLERATED).then(|| {
        format!("worker {}: its machine's clock is {seconds:.1} s {way} the database's", row.instance)
    })
}
