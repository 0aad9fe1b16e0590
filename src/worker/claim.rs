//! Retries, parked targets that are due again, and work that others left: claimed from Postgres as far as
//! there is room.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::incidents::Share;
use super::job::{Context, Job};
use super::{Worker, revoke};
use crate::admission::{Admission, Room};
use crate::event::{Lane, Party};
use crate::invalidation::{EventRef, Phase, entry_of};
use crate::outcome::{Answer, Standing, Verdict};
use crate::seal::{SealContext, SealError, Sealed};
use crate::store::{Claimed, Kinds, Store, StoreError, Want, jti_iss};
use crate::target::{
    Fingerprint, Kind, PresentedToken, Scope, Selector, Target, TargetId, Token, TokenTypeHint,
};

/// Most targets a statement.
const BATCH: usize = 500;
/// How often to look while there is nothing to do.
const IDLE: Duration = Duration::from_millis(250);
/// How many looks pass between two sweeps of expired tokens.
const SWEEP_EVERY: u32 = 8;
/// Most statements of one such sweep.
const SWEEPS: u32 = 20;
/// Fewer are not worth a look of their own.
const HANDFUL: i64 = 32;

/// Runs until the worker stops.
pub(super) async fn run(worker: Arc<Worker>) {
    let mut looks = 0_u32;
    while !worker.stop.is_cancelled() {
        looks = looks.wrapping_add(1);
        let is_more = match look(&worker, looks.is_multiple_of(SWEEP_EVERY)).await {
            Ok(is_more) => is_more,
            Err(error) => {
                tracing::debug!(%error, "claim");
                worker.note_database(false);
                false
            }
        };
        if !is_more {
            tokio::select! {
                () = tokio::time::sleep(IDLE) => {}
                () = worker.due.notified() => {}
                () = worker.stop.cancelled() => return,
            }
        }
    }
}

/// Returns whether there is likely more to be had at once.
async fn look(worker: &Arc<Worker>, sweep: bool) -> Result<bool, StoreError> {
    if sweep {
        expire(worker).await?;
    }
    let shares = worker.incidents.shares(BATCH);
    let (mut wants, mut room) = (Vec::new(), HashMap::new());
    for (name, admission) in &worker.admissions {
        for lane in Lane::ALL {
            let lane_wants = wants_of_lane(name, admission, lane, &shares);
            let most = lane_wants.iter().map(|want| usize::try_from(want.limit).unwrap_or(0)).sum();
            if let Some(permits) = (!lane_wants.is_empty()).then(|| admission.room(lane, most)).flatten() {
                wants.extend(lane_wants);
                room.insert((name.clone(), lane), permits);
            }
        }
    }
    if wants.is_empty() {
        return Ok(false);
    }
    let claimed = worker.store.claim(worker.number(), &wants).await?;
    worker.note_database(true);
    let is_more = Lane::ALL.into_iter().any(|lane| is_more(lane.as_str(), &wants, &claimed));
    set_to_work(worker, claimed, room);
    Ok(is_more)
}

