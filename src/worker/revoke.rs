//! Calls the provider: for refresh tokens first, then for the rest, whatever came of the former. A target
//! that the breaker of its credential rejects waits; the others go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use time::OffsetDateTime;

use super::incidents::Incident;
use super::job::{Context, Finished, ForRecord, Job};
use super::parts::Worker;
use crate::admission::{Admission, Call, CallPermit, Doubt};
use crate::failpoint;
use crate::outcome::{Answer, State, Verdict, settle};
use crate::store::Cutoff;
use crate::target::{Selector, Target};

/// How long the first result of an event waits for the others.
const GATHER: Duration = Duration::from_millis(50);

/// Sets off the work on jobs of one event and provider.
pub(super) fn spawn(worker: &Arc<Worker>, jobs: Vec<Job>) {
    let task = revoke(worker.clone(), jobs);
    worker.live.tasks.spawn(task);
}

async fn revoke(worker: Arc<Worker>, jobs: Vec<Job>) {
    let (refresh, rest): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.target.is_refresh_token());
    let mut gathered = Gathered { worker: &worker, finished: Vec::new(), since: Instant::now() };
    for phase in [refresh, rest] {
        let mut calls: FuturesUnordered<_> = phase.into_iter().map(|job| attempt(&worker, job)).collect();
        while let Some(finished) = gathered.next(&mut calls).await {
            gathered.add(finished);
        }
    }
}

/// Results of one event on their way to the record. Together they need one commit, so they wait a little for
/// each other; whatever is left is handed over on drop.
struct Gathered<'a> {
    worker: &'a Worker,
    finished: Vec<Finished>,
    since: Instant,
}

impl Gathered<'_> {
    /// The next call to end, if any; hands over what is gathered when it has waited long enough.
    async fn next(
        &mut self,
        calls: &mut FuturesUnordered<impl Future<Output = Option<Finished>>>,
    ) -> Option<Option<Finished>> {
        if !self.finished.is_empty() {
            let deadline = tokio::time::Instant::from_std(self.since + GATHER);
            match tokio::time::timeout_at(deadline, calls.next()).await {
                Ok(ended) => return ended,
                Err(_) => self.hand_over(),
            }
        }
        calls.next().await
    }

    fn add(&mut self, finished: Option<Finished>) {
        if self.finished.is_empty() {
            self.since = Instant::now();
        }
        self.finished.extend(finished);
    }

    fn hand_over(&mut self) {
        if !self.finished.is_empty() {
            hand_over(self.worker, std::mem::take(&mut self.finished));
        }
    }
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// One attempt. It is on record already; a job that may not call (breaker open, incident paused, worker
/// stopping) is dropped and thereby handed back.
async fn attempt(worker: &Worker, mut job: Job) -> Option<Finished> {
    let admission = worker.ports.admissions.get(&job.target.provider)?;
    failpoint!("claimed");
    let permit = tokio::select! {
        biased;
        () = worker.live.stop.cancelled() => return None,
        permit = enter(admission, &job.context, job.incident(), &job.target) => permit?,
    };
    failpoint!("sent");
    let (started_at, began) = (worker.ports.clock.now(), Instant::now());
    // On the heap: what a call needs would else be set aside for each of the thousands that wait for their
    // turn.
    let answer = Box::pin(admission.provider.revoke_within(job.context.trace, &job.target)).await;
    let answer = admission.redirect_in_doubt(job.target.scope(), answer);
    let took = began.elapsed();
    let of_provider = admission.of_provider(job.target.scope(), job.id, &answer);
    job.standing.is_outage = permit.report(&of_provider, took);
    job.standing.is_unreadable = admission.provider.is_unreadable(&job.target);
    failpoint!("responded");
    let answer = ruled(worker, admission, &job, answer, (began, began + took)).await;
    Some(finish(worker, job, answer, started_at, took))
}

/// What the answer means where it may be our credentials that it is about: decided without a slot, so that it
/// holds up nobody else's call.
async fn ruled(
    worker: &Worker,
    admission: &Arc<Admission>,
    job: &Job,
    answer: Answer,
    (began, answered): (Instant, Instant),
) -> Answer {
    if answer.verdict != Verdict::Doubted {
        return answer;
    }
    let doubt = Doubt { id: job.id, attempt: job.standing.attempt, began, answered };
    tokio::select! {
        biased;
        () = worker.live.stop.cancelled() => answer.clone(),
        ruled = Box::pin(admission.rule(job.target.scope(), doubt, answer.clone())) => ruled,
    }
}

