//! The denials that lie in the log of the invalidations.

use serde::Deserialize;
use time::OffsetDateTime;

use super::log::Log;
use super::{Broker, BrokerError};
use crate::invalidation::{Envelope, EventRef, MARK_KEY, Phase, TYPE};

/// Of an invalidation, whom it is about, and nothing of its targets.
#[derive(Deserialize)]
struct About {
    phase: Phase,
    event: EventRef,
    #[serde(default)]
    events: Vec<EventRef>,
}

/// What one message of the log denies.
pub struct Denied {
    /// Its events, at least one.
    pub events: Vec<EventRef>,
    /// When it was made, by its maker's word.
    pub at: OffsetDateTime,
    /// Who made it, by its own word: `/revocation-worker/<instance>`.
    pub by: String,
}

/// A message of the log.
pub enum Logged {
    /// It denies something.
    Denied(Denied),
    /// It denies nothing: a confirmation, a mark, a checkpoint, a message of a type that is not known.
    Other,
    /// It is no message that a verifier could read.
    Unreadable,
}

/// A reading of the log.
pub struct Denials(Log);

impl Broker {
    /// Begins to read the denials that were published since then, or all that the log has.
    ///
    /// # Errors
    /// The broker cannot be reached, or has no such stream.
    pub async fn denials(&self, since: Option<OffsetDateTime>) -> Result<Denials, BrokerError> {
        Ok(Denials(self.log(since).await?))
    }
}

impl Denials {
    /// When the oldest message of the log was made, by its maker's word.
    pub fn oldest(&self) -> Option<OffsetDateTime> {
        self.0.oldest
    }

    /// The next message; `None`: that was the last when the reading began.
    ///
    /// # Errors
    /// The log cannot be read to its end.
    pub async fn next(&mut self) -> Result<Option<Logged>, BrokerError> {
        let delivery = self.0.next().await?;
        Ok(delivery.map(|delivery| read(delivery.routing_key.as_str(), &delivery.data)))
    }

    /// Ends the reading.
    pub async fn close(self) {
        self.0.close().await;
    }
}

fn read(routing_key: &str, body: &[u8]) -> Logged {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: String,
    }
    if routing_key == MARK_KEY {
        return Logged::Other;
    }
    match serde_json::from_slice::<Typed>(body) {
        Ok(typed) if typed.kind != TYPE => return Logged::Other,
        Ok(_) => {}
        Err(_) => return Logged::Unreadable,
    }
    let Ok(Envelope { source, time, data, .. }) = serde_json::from_slice::<Envelope<About>>(body) else {
        return Logged::Unreadable;
    };
    let About { phase: Phase::Requested, event, events } = data else { return Logged::Other };
    let events = if events.is_empty() { vec![event] } else { events };
    Logged::Denied(Denied { events, at: time, by: source })
}
