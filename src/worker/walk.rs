//! One event's walk, as a list: from a delivery to its acknowledgement, and to the work on its targets.
//!
//! `next → parse → judge → deny → commit → set to work → acknowledge`, then for each target
//! `revoke → record` (`revoke.rs`, `record.rs`).
//!
//! Two things cut the list: what is on one queue goes one after the other up to its denial, so that nobody's
//! turn is jumped (but signed inputs that wait for keys, and incidents' events on the queue of logouts, which
//! go aside), and a commit is shared by all events that arrive while the one before it is under way.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::acknowledge;
use super::commit::{Commits, Committed, Fate};
use super::deliveries::{Deliveries, Delivery};
use super::follow::follow;
use super::intake::{Parsed, Taken, deny, judge};
use super::parts::Worker;
use super::refuse::{self, refuse};
use super::refused::Refused;
use super::signed::{self, Verified};
use super::traced;
use crate::broker::{LOGOUT_QUEUE, Received};
use crate::event::{self, Form, Refusal, RefusalCode, Said, SignedInput};
use crate::failpoint;

/// Runs until the deliveries of one queue end.
pub(super) async fn run(worker: Arc<Worker>, mut queue: Deliveries, commits: Commits) {
    let aside = Arc::new(Semaphore::new(1));
    while let Some(delivery) = queue.next(&worker.live.stop).await {
        failpoint!("received");
        match taken(&worker, delivery) {
            Err(Unwalked::Signed(delivery, input)) => {
                verify_aside(worker.clone(), *delivery, input, commits.clone());
            }
            Err(unwalked) => conclude_unwalked(&worker, unwalked),
            Ok(parsed) if may_wait_for_postgres(&parsed) => {
                walk_aside(worker.clone(), parsed, commits.clone(), aside.clone());
            }
            Ok(parsed) => walk(&worker, parsed, &commits).await,
        }
    }
}

/// The list.
async fn walk(worker: &Arc<Worker>, parsed: Parsed, commits: &Commits) {
    let ordered = judge(worker, parsed).await;
    let denied = deny(worker, ordered);
    let committed = commits.join(denied);
    worker.live.tasks.spawn(conclude(worker.clone(), committed));
}

/// The rest of the list, once the event is on record. Where it never will be, because the worker stops or the
/// broker delivers it again, there is none.
async fn conclude(worker: Arc<Worker>, committed: oneshot::Receiver<Box<Committed>>) {
    let Ok(committed) = committed.await else { return };
    let Committed { prepared, fate } = *committed;
    match fate {
        Fate::Refused(code, detail) => refuse(&worker, unacceptable(&worker, prepared.taken, code, detail)),
        Fate::OnRecord(entered) => {
            let accepted = follow(&worker, prepared, entered);
            // On the heap: thousands may wait for their commit.
            Box::pin(acknowledge::accepted(&worker, accepted)).await;
        }
    }
}

/// What is not walked.
enum Unwalked {
    Refused(Box<Refused>),
    /// It asks for nothing.
    Nothing(Box<Received>),
    /// It tells of what was refused elsewhere.
    Told(Box<Refused>),
    /// Its signature is to be verified first.
    Signed(Box<Delivery>, SignedInput),
}

/// The first look at a delivery.
fn taken(worker: &Worker, mut delivery: Delivery) -> Result<Parsed, Unwalked> {
    let events = &worker.rules.events;
    let received = &mut delivery.received;
    events.authority.attribute(&mut received.origin);
    let form = Form::of(received.body.bytes(), &received.origin, events);
    // Without a sender there is nobody whose signature could count.
    if let Ok(Form::Signed(input)) = form
        && !worker.ports.senders.is_empty()
    {
        return Err(Unwalked::Signed(Box::new(delivery), input));
    }
    let Delivery { received, place } = delivery;
    parse(worker, received, form, Some(place))
}

/// Reads an event, or says why it is refused.
fn parse(
    worker: &Worker,
    mut received: Received,
    form: Result<Form, Refusal>,
    place: Option<OwnedSemaphorePermit>,
) -> Result<Parsed, Unwalked> {
    let (events, clock) = (&worker.rules.events, &worker.ports.clock);
    let is_database_time = clock.is_known();
    let read = |form| event::read(form, received.body.bytes(), &received.origin, events, clock.now());
    match form.and_then(read) {
        Ok(Said::Event(event)) => {
            let mut event = *event;
            received.weigh(event.targets.len());
            traced::process(worker, &mut received, &mut event);
            Ok(Parsed { received, event, place, is_database_time })
        }
        Ok(Said::Nothing) => Err(Unwalked::Nothing(Box::new(received))),
        Ok(Said::RefusedInput(input)) => {
            Err(Unwalked::Told(Box::new(Refused::told(received, input, is_database_time))))
        }
        Err(refusal) => {
            let refused = Refused::new(received, refusal, clock.now(), is_database_time);
            Err(Unwalked::Refused(Box::new(refused)))
        }
    }
}

fn conclude_unwalked(worker: &Worker, unwalked: Unwalked) {
    match unwalked {
        Unwalked::Refused(refused) => refuse(worker, *refused),
        Unwalked::Nothing(received) => {
            worker.ports.metrics.asks_for_nothing();
            worker.live.tasks.spawn(acknowledge::nothing(*received));
        }
        Unwalked::Told(refused) => refuse::record_alone(worker, *refused),
        // It goes its own way.
        Unwalked::Signed(..) => {}
    }
}

/// The list beside the queue, once its signature is verified.
fn verify_aside(worker: Arc<Worker>, delivery: Delivery, input: SignedInput, commits: Commits) {
    worker.clone().live.tasks.spawn(async move {
        let Delivery { received, .. } = delivery;
        let parsed = match signed::verified(&worker, received, input).await {
            Verified::Event(received) => parse(&worker, received, Ok(Form::VERIFIED), None),
            Verified::Nothing(received) => Err(Unwalked::Nothing(Box::new(received))),
            Verified::Refused(refused) => Err(Unwalked::Refused(Box::new(refused))),
            Verified::Left => return,
        };
        match parsed {
            Ok(parsed) => walk(&worker, parsed, &commits).await,
            Err(unwalked) => conclude_unwalked(&worker, unwalked),
        }
    });
}

/// Whether nobody here may know its incident, on a queue where ordinary logouts would wait behind it.
fn may_wait_for_postgres(parsed: &Parsed) -> bool {
    parsed.event.incident.is_some() && *parsed.received.origin.queue == *LOGOUT_QUEUE
}

/// The list beside the queue: one such event after the other, and no logout behind it.
fn walk_aside(worker: Arc<Worker>, parsed: Parsed, commits: Commits, aside: Arc<Semaphore>) {
    let parsed = Parsed { place: None, ..parsed };
    worker.clone().live.tasks.spawn(async move {
        let _one = aside.acquire().await;
        walk(&worker, parsed, &commits).await;
    });
}

/// An event that Postgres cannot hold, or that its incident does not take, is refused like any other bad
/// input: waiting would hold up every event behind it.
fn unacceptable(worker: &Worker, taken: Taken, code: RefusalCode, detail: String) -> Refused {
    let Taken { received, event, .. } = taken;
    let refusal = Refusal::new(code, detail).of_event(Some(event.source), Some(event.id));
    Refused::new(received, refusal, worker.ports.clock.now(), true)
}
