//! Composing: a message's members, and which names of claims an entry carries.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use revocation_verifier::message::{
    CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpointing, Entry, Envelope, EventOf, EventRef, HEARTBEAT_KEY,
    HEARTBEAT_TYPE, Heartbeat, MARK_KEY, MARK_TYPE, Marking, Phase, Progress, SNAPSHOT_TYPE, SnapshotPart,
    TYPE, TargetOf,
};

use super::gather::{Gathered, Gathering};
use crate::clock::Clock;
use crate::config::ClaimNames;
use crate::target::Kind;

/// A message ready to be published.
#[derive(Clone)]
pub struct Outgoing {
    /// Routing key.
    pub routing_key: String,
    /// AMQP `message_id`: the envelope's id.
    pub id: Uuid,
    /// AMQP `type`: the envelope's type.
    pub kind: &'static str,
    /// JSON.
    pub body: Vec<u8>,
}

/// Makes messages in the name of one worker instance.
#[derive(Clone)]
pub struct Composer {
    source: String,
    instance: String,
    names: BTreeMap<Arc<str>, ClaimNames>,
    clock: Clock,
}

/// The routing key of what is said of such targets of a provider.
pub fn routing_key(provider: &str, kind: Kind) -> String {
    format!("invalidation.{provider}.{}", kind.as_str())
}

impl Composer {
    /// A composer for messages from `instance`.
    pub fn new(instance: &str) -> Self {
        let (source, instance) = (format!("/revocation-worker/{instance}"), instance.to_owned());
        Self { source, instance, names: BTreeMap::new(), clock: Clock::default() }
    }

    /// The same, adding the providers' own names of claims to entries of subjects and clients. They are not
    /// on record with a target: what is published again has those of the settings in force.
    #[must_use]
    pub fn with_names(self, names: BTreeMap<Arc<str>, ClaimNames>) -> Self {
        Self { names, ..self }
    }

    /// The same, with the times of another clock.
    #[must_use]
    pub fn by(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// What time it is in the messages.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// The messages on several events in one phase.
    pub fn invalidations(
        &self,
        phase: Phase,
        events: impl IntoIterator<Item = (EventOf, Vec<(Arc<str>, Entry)>)>,
    ) -> Vec<Outgoing> {
        let mut gathering = Gathering::default();
        for (event, entries) in events {
            gathering.add(&Arc::new(event), self.named(entries), &());
        }
        std::iter::from_fn(|| gathering.take())
            .filter_map(|gathered| self.message(phase, &gathered))
            .collect()
    }

    /// The message that says what was gathered, by [`named`](Self::named) entries; `None` where that is
    /// nothing.
    pub fn message<W>(&self, phase: Phase, gathered: &Gathered<W>) -> Option<Outgoing> {
        let Gathered { provider, kind, events, targets, .. } = gathered;
        let EventOf { event, incident, traceparent } = &**events.first()?;
        let traceparent = traceparent.clone().filter(|_| events.len() == 1);
        let events = events.iter().map(|event| &**event).collect();
        let data = Data { phase, provider, event, incident, events, targets };
        let envelope = Envelope { traceparent, ..self.envelope(TYPE, data) };
        Some(outgoing(routing_key(provider, *kind), TYPE, &envelope))
    }

    /// Entries with their providers' names of claims; and again for the twin of a provider's issuer, where
    /// they mean that issuer's tokens.
    pub fn named(
        &self,
        entries: impl IntoIterator<Item = (Arc<str>, Entry)>,
    ) -> impl Iterator<Item = (Arc<str>, Entry)> {
        entries.into_iter().flat_map(|(provider, mut entry)| {
            let twin = self.name_claims(&provider, &mut entry).map(|twin| (provider.clone(), twin));
            std::iter::once((provider, entry)).chain(twin)
        })
    }

    /// The names count in tokens of the target's issuer, else of the provider's; with neither they are left
    /// out, since in tokens of anybody else the same claim names somebody else.
    fn name_claims(&self, provider: &str, entry: &mut Entry) -> Option<Entry> {
        let names = self.names.get(provider)?;
        let (iss, own, listed, scope) = claims_of(entry, names)?;
        if own.is_empty() || (iss.is_none() && names.issuer.is_none()) {
            return None;
        }
        listed.clone_from(own);
        *scope = names.issuer.clone().filter(|_| iss.is_none());
        let means_twin = iss.is_none() || *iss == names.issuer;
        let other = names.twin.clone().filter(|_| means_twin)?;
        let mut twin = entry.clone();
        let (iss, _, _, scope) = claims_of(&mut twin, names)?;
        let whose = if iss.is_none() { scope } else { iss };
        *whose = Some(other);
        Some(twin)
    }

    /// The sign of life of the feed, as older workers give it: for the log alone.
    pub fn heartbeat(&self) -> Outgoing {
        self.beat(None)
    }

    /// The sign of life of the feed, and how far its sender has published.
    pub fn beat(&self, progress: Option<Progress>) -> Outgoing {
        self.outgoing(
            HEARTBEAT_KEY.to_owned(),
            HEARTBEAT_TYPE,
            Heartbeat { instance: self.instance.clone(), progress },
        )
    }

    /// A message for the log that denies nothing.
    pub fn mark(&self) -> Outgoing {
        self.outgoing(MARK_KEY.to_owned(), MARK_TYPE, Marking { instance: self.instance.clone() })
    }

    /// A checkpoint of the record, for the log.
    pub fn checkpoint(&self, checkpoint: Checkpointing) -> Outgoing {
        self.outgoing(CHECKPOINT_KEY.to_owned(), CHECKPOINT_TYPE, checkpoint)
    }

    /// A message of a snapshot.
    pub fn snapshot<T: Serialize>(&self, part: SnapshotPart<T>) -> Outgoing {
        self.outgoing(String::new(), SNAPSHOT_TYPE, part)
    }

    fn outgoing<T: Serialize>(&self, routing_key: String, kind: &'static str, data: T) -> Outgoing {
        outgoing(routing_key, kind, &self.envelope(kind, data))
    }

    fn envelope<T: Serialize>(&self, kind: &str, data: T) -> Envelope<T> {
        Envelope::at(self.now(), self.source.clone(), kind, data)
    }
}

fn outgoing<T: Serialize>(routing_key: String, kind: &'static str, envelope: &Envelope<T>) -> Outgoing {
    Outgoing { routing_key, id: envelope.id, kind, body: envelope.to_json() }
}

/// [`Invalidation`](revocation_verifier::message::Invalidation), borrowed.
#[derive(Serialize)]
struct Data<'a> {
    phase: Phase,
    provider: &'a str,
    event: &'a EventRef,
    incident: &'a Option<String>,
    events: Vec<&'a EventOf>,
    targets: &'a [TargetOf],
}

/// An entry's issuer, the provider's names of claims for its kind, and where they and the issuer of theirs
/// go.
type Named<'e, 'n> = (&'e mut Option<String>, &'n Vec<String>, &'e mut Vec<String>, &'e mut Option<String>);

fn claims_of<'e, 'n>(entry: &'e mut Entry, names: &'n ClaimNames) -> Option<Named<'e, 'n>> {
    match entry {
        Entry::Subject { iss, subject_claims, claims_iss, .. } => {
            Some((iss, &names.subject, subject_claims, claims_iss))
        }
        Entry::Client { iss, client_claims, claims_iss, .. } => {
            Some((iss, &names.client, client_claims, claims_iss))
        }
        Entry::Token { .. } | Entry::Session { .. } | Entry::Issuer { .. } => None,
    }
}

#[cfg(test)]
mod tests;
