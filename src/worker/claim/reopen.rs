//! From claimed rows to jobs: tokens unsealed, denials that may never have gone out published again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::admission::Room;
use crate::event::{Lane, Party};
use crate::invalidation::EventRef;
use crate::outcome::{Answer, Standing, Verdict};
use crate::seal::{SealContext, SealError, Sealed};
use crate::store::{Claimed, jti_iss};
use crate::target::{Fingerprint, Kind, PresentedToken, Selector, Target, TargetId, Token, TokenTypeHint};
use crate::trace::Trace;
use crate::worker::job::{Context, Job};
use crate::worker::parts::Worker;
use crate::worker::revoke;

/// Groups the claimed targets by event and provider, as at acceptance, and hands them to `revoke`.
pub(super) fn set_to_work(
    worker: &Arc<Worker>,
    claimed: Vec<Claimed>,
    mut room: HashMap<(Arc<str>, Lane), Room>,
) {
    let mut groups: HashMap<(Uuid, String), Vec<Claimed>> = HashMap::new();
    for target in claimed {
        groups.entry((target.event, target.provider.clone())).or_default().push(target);
    }
    for ((_, provider), targets) in groups {
        let Some((name, _)) = worker.ports.admissions.get_key_value(&*provider) else { continue };
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
        trace: target.trace.as_deref().and_then(Trace::read),
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
    let guards = worker.guards(id, context.incident.as_deref(), room);
    let job = Job::new((id, attempt), target, standing, context.clone(), guards, worker.live.record.clone());
    let Some(error) = problem else { return Some(job) };
    tracing::error!(revocation_id = %id, %error, "cannot open a sealed token; parked");
    let answer = Answer::failed(Verdict::Refused, None, format!("open the sealed token: {error}"));
    let parked = revoke::finish(worker, job, answer, worker.ports.clock.now(), Duration::ZERO);
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
    let token: Token = worker.ports.keyring.open(&SealContext { id, provider }, &sealed)?;
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
fn deny_again(worker: &Worker, context: &Context, jobs: &[Job]) {
    let targets = jobs.iter().map(|job| (&job.target, context.not_before));
    // Not noted as denied: these are not all of the event's targets. Whoever takes over from its worker
    // denies, and notes, the whole event.
    worker.ports.verifiers.deny_targets(context.lane, context.event(), targets, Box::new(drop));
}
