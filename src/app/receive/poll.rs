//! Fetching a sender's events (RFC 8936). An event is acknowledged once it is published, confirmed; one that
//! is refused is told so; what can only be done later is not mentioned, and comes again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::Input;
use super::inputs::Receiver;
use crate::again::Again;
use crate::provider::SetPoll;
use crate::receive::shared_signals;
use crate::senders::{Failed, Known};

/// Most events of a response: what is read of one has an end.
const MOST_EVENTS: usize = 16;

/// What is to be said of events that came, with the next request.
#[derive(Default)]
struct Settled {
    done: Vec<String>,
    refused: Map<String, Value>,
}

/// Fetches the events of one sender until `stop` is cancelled.
pub(super) async fn run(receiver: Arc<Receiver>, name: String, stop: CancellationToken) {
    let Some(known) = receiver.senders.get(&name) else { return };
    let Some((poll, every)) = &known.poll else { return };
    let (mut again, mut settled, mut most) = (Again::until(&stop), Settled::default(), MOST_EVENTS);
    while !stop.is_cancelled() {
        let rounded = tokio::select! {
            rounded = round(&receiver, known, poll, &mut settled, most) => rounded,
            // What was not acknowledged comes again.
            () = stop.cancelled() => return,
        };
        match rounded {
            Ok(is_more) => {
                again.worked();
                most = (most * 2).min(MOST_EVENTS);
                if !is_more && settled.is_empty() {
                    wait(*every, &stop).await;
                }
            }
            Err(error) => {
                let failures = again.failed();
                tracing::warn!(sender = name, error, failures, "events cannot be fetched; trying again");
                // The response may have been longer than what is read of one.
                most = (most / 2).max(1);
                again.rest().await;
            }
        }
    }
}

async fn wait(period: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(period) => {}
        () = stop.cancelled() => {}
    }
}

/// One request, with what became of the events before it. Returns whether more are known to wait.
async fn round(
    receiver: &Receiver,
    known: &Known,
    poll: &SetPoll,
    settled: &mut Settled,
    most: usize,
) -> Result<bool, String> {
    let response = poll.poll(&settled.request(most)).await?;
    let Some(sets) = response.get("sets").and_then(Value::as_object) else {
        return Err("the response has no member `sets`".to_owned());
    };
    if !sets.is_empty() && sets.keys().all(|jti| settled.knows(jti)) {
        return Err("what was acknowledged comes again".to_owned());
    }
    *settled = Settled::default();
    let mut is_later = false;
    for (jti, token) in sets {
        let token = token.as_str().unwrap_or_default();
        let outcome = receiver.fetched(known, token).await;
        match &outcome {
            Ok(_) => settled.done.push(jti.clone()),
            Err(Failed::Refused(refused)) => {
                let err = shared_signals::error_code(refused.code);
                settled.refused.insert(jti.clone(), json!({ "err": err, "description": refused.why }));
            }
            Err(Failed::Unavailable(..) | Failed::OverRate(_)) => is_later = true,
        }
        receiver.concluded(Input::SignalPoll, known, token.as_bytes(), outcome);
    }
    if is_later && settled.is_empty() {
        return Err("none of what came could be published".to_owned());
    }
    Ok(!is_later && response.get("moreAvailable") == Some(&Value::Bool(true)))
}

impl Settled {
    fn is_empty(&self) -> bool {
        self.done.is_empty() && self.refused.is_empty()
    }

    fn knows(&self, jti: &String) -> bool {
        self.done.contains(jti) || self.refused.contains_key(jti)
    }

    /// RFC 8936 section 2.2.
    fn request(&self, most: usize) -> Value {
        let Self { done, refused } = self;
        json!({ "maxEvents": most, "returnImmediately": true, "ack": done, "setErrs": refused })
    }
}
