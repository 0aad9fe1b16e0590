//! What verifiers are told, as far as the benchmark counts it: targets, however messages share them.

use std::borrow::Cow;

use serde::Deserialize;

/// An invalidation.
#[derive(Deserialize)]
pub(crate) struct Message<'m> {
    #[serde(borrow)]
    data: Data<'m>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Requested,
    Confirmed,
}

#[derive(Deserialize)]
struct Data<'m> {
    phase: Phase,
    #[serde(borrow)]
    event: EventRef<'m>,
    /// The events of a message that several share.
    #[serde(borrow, default)]
    events: Vec<EventRef<'m>>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct EventRef<'m> {
    #[serde(borrow)]
    id: Cow<'m, str>,
}

#[derive(Deserialize)]
struct Target {
    /// Its event's place among the message's events.
    #[serde(default)]
    event: usize,
    #[serde(default)]
    token_type_hint: Option<Hint>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hint {
    AccessToken,
    RefreshToken,
}

impl<'m> Message<'m> {
    /// `None` for what is no invalidation, such as a heartbeat.
    pub(crate) fn read(body: &'m [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.data.phase
    }

    /// Of each target: the `id` of its event, and whether it is hinted to be a refresh token.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&str, bool)> {
        let Data { event, events, targets, .. } = &self.data;
        targets.iter().map(move |target| {
            let event = events.get(target.event).unwrap_or(event);
            (&*event.id, target.token_type_hint == Some(Hint::RefreshToken))
        })
    }
}
