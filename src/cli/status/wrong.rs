//! What somebody should look at: a sentence for each thing.

use crate::cli::incident::call_for_action;
use crate::cli::output::{count, first_of, or_dash};
use crate::clock::TOLERATED;
use crate::store::{BacklogRow, DeadLetters, Incident, ProviderRow, Status, VerifierRow, WorkerRow};

/// A verifier that has reported nothing for longer was most likely replaced by another.
const FORGOTTEN_AFTER_S: i64 = 600;

/// Workers take up what is due within a second or so.
const LONGEST_OVERDUE_S: i64 = 30;

/// The sentences, the most urgent first; none: nothing is wrong.
pub(super) fn wrong(status: &Status) -> Vec<String> {
    let mut wrong: Vec<_> = status.incidents.iter().filter_map(incident).collect();
    wrong.extend(verifiers(&status.verifiers));
    wrong.extend(status.providers.iter().filter_map(provider));
    wrong.extend(status.backlog.iter().filter_map(overdue));
    wrong.extend(status.backlog.iter().filter_map(parked));
    wrong.extend(status.dead_letters.iter().filter_map(dead_letters));
    wrong.extend(workers(&status.workers));
    wrong
}

fn incident(row: &Incident) -> Option<String> {
    Some(format!("incident {}: {}", row.incident, call_for_action(row)?))
}

fn verifiers(rows: &[VerifierRow]) -> Vec<String> {
    let names = |of: &dyn Fn(&VerifierRow) -> bool, told: fn(&VerifierRow) -> String| {
        rows.iter().filter(|row| of(row)).map(told).collect::<Vec<_>>()
    };
    let live = rows.iter().filter(|row| row.verified && row.live).count();
    let stale = names(&|row| row.verified && row.live && !row.up_to_date, with_reason);
    let gone = names(&|row| row.verified && !row.live && row.silent_s < FORGOTTEN_AFTER_S, name);
    let strangers = names(&|row| !row.verified && row.live, with_claimant);
    let many = |names: &[String]| count(names.len(), "verifier");
    let mut wrong = Vec::new();
    if !stale.is_empty() {
        let live = count(live, "live verifier");
        wrong.push(format!("{} of {live} not up to date: {}", stale.len(), first_of(&stale)));
    }
    if !gone.is_empty() {
        wrong.push(format!("no report for 15 s from {}: {}", many(&gone), first_of(&gone)));
    }
    if !strangers.is_empty() {
        let (many, names) = (many(&strangers), first_of(&strangers));
        wrong.push(format!("reports for {many} are unverified and vouch for nothing: {names}"));
    }
    wrong
}

fn name(verifier: &VerifierRow) -> String {
    format!("{}/{}", verifier.service, verifier.instance)
}

fn with_reason(verifier: &VerifierRow) -> String {
    match &verifier.stale_reason {
        Some(reason) => format!("{} ({reason})", name(verifier)),
        None => name(verifier),
    }
}

fn with_claimant(verifier: &VerifierRow) -> String {
    match &verifier.broker_user {
        Some(user) => format!("{} (by {user}, who does not own the service)", name(verifier)),
        None => format!("{} (without user_id)", name(verifier)),
    }
}

fn provider(row: &ProviderRow) -> Option<String> {
    let error = or_dash(&row.last_error);
    (row.breaker != "closed").then(|| format!("provider {}: breaker {}, {error}", row.provider, row.breaker))
}

fn overdue(row: &BacklogRow) -> Option<String> {
    let since = row.overdue_s.filter(|since| row.state == "pending" && *since > LONGEST_OVERDUE_S)?;
    let (provider, lane) = (&row.provider, &row.lane);
    Some(format!("provider {provider}: in lane {lane} a target is due since {since} s and nobody takes it"))
}

fn parked(row: &BacklogRow) -> Option<String> {
    let targets = count(row.targets, "target");
    (row.state == "parked").then(|| format!("provider {}: {targets} parked", row.provider))
}

fn dead_letters(row: &DeadLetters) -> Option<String> {
    let (since, messages) = (row.many_since.as_ref()?, count(row.messages, "refused message"));
    Some(format!(
        "revocation.dead holds {messages}, too many since {since}: `revocation-worker dead list` shows what \
            is wrong with them"
    ))
}

/// A worker is dead once its lease has run out, however long that is: the row says until when it runs.
fn workers(rows: &[WorkerRow]) -> Vec<String> {
    let (live, dead): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.live);
    let silent = |row: &WorkerRow| {
        format!("worker {}: silent for {} s; others take its work over", row.instance, row.silent_s)
    };
    let mut wrong: Vec<_> = dead.into_iter().map(silent).collect();
    wrong.extend(live.iter().filter_map(|row| wrong_clock(row)));
    if live.is_empty() {
        wrong.push("no worker is running".to_owned());
    }
    wrong
}

fn wrong_clock(row: &WorkerRow) -> Option<String> {
    let ahead = time::Duration::milliseconds(row.clock_offset_ms?);
    let (seconds, way) =
        (ahead.abs().as_seconds_f64(), if ahead.is_negative() { "behind" } else { "ahead of" });
    (ahead.abs() > TOLERATED).then(|| {
        format!("worker {}: its machine's clock is {seconds:.1} s {way} the database's", row.instance)
    })
}
