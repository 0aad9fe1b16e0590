//! The messages to local verifiers (contract section 4).

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::target::{Kind, Target, TokenTypeHint};

/// Exchange that invalidations are published to.
pub const EXCHANGE: &str = "auth.invalidations";
/// CloudEvents type of an invalidation.
pub const TYPE: &str = "auth.invalidation.v1";
/// CloudEvents type of a heartbeat.
pub const HEARTBEAT_TYPE: &str = "auth.invalidation.heartbeat.v1";
/// Routing key of a heartbeat.
pub const HEARTBEAT_KEY: &str = "heartbeat";
/// Most targets in one message.
pub const MAX_TARGETS: usize = 500;

/// How far a revocation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Deny now.
    Requested,
    /// Revoked upstream: drop anything cached since.
    Confirmed,
}

/// A CloudEvents 1.0 envelope in structured mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// `1.0`
    pub specversion: String,
    /// UUID version 7.
    pub id: Uuid,
    /// `/revocation-worker/<instance>`
    pub source: String,
    /// [`TYPE`] or [`HEARTBEAT_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// The payload.
    pub data: T,
}

/// Payload of an invalidation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidation {
    /// Phase.
    pub phase: Phase,
    /// Provider.
    pub provider: String,
    /// The logout event that it follows from.
    pub event: EventRef,
    /// Incident, where the event is part of one.
    pub incident: Option<String>,
    /// 1 to [`MAX_TARGETS`] entries.
    pub targets: Vec<Entry>,
}

/// Identity of a logout event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
}

/// What to deny. A member that does not apply to the kind is left out; `iss` of a wide entry is null where any issuer is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// One token.
    Token {
        /// Lower-case hex SHA-256 of the token as presented after `Bearer `.
        token_sha256: String,
        /// What the event said it is.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        token_type_hint: Option<TokenTypeHint>,
        /// The JWT's `jti`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        jti: Option<String>,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Tokens with this `sid`.
    Session {
        /// Session.
        sid: String,
        /// Its subject, where known.
        sub: Option<String>,
        /// Issuer; null: any.
        iss: Option<String>,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Tokens of this `sub`.
    Subject {
        /// Issuer; null: any.
        iss: Option<String>,
        /// Subject.
        sub: String,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Tokens of this client.
    Client {
        /// OAuth client.
        client_id: String,
        /// Issuer; null: any.
        iss: Option<String>,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// Every token of this issuer.
    Issuer {
        /// Issuer.
        iss: String,
        /// Tokens issued at or before this moment are denied.
        #[serde(with = "time::serde::rfc3339")]
        not_before: OffsetDateTime,
        /// When the entry may be forgotten.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
}

impl Entry {
    /// The kind that the entry's message is routed by.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Token { .. } => Kind::Token,
            Self::Session { .. } => Kind::Session,
            Self::Subject { .. } => Kind::Subject,
            Self::Client { .. } => Kind::Client,
            Self::Issuer { .. } => Kind::Issuer,
        }
    }

    /// The entry of a target; `None` for a wide target that lacks the member naming it, which parsing does not let through.
    pub fn of(target: &Target, not_before: OffsetDateTime) -> Option<Self> {
        let (sub, sid, client_id, iss) = (target.sub.clone(), target.sid.clone(), target.client_id.clone(), target.iss.clone());
        let expires_at = target.deny_until;
        match target.selector.kind() {
            Kind::Token => target.token().map(|token| Self::Token {
                token_sha256: token.fingerprint.to_string(),
                token_type_hint: token.hint,
                jti: token.jti.clone(),
                expires_at,
            }),
            Kind::Session => sid.map(|sid| Self::Session { sid, sub, iss, not_before, expires_at }),
            Kind::Subject => sub.map(|sub| Self::Subject { iss, sub, not_before, expires_at }),
            Kind::Client => client_id.map(|client_id| Self::Client { client_id, iss, not_before, expires_at }),
            Kind::Issuer => iss.map(|iss| Self::Issuer { iss, not_before, expires_at }),
        }
    }
}

/// Payload of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The worker that is alive.
    pub instance: String,
}

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
}