/// As much was found as was asked for, or somebody had all that they could have beside others; and no mere
/// handful.
fn is_more(lane: &str, wants: &[Want<'_>], claimed: &[Claimed]) -> bool {
    let (mut found, mut shares) = (0, HashMap::new());
    for target in claimed.iter().filter(|target| target.lane == lane) {
        found += 1;
        if let Some(quota) = target.quota {
            *shares.entry((target.want, target.party)).or_insert(quota) -= 1;
        }
    }
    let wanted: i64 =
        wants.iter().filter(|want| want.lane == lane && want.is_likely).map(|want| want.limit).sum();
    found >= HANDFUL && (found * 2 >= wanted || shares.into_values().any(|left| left <= 0))
}

/// Ends what died of age, all of it: a claim passes over what is not ended yet.
async fn expire(worker: &Worker) -> Result<(), StoreError> {
    for _ in 0..SWEEPS {
        let expired = worker.store.expire().await?;
        worker.metrics.expired(expired);
        if expired < Store::EXPIRED_AT_ONCE {
            break;
        }
    }
    Ok(())
}

/// What to claim of a provider and lane: of everything where calls for tokens and wider ones are taken alike,
/// else of either what is taken.
fn wants_of_lane<'a>(
    provider: &'a str,
    admission: &Admission,
    lane: Lane,
    shares: &'a [Share],
) -> Vec<Want<'a>> {
    match Scope::ALL.map(|scope| admission.wanted(lane, scope).min(BATCH)) {
        [tokens, wide] if tokens == wide => {
            wants_of(provider, lane, tokens, Kinds { tokens: true, wide: true }, shares)
        }
        // Of one kind none are taken, or one for a probe: that leaves its room to the other.
        [tokens, wide] if tokens < wide => apart(provider, lane, (tokens, wide - tokens), shares),
        [tokens, wide] => apart(provider, lane, (tokens - wide, wide), shares),
    }
}

fn apart<'a>(
    provider: &'a str,
    lane: Lane,
    (tokens, wide): (usize, usize),
    shares: &'a [Share],
) -> Vec<Want<'a>> {
    let mut wants = wants_of(provider, lane, tokens, Kinds { tokens: true, wide: false }, shares);
    wants.extend(wants_of(provider, lane, wide, Kinds { tokens: false, wide: true }, shares));
    wants
}

/// What to claim with room for `appetite` targets: all that is due, or of each incident its share.
fn wants_of<'a>(
    provider: &'a str,
    lane: Lane,
    mut appetite: usize,
    kinds: Kinds,
    shares: &'a [Share],
) -> Vec<Want<'a>> {
    let want = |incident: &'a str, most: usize, lets_in| {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let is_likely = lane == Lane::Interactive || !incident.is_empty();
        Want {
            provider,
            lane: lane.as_str(),
            kinds,
            incident,
            limit,
            turns: if lets_in { limit } else { 0 },
            is_likely,
        }
    };
    match lane {
        _ if appetite == 0 => Vec::new(),
        Lane::Interactive => vec![want("", appetite, false)],
        Lane::Mass => {
            let ours: Vec<_> =
                shares.iter().filter(|share| share.providers.iter().any(|name| name == provider)).collect();
            let each = appetite.div_ceil(ours.len().max(1));
            let wants = ours.into_iter().map(|share| {
                let most = share.most.min(each).min(appetite);
                appetite -= most;
                want(share.incident.name(), most, share.lets_in)
            });
            let mut wants: Vec<_> = wants.filter(|want| want.limit > 0).collect();
            // A worker from before incidents had rows of their own may have left some without.
            wants.extend((appetite > 0).then(|| want("", appetite, false)));
            wants
        }
    }
}

/// Groups the claimed targets by event and provider, as at acceptance, and hands them to step 3.
fn set_to_work(worker: &Arc<Worker>, claimed: Vec<Claimed>, mut room: HashMap<(Arc<str>, Lane), Room>) {
    let mut groups: HashMap<(Uuid, String), Vec<Claimed>> = HashMap::new();
    for target in claimed {
        groups.entry((target.event, target.provider.clone())).or_default().push(target);
    }
    for ((_, provider), targets) in groups {
        let Some((name, _)) = worker.admissions.get_key_value(&*provider) else { continue };
        let context = context(&targets[0]);
        let Some(room) = room.get_mut(&(name.clone(), context.lane)) else { continue };
        let denied = targets[0].denied;
        let jobs: Vec<_> = targets
            .into_iter()
            .filter_map(|target| job(worker, name, target, &context, room.split(context.party)?))
            .collect();
        // An incident's targets are claimed as soon as they are on record, and the note that they are denied
        // follows a little later.
        if !denied && context.incident.is_none() {
            deny_again(worker, &context, &jobs);
        }
        revoke::spawn(worker, jobs);
    }
}

