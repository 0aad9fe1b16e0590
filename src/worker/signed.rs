//! Events that their senders sign: verified beside the queue, by the rules of `receive`, before anything is
//! denied.
//!
//! Where a sender's keys cannot be fetched, its events are neither acknowledged nor refused: a few are held
//! with all they are while somebody tries, the others without their bodies, until there are keys or long
//! enough has passed; then they go back to the broker and are taken again. What finds no place to wait is
//! refused, so that it holds up nobody else, and can be put back from `revocation.dead`.

use std::time::Duration;

use super::parts::Worker;
use super::postgres::LONGEST_HOLD;
use super::refused::Refused;
use crate::broker::Received;
use crate::event::{Refusal, RefusalCode, SignedInput};
use crate::receive::shared_signals::Signal;
use crate::receive::{Code, KeySet, Message, Refused as Why};
use crate::senders::{Failed, Known};

/// How long one waits with all it is: longer than it takes to fetch keys.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of one.
pub(super) enum Verified {
    /// It is an event, to be read as such.
    Event(Received),
    /// It asks for nothing.
    Nothing(Received),
    Refused(Refused),
    /// It is with the broker again.
    Left,
}

enum Verdict<'w> {
    Event(Vec<u8>),
    Nothing,
    Refused(Refusal),
    /// It cannot be told now: there were these keys of its sender, and whether they are lacking its own.
    Later(&'w Known, (u64, bool)),
}

/// Verifies one; returns once that is done, or it went back.
pub(super) async fn verified(worker: &Worker, mut received: Received, input: SignedInput) -> Verified {
    let is_database_time = worker.ports.clock.is_known();
    let verdict = tokio::select! {
        biased;
        () = worker.live.stop.cancelled() => return Verified::Left,
        verdict = judged(worker, received.body.bytes(), input) => verdict,
    };
    let refusal = match verdict {
        Verdict::Event(event) => {
            received.origin.verified = Some(event.into());
            return Verified::Event(received);
        }
        Verdict::Nothing => return Verified::Nothing(received),
        Verdict::Refused(refusal) => refusal,
        Verdict::Later(known, lacking) => match wait(worker, known, lacking, received).await {
            None => return Verified::Left,
            Some((back, refusal)) => {
                received = back;
                refusal
            }
        },
    };
    Verified::Refused(Refused::new(received, refusal, worker.ports.clock.now(), is_database_time))
}

async fn judged<'w>(worker: &'w Worker, body: &[u8], input: SignedInput) -> Verdict<'w> {
    let senders = worker.ports.senders.values();
    let found = Message::read(body, input).and_then(|message| Ok((message.sender(senders)?, message)));
    let (known, message) = match found {
        Ok(found) => found,
        Err(refused) => return Verdict::Refused(refused.of_event(None)),
    };
    let (sender, now) = (&known.sender, worker.ports.clock.now());
    let judge = |keys: &KeySet| message.says(keys, sender, now);
    let number = known.keys_number();
    let is_unknown = |why: &Why| why.code == Code::UnknownKey;
    let said = match known.judged_at_once(judge) {
        Some(said) if !said.as_ref().is_err_and(is_unknown) => said,
        lacking => {
            let lacking = (number, lacking.is_some());
            let Some(_asking) = known.asking() else { return Verdict::Later(known, lacking) };
            let asked = known.judged_once(&worker.ports.metrics.key_fetches, judge);
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(signal)) => Ok(signal),
                Ok(Err(Failed::Refused(refused))) => Err(refused),
                Ok(Err(Failed::Unavailable(..) | Failed::OverRate(_))) | Err(_) => {
                    return Verdict::Later(known, lacking);
                }
            }
        }
    };
    match said {
        Ok(Signal::Order(order)) => Verdict::Event(order.event(sender)),
        Ok(Signal::Nothing(_)) => Verdict::Nothing,
        Err(refused) => Verdict::Refused(refused.of_event(Some(&sender.name))),
    }
}

/// Waits without its body for the keys that it is lacking, then has it delivered again. Where too many
/// wait already, it is to be refused.
async fn wait(
    worker: &Worker,
    known: &Known,
    lacking: (u64, bool),
    mut received: Received,
) -> Option<(Received, Refusal)> {
    let (name, metrics) = (&known.sender.name, &worker.ports.metrics);
    let Some(place) = worker.live.keyless.place(name) else {
        let why = format!(
            "sender {name}: its keys cannot be fetched, and as many of its events as may wait for them; put \
             it back with `dead requeue` once they can"
        );
        return Some((received, Refusal::new(RefusalCode::BadSignature, why)));
    };
    metrics.signed_waiting(worker.live.keyless.count());
    if place.is_first() {
        tracing::warn!(sender = %name, "signed events wait: their sender's keys cannot be fetched");
    }
    received.set_aside();
    let ready = known.keys_ready(lacking, &metrics.key_fetches);
    let is_over = tokio::select! {
        () = worker.live.stop.cancelled() => false,
        _ = tokio::time::timeout(LONGEST_HOLD, ready) => true,
    };
    drop(place);
    metrics.signed_waiting(worker.live.keyless.count());
    if is_over {
        received.hand_back().await;
    }
    None
}
