//! What keeps a fleet of workers whole: the own lease, takeover from the dead, confirmations and denials
//! still owed.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::intake::note_denied;
use super::recent::OVERLAP;
use super::{Late, Worker};
use crate::invalidation::{Entry, EventRef, Outgoing, Phase};
use crate::store::{Denial, StoreError, Unconfirmed, VerifierCount, WorkerNo, jti_iss};
use crate::target::{Fingerprint, Kind, TargetId, TokenTypeHint};

/// So many refused messages in `revocation.dead` are an error in the log.
const MANY_DEAD: u32 = 1000;
/// How often to look for dead workers, for confirmations owed, and for lost leases.
const LOOK: Duration = Duration::from_secs(2);
/// How often to look whether what is in flight has changed.
const TELL: Duration = Duration::from_secs(1);
/// Longest that denials owed may keep one look from its end.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// How often to count the backlog and the verifiers for the metrics.
const COUNT: Duration = Duration::from_secs(15);
/// Most targets a look.
const BATCH: i64 = 500;
/// Most events a look, of which all targets are read.
const LATE_BATCH: usize = 20;
/// How far from its last sign of life a dead worker's last events may lie. What is older it has noted, or the
/// broker delivers again.
const AROUND: time::Duration = time::Duration::minutes(2);

/// Runs until aborted: the lease must be renewed while the last work is finished.
pub(super) async fn run(worker: Arc<Worker>) {
    let looks =
        async { tokio::join!(look_for_dead(&worker), look_for_owed(&worker), look_for_lost(&worker)) };
    tokio::join!(renew(&worker), looks, count(&worker), republish(&worker));
}