fn context(target: &Claimed) -> Arc<Context> {
    Arc::new(Context {
        row: target.event,
        reference: EventRef { source: target.event_source.clone(), id: target.event_id.clone() },
        lane: Lane::parse(&target.lane).unwrap_or(Lane::Mass),
        party: Party::read(target.party),
        incident: target.incident.clone(),
        not_before: target.not_before,
        received_at: target.received_at,
    })
}

/// Opens a claimed target. One that cannot be opened is parked with the reason, never sent and never dropped.
fn job(
    worker: &Worker,
    provider: &Arc<str>,
    claimed: Claimed,
    context: &Arc<Context>,
    room: Room,
) -> Option<Job> {
    let id = TargetId { event: claimed.event, ordinal: claimed.ordinal };
    let standing = Standing {
        attempt: claimed.attempt.unsigned_abs(),
        failures: claimed.failures.unsigned_abs(),
        token_expires_at: claimed.token_expires_at,
        give_up_at: claimed.give_up_at,
        is_outage: false,
        is_unreadable: false,
    };
    let attempt = claimed.attempt;
    let (selector, problem) = match open(worker, provider, &claimed) {
        Ok(selector) => (selector, None),
        Err(error) => (Selector::Issuer, Some(error)),
    };
    let Claimed { sub, sid, client_id, iss, deny_until, .. } = claimed;
    let target = Target { provider: provider.clone(), selector, sub, sid, client_id, iss, deny_until };
    let job = Job::new((id, attempt), target, standing, context.clone(), room, worker);
    let Some(error) = problem else { return Some(job) };
    tracing::error!(revocation_id = %id, %error, "cannot open a sealed token; parked");
    let answer = Answer::failed(Verdict::Refused, None, format!("open the sealed token: {error}"));
    let parked = revoke::finish(worker, job, answer, worker.clock.now(), Duration::ZERO);
    revoke::hand_over(worker, vec![parked]);
    None
}

fn open(worker: &Worker, provider: &str, claimed: &Claimed) -> Result<Selector, SealError> {
    let (Some(bytes), Some(key_id)) = (&claimed.sealed, &claimed.sealed_key) else {
        return Ok(match Kind::parse(&claimed.kind) {
            Some(Kind::Session) => Selector::Session,
            Some(Kind::Subject) => Selector::Subject,
            Some(Kind::Client) => Selector::Client,
            _ => Selector::Issuer,
        });
    };
    let id = TargetId { event: claimed.event, ordinal: claimed.ordinal };
    let sealed = Sealed { key_id: key_id.clone(), bytes: bytes.clone() };
    let token: Token = worker.keyring.open(&SealContext { id, provider }, &sealed)?;
    let fingerprint: Fingerprint = token.fingerprint();
    Ok(Selector::Token(PresentedToken {
        token,
        fingerprint,
        signed: claimed.signed.as_deref().and_then(Fingerprint::read),
        hint: claimed.hint.as_deref().and_then(TokenTypeHint::parse),
        jti: claimed.jti.clone(),
        jti_iss: jti_iss::read(claimed.jti_iss.as_deref()),
        expires_at: claimed.token_expires_at,
    }))
}

/// The worker that accepted this event may have died before the broker confirmed its denial.
fn deny_again(worker: &Arc<Worker>, context: &Arc<Context>, jobs: &[Job]) {
    let entries: Vec<_> = jobs
        .iter()
        .filter_map(|job| Some((job.target.provider.to_string(), entry_of(&job.target, context.not_before)?)))
        .collect();
    let messages = worker.composer.invalidations(
        Phase::Requested,
        &context.reference,
        context.incident.as_deref(),
        entries,
    );
    let worker = worker.clone();
    // Not noted as denied: these are not all of the event's targets. Whoever takes over from its worker
    // denies, and notes, the whole event.
    worker.clone().tasks.spawn(async move {
        for message in &messages {
            if worker.publisher.deliver(message).await.is_err() {
                return;
            }
        }
    });
}