impl Composer {
    /// A composer for messages from `instance`.
    pub fn new(instance: &str) -> Self {
        Self { source: format!("/revocation-worker/{instance}"), instance: instance.to_owned() }
    }

    /// The messages of one event in one phase: a message a provider and kind, split at [`MAX_TARGETS`].
    pub fn invalidations(&self, phase: Phase, event: &EventRef, incident: Option<&str>, entries: Vec<(String, Entry)>) -> Vec<Outgoing> {
        let mut groups: Vec<(String, Kind, Vec<Entry>)> = Vec::new();
        for (provider, entry) in entries {
            let kind = entry.kind();
            match groups.iter_mut().rev().find(|(p, k, g)| *p == provider && *k == kind && g.len() < MAX_TARGETS) {
                Some((_, _, group)) => group.push(entry),
                None => groups.push((provider, kind, vec![entry])),
            }
        }
        groups
            .into_iter()
            .map(|(provider, kind, targets)| {
                let routing_key = format!("invalidation.{provider}.{}", kind.as_str());
                let data = Invalidation { phase, provider, event: event.clone(), incident: incident.map(str::to_owned), targets };
                self.outgoing(routing_key, TYPE, data)
            })
            .collect()
    }

    /// The sign of life of the feed.
    pub fn heartbeat(&self) -> Outgoing {
        self.outgoing(HEARTBEAT_KEY.to_owned(), HEARTBEAT_TYPE, Heartbeat { instance: self.instance.clone() })
    }

    fn outgoing<T: Serialize>(&self, routing_key: String, kind: &'static str, data: T) -> Outgoing {
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: Uuid::now_v7(),
            source: self.source.clone(),
            kind: kind.to_owned(),
            time: OffsetDateTime::now_utc(),
            data,
        };
        // Serialising these types cannot fail: no map with other than string keys, no failing Serialize.
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        Outgoing { routing_key, id: envelope.id, kind, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize) -> (String, Entry) {
        let expires_at = OffsetDateTime::UNIX_EPOCH;
        ("main".to_owned(), Entry::Token { token_sha256: format!("{n:064x}"), token_type_hint: None, jti: None, expires_at })
    }

    fn event() -> EventRef {
        EventRef { source: "/apps/shop".to_owned(), id: "1".to_owned() }
    }

    #[test]
    fn a_message_a_provider_and_kind_of_at_most_500() {
        let mut entries: Vec<_> = (0..1000).map(entry).collect();
        let wide = Entry::Subject {
            iss: None,
            sub: "u".to_owned(),
            not_before: OffsetDateTime::UNIX_EPOCH,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        entries.insert(3, ("main".to_owned(), wide));
        let messages = Composer::new("w").invalidations(Phase::Requested, &event(), None, entries);
        let keys: Vec<_> = messages.iter().map(|m| &*m.routing_key).collect();
        assert_eq!(keys, ["invalidation.main.token", "invalidation.main.subject", "invalidation.main.token"]);
    }

    #[test]
    fn the_wire_form_is_the_contracts() {
        let wide = Entry::Subject {
            iss: None,
            sub: "user-1".to_owned(),
            not_before: OffsetDateTime::UNIX_EPOCH,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        let messages = Composer::new("pod-7").invalidations(Phase::Confirmed, &event(), Some("leak"), vec![("main".to_owned(), wide)]);
        let mut got: serde_json::Value = serde_json::from_slice(&messages[0].body).unwrap();
        got["id"] = "id".into();
        got["time"] = "time".into();
        assert_eq!(
            got,
            serde_json::json!({ "specversion": "1.0", "id": "id", "source": "/revocation-worker/pod-7", "type": "auth.invalidation.v1", "time": "time",
                "data": { "phase": "confirmed", "provider": "main", "event": { "source": "/apps/shop", "id": "1" }, "incident": "leak", "targets": [
                    { "kind": "subject", "iss": null, "sub": "user-1", "not_before": "1970-01-01T00:00:00Z", "expires_at": "1970-01-01T00:00:00Z" }] } })
        );
    }
}