pub(super) fn ticker(period: Duration) -> tokio::time::Interval {
    let mut ticker = interval(period);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

/// In between, only what is in flight is told, where that has changed: people who look must not see a peak
/// that is long over.
async fn renew(worker: &Worker) {
    let (mut ticker, mut told, mut renewed_at) = (ticker((worker.lease / 6).min(TELL)), 0, None::<Instant>);
    loop {
        ticker.tick().await;
        let in_flight = worker.admissions.values().map(|admission| admission.in_flight()).sum::<usize>();
        if renewed_at.is_some_and(|at| at.elapsed() + TELL / 2 < worker.lease / 6) && in_flight == told {
            continue;
        }
        (told, renewed_at) = (in_flight, Some(Instant::now()));
        let seen: Vec<_> = worker.admissions.values().map(|admission| admission.status()).collect();
        let renewed = async {
            let in_flight = i32::try_from(in_flight).unwrap_or(i32::MAX);
            let reading =
                worker.store.renew(worker.number(), worker.lease, in_flight, worker.clock.offset()).await?;
            reading.into_iter().for_each(|reading| worker.learn_time(reading));
            worker.store.report_providers(worker.number(), &seen).await
        };
        match renewed.await {
            Ok(()) => worker.note_database(true),
            Err(error) => {
                tracing::warn!(%error, "lease not renewed");
                worker.note_database(false)
            }
        };
    }
}

async fn count(worker: &Worker) {
    let (mut ticker, mut many) = (ticker(COUNT), false);
    loop {
        ticker.tick().await;
        if let Some(waiting) = worker.refusals.waiting().await {
            many = note_dead(worker, waiting, many);
            if let Err(error) = worker.store.note_dead(worker.number(), waiting, many).await {
                tracing::debug!(%error, "note what waits in revocation.dead");
            }
        }
        if let Ok(backlog) = worker.store.backlog().await {
            worker.metrics.set_backlog(&backlog);
        }
        if let Ok(verifiers) = count_verifiers(worker).await {
            worker.metrics.set_verifiers(verifiers);
        }
    }
}

/// Tells of many refused messages once, until they are fewer again. Returns whether they are many.
fn note_dead(worker: &Worker, waiting: u32, were_many: bool) -> bool {
    worker.metrics.set_dead(waiting);
    let are_many = waiting >= MANY_DEAD;
    if are_many && !were_many {
        tracing::error!(
            waiting,
            "many refused messages wait in revocation.dead; `revocation-worker dead list` shows what is \
                wrong with them"
        );
    }
    are_many
}

async fn count_verifiers(worker: &Worker) -> Result<VerifierCount, StoreError> {
    let forgotten = worker.store.forget_verifiers().await?;
    if forgotten > 0 {
        tracing::info!(verifiers = forgotten, "forgot verifiers that were not heard of for a day");
    }
    worker.store.count_verifiers().await
}

/// Takeover waits for Postgres alone; the denials owed, which need the broker too, come after it.
async fn look_for_dead(worker: &Worker) {
    let mut ticker = ticker(LOOK);
    let mut settled = HashSet::new();
    loop {
        ticker.tick().await;
        let looked = async {
            let dead: Vec<_> = worker
                .store
                .dead_workers()
                .await?
                .into_iter()
                .filter(|dead| *dead != worker.number())
                .collect();
            take_over(worker, &dead).await?;
            // Without the broker this would take for ever; the next look tries again.
            drop(tokio::time::timeout(LONGEST_LOOK, deny_all_owed(worker, &dead, &mut settled)).await);
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            tracing::debug!(%error, "look for dead workers");
        }
    }
}

async fn look_for_owed(worker: &Worker) {
    let mut ticker = ticker(LOOK);
    loop {
        ticker.tick().await;
        if let Err(error) = confirm_owed(worker).await {
            tracing::debug!(%error, "look for confirmations owed");
        }
    }
}

/// Frees what is leased to this worker and not in its memory: nobody else would, as long as it lives.
async fn look_for_lost(worker: &Worker) {
    let mut ticker = ticker(LOOK);
    loop {
        ticker.tick().await;
        let looked = async {
            let mut lost = worker.store.leased(worker.number()).await?;
            lost.retain(|(id, _)| !worker.in_flight.contains(*id));
            if lost.is_empty() { Ok(0) } else { worker.store.abandon(worker.number(), &lost).await }
        };
        match looked.await {
            Ok(0) => {}
            Ok(freed) => tracing::warn!(
                targets = freed,
                "freed targets that were leased to this worker and unknown to it"
            ),
            Err(error) => tracing::debug!(%error, "look for lost leases"),
        }
    }
}

async fn take_over(worker: &Worker, dead: &[WorkerNo]) -> Result<(), StoreError> {
    for dead in dead {
        let taken = worker.store.take_over(*dead).await?;
        worker.metrics.taken_over(taken);
        if taken > 0 {
            tracing::warn!(dead_worker = dead.0, targets = taken, "took over from a worker that stopped");
        }
    }
    Ok(())
}

/// Denies what dead workers left undenied, once for each: a dead one accepts nothing more.
async fn deny_all_owed(
    worker: &Worker,
    dead: &[WorkerNo],
    settled: &mut HashSet<WorkerNo>,
) -> Result<(), StoreError> {
    settled.retain(|known| dead.contains(known));
    for dead in dead {
        if !settled.contains(dead)
            && let Some(last_seen) = worker.store.last_seen(*dead).await?
            && deny_owed(worker, *dead, floor(last_seen - AROUND)..floor(last_seen + AROUND)).await?
        {
            settled.insert(*dead);
        }
    }
    Ok(())
}

/// The smallest row id of events received at `at` or later.
fn floor(at: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}

/// Publishes the denials of a dead worker's events that are not known to be confirmed. Returns whether all of
/// them are now.
async fn deny_owed(worker: &Worker, dead: WorkerNo, rows: Range<Uuid>) -> Result<bool, StoreError> {
    let (mut after, mut all) = (None, true);
    loop {
        let owed = worker.store.denials(dead, &rows, true, after, BATCH).await?;
        let Some(last) = owed.last() else { return Ok(all) };
        after = Some(TargetId { event: last.event, ordinal: last.ordinal });
        let mut events: Vec<_> = owed.iter().map(|denial| denial.event).collect();
        events.dedup();
        if publish(worker, Phase::Requested, owed).await {
            events.into_iter().for_each(|row| note_denied(worker, row, worker.clock.now()));
        } else {
            all = false;
        }
    }
}

async fn confirm_owed(worker: &Worker) -> Result<(), StoreError> {
    loop {
        let owed = worker.store.unconfirmed(Unconfirmed::Missing, None, BATCH).await?;
        if owed.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> =
            owed.iter().map(|denial| TargetId { event: denial.event, ordinal: denial.ordinal }).collect();
        if !publish(worker, Phase::Confirmed, owed).await {
            return Ok(());
        }
        worker.store.mark_confirmed(&ids, worker.clock.now()).await?;
    }
}

/// After each loss of the broker, publishes again what it had confirmed for the events of the last minute,
/// until all of it is confirmed once more.
async fn republish(worker: &Worker) {
    let mut losses = worker.publisher.losses();
    while losses.changed().await.is_ok() {
        let floor = floor(worker.clock.now() - OVERLAP);
        for phase in [Phase::Requested, Phase::Confirmed] {
            while !republish_phase(worker, phase, floor).await {
                tokio::time::sleep(LOOK).await;
            }
        }
        while !republish_late(worker).await {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The same for what was published late: after an approval, or after a subject's revocation.
async fn republish_late(worker: &Worker) -> bool {
    let late: HashSet<_> = worker.recent.all().into_iter().collect();
    let events: Vec<_> = late.iter().map(|late| late.event()).collect::<HashSet<_>>().into_iter().collect();
    for events in events.chunks(LATE_BATCH) {
        let Ok(denials) = worker.store.denials_of(events).await else { return false };
        let (mut requested, mut confirmed) = (Vec::new(), Vec::new());
        for denial in denials {
            if late.contains(&Late::Cutoff(TargetId { event: denial.event, ordinal: denial.ordinal })) {
                confirmed.push(denial);
            } else if late.contains(&Late::Denial(denial.event)) {
                requested.push(denial);
            }
        }
        if !publish(worker, Phase::Requested, requested).await
            || !publish(worker, Phase::Confirmed, confirmed).await
        {
            return false;
        }
    }
    true
}

/// Returns whether everything was confirmed.
async fn republish_phase(worker: &Worker, phase: Phase, floor: Uuid) -> bool {
    let mut after = None;
    loop {
        let again = match phase {
            Phase::Requested => {
                worker.store.denials(worker.number(), &(floor..Uuid::max()), false, after, BATCH).await
            }
            Phase::Confirmed => {
                worker.store.unconfirmed(Unconfirmed::Since(floor, worker.number()), after, BATCH).await
            }
        };
        match again {
            Ok(again) => {
                let Some(last) = again.last() else { return true };
                after = Some(TargetId { event: last.event, ordinal: last.ordinal });
                if !publish(worker, phase, again).await {
                    return false;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "look for what to publish again");
                return false;
            }
        }
    }
}

/// Publishes what the database says; returns whether the broker confirmed all of it.
pub(super) async fn publish(worker: &Worker, phase: Phase, denials: Vec<Denial>) -> bool {
    let messages = compose(worker, phase, denials);
    let results =
        futures::future::join_all(messages.iter().map(|message| worker.publisher.invalidate(message))).await;
    results.iter().all(Result::is_ok)
}

fn compose(worker: &Worker, phase: Phase, denials: Vec<Denial>) -> Vec<Outgoing> {
    let mut messages = Vec::new();
    for event in denials.chunk_by(|a, b| a.event == b.event) {
        let reference = EventRef { source: event[0].event_source.clone(), id: event[0].event_id.clone() };
        let entries =
            event.iter().filter_map(|denial| Some((denial.provider.clone(), entry(denial)?))).collect();
        messages.extend(worker.composer.invalidations(
            phase,
            &reference,
            event[0].incident.as_deref(),
            entries,
        ));
    }
    messages
}

fn entry(denial: &Denial) -> Option<Entry> {
    let Denial { not_before, deny_until: expires_at, .. } = *denial;
    let (sub, sid, client_id, iss) =
        (denial.sub.clone(), denial.sid.clone(), denial.client_id.clone(), denial.iss.clone());
    Some(match Kind::parse(&denial.kind)? {
        Kind::Token => Entry::Token {
            token_sha256: Fingerprint::read(denial.sha256.as_deref()?)?.to_string(),
            signed_sha256: denial
                .signed
                .as_deref()
                .and_then(Fingerprint::read)
                .map(|signed| signed.to_string()),
            token_type_hint: denial.hint.as_deref().and_then(TokenTypeHint::parse),
            jti: denial.jti.clone(),
            iss: jti_iss::read(denial.jti_iss.as_deref()),
            expires_at,
        },
        Kind::Session => Entry::Session { sid: sid?, sub, iss, not_before, expires_at },
        Kind::Subject => Entry::Subject {
            iss,
            sub: sub?,
            subject_claims: Vec::new(),
            claims_iss: None,
            not_before,
            expires_at,
        },
        Kind::Client => Entry::Client {
            client_id: client_id?,
            iss,
            client_claims: Vec::new(),
            claims_iss: None,
            not_before,
            expires_at,
        },
        Kind::Issuer => Entry::Issuer { iss: iss?, not_before, expires_at },
    })
}