/// Waits for the incident's turn and then for the provider's; an operator may stop the incident meanwhile.
async fn enter(
    admission: &Arc<Admission>,
    context: &Context,
    incident: Option<&Incident>,
    target: &Target,
) -> Option<CallPermit> {
    let Context { lane, party, .. } = *context;
    let (scope, requests) = (target.scope(), admission.provider.calls_per_attempt(target));
    let call = Call { lane, party, scope, requests };
    let Some(incident) = incident else { return admission.permit(call).await };
    // Check the breaker before the incident's throttle: a target that an open breaker rejects must not spend
    // one of the incident's slots per second.
    if admission.rejects(scope) {
        return None;
    }
    let turn = incident.turn().await?;
    let permit = admission.permit(call).await?;
    incident.may_go_on(turn).then_some(permit)
}

/// Computes the outcome, once.
pub(super) fn finish(
    worker: &Worker,
    mut job: Job,
    answer: Answer,
    started_at: OffsetDateTime,
    took: Duration,
) -> Finished {
    let bound =
        worker.ports.admissions.get(&job.target.provider).map(|admission| admission.retry_after_max());
    let schedule = bound.map_or_else(
        || worker.rules.schedule.clone(),
        |bound| worker.rules.schedule.honouring_at_most(bound),
    );
    let settlement = settle(&answer, &job.standing, &schedule, worker.ports.clock.now());
    if settlement.state == State::Revoked {
        move_cutoff(worker, &mut job, started_at + took);
    }
    Finished { job: job.settled(), answer, settlement, started_at, took }
}

/// In an incident, what was issued until the provider had ended a session or everything of a subject is
/// denied too: a thief may have refreshed a token between the event's cutoff and that moment. In an ordinary
/// logout the user may have signed in again since.
fn move_cutoff(worker: &Worker, job: &mut Job, at: OffsetDateTime) {
    let is_incidents = job.context.incident.is_some()
        && matches!(job.target.selector, Selector::Session | Selector::Subject);
    if is_incidents && at > job.context.not_before {
        let ttl = worker.rules.events.token_ttl(&job.target.provider);
        let deny_until = job
            .target
            .deny_until
            .max(at.saturating_add(time::Duration::try_from(ttl).unwrap_or(time::Duration::MAX)));
        job.target.deny_until = deny_until;
        job.moved = Some(Cutoff { at, deny_until });
    }
}

/// Gives results to the recorder.
pub(super) fn hand_over(worker: &Worker, finished: Vec<Finished>) {
    // No recorder: the process is ending, and the attempts are closed as unknown by whoever takes over.
    drop(worker.live.record.send(ForRecord::Finished(finished)));
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::super::incidents::Incidents;
    use super::*;
    use crate::admission::tests::{admission, failed};
    use crate::event::{Lane, Party};
    use crate::invalidation::EventRef;
    use crate::store::ActiveIncident;
    use crate::target::Scope;

    fn context() -> Context {
        let (epoch, reference) =
            (OffsetDateTime::UNIX_EPOCH, EventRef { source: String::new(), id: String::new() });
        let (lane, party, incident) = (Lane::Mass, Party::UNNAMED, Some("leak".to_owned()));
        let (row, not_before, received_at, trace) = (Uuid::nil(), epoch, epoch, None);
        Context { row, reference, lane, party, incident, not_before, received_at, trace }
    }

    fn throttled() -> ActiveIncident {
        ActiveIncident {
            incident: "leak".to_owned(),
            state: "running".to_owned(),
            throttle_per_s: Some(1),
            above_targets: 100,
            approved_targets: None,
            approved_kinds: None,
            approved_needing: None,
            needing_approval: 0,
            received: 90,
            claimable: 0,
            providers: vec!["main".to_owned()],
            withheld: false,
        }
    }

    #[tokio::test]
    async fn targets_that_the_breaker_rejects_use_up_nothing_of_their_incidents_rate() {
        let (admission, incidents, context) = (admission(4, None), Incidents::default(), context());
        incidents.update(vec![throttled()], 1);
        let (incident, user) = (
            incidents.of("leak"),
            Target {
                provider: "main".into(),
                selector: Selector::Subject,
                sub: Some("u".to_owned()),
                sid: None,
                client_id: None,
                iss: None,
                deny_until: OffsetDateTime::UNIX_EPOCH,
            },
        );
        admission
            .permit(Call { lane: Lane::Mass, party: Party::UNNAMED, scope: Scope::Wide, requests: 1 })
            .await
            .unwrap()
            .report(&failed(Verdict::Misconfigured, None), Duration::ZERO);
        for _ in 0..100 {
            assert!(
                enter(&admission, &context, Some(&incident), &user)
                    .now_or_never()
                    .expect("sent away at once")
                    .is_none()
            );
        }
        assert!(incident.turn().now_or_never().flatten().is_some(), "the first that is let in need not wait");
    }
}
