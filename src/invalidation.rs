//! Makes the messages to local verifiers (docs/contract.md, section 4). Their types are the verifiers' own.

mod fold;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

pub use fold::{Folder, is_due};
pub use revocation_verifier::message::{
    BEATS_STREAM, EXCHANGE, Entry, Envelope, EventRef, HEARTBEAT_KEY, HEARTBEAT_TYPE, Heartbeat,
    Invalidation, MARK_KEY, MARK_TYPE, MAX_TARGETS, Marking, Phase, Progress, Reached, SNAPSHOT_TYPE,
    SNAPSHOTS_STREAM, STREAM, SnapshotEnd, SnapshotPart, TYPE, TokenIssuer, VERIFIERS_EXCHANGE,
};

use crate::clock::Clock;
use crate::config::ClaimNames;
use crate::target::{Kind, Target};

/// The entry of a target, without the claim names that [`Composer`] adds; `None` for a wide target that lacks
/// the member naming it, which parsing does not let through.
pub fn entry_of(target: &Target, not_before: OffsetDateTime) -> Option<Entry> {
    let (sub, sid, client_id, iss) =
        (target.sub.clone(), target.sid.clone(), target.client_id.clone(), target.iss.clone());
    let expires_at = target.deny_until;
    match target.selector.kind() {
        Kind::Token => target.token().map(|token| Entry::Token {
            token_sha256: token.fingerprint.to_string(),
            signed_sha256: token.signed.map(|signed| signed.to_string()),
            token_type_hint: token.hint,
            jti: token.jti.clone(),
            iss: token.jti_iss.clone(),
            expires_at,
        }),
        Kind::Session => sid.map(|sid| Entry::Session { sid, sub, iss, not_before, expires_at }),
        Kind::Subject => sub.map(|sub| Entry::Subject {
            iss,
            sub,
            subject_claims: Vec::new(),
            claims_iss: None,
            not_before,
            expires_at,
        }),
        Kind::Client => client_id.map(|client_id| Entry::Client {
            client_id,
            iss,
            client_claims: Vec::new(),
            claims_iss: None,
            not_before,
            expires_at,
        }),
        Kind::Issuer => iss.map(|iss| Entry::Issuer { iss, not_before, expires_at }),
    }
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
    names: BTreeMap<Arc<str>, ClaimNames>,
    clock: Clock,
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

    /// The messages of one event in one phase: a message a provider and kind, split at [`MAX_TARGETS`].
    pub fn invalidations(
        &self,
        phase: Phase,
        event: &EventRef,
        incident: Option<&str>,
        entries: Vec<(String, Entry)>,
    ) -> Vec<Outgoing> {
        let mut groups: Vec<(String, Kind, Vec<Entry>)> = Vec::new();
        for (provider, entry) in entries.into_iter().flat_map(|(provider, entry)| self.named(provider, entry))
        {
            let kind = entry.kind();
            match groups
                .iter_mut()
                .rev()
                .find(|(p, k, g)| *p == provider && *k == kind && g.len() < MAX_TARGETS)
            {
                Some((_, _, group)) => group.push(entry),
                None => groups.push((provider, kind, vec![entry])),
            }
        }
        groups
            .into_iter()
            .map(|(provider, kind, targets)| {
                let routing_key = format!("invalidation.{provider}.{}", kind.as_str());
                let data = Invalidation {
                    phase,
                    provider,
                    event: event.clone(),
                    incident: incident.map(str::to_owned),
                    targets,
                };
                self.outgoing(routing_key, TYPE, data)
            })
            .collect()
    }

    /// The entry with the provider's names of claims; and again for the twin of the provider's issuer, where
    /// it means that issuer's tokens.
    fn named(&self, provider: String, mut entry: Entry) -> impl Iterator<Item = (String, Entry)> + use<> {
        let twin = self.name_claims(&provider, &mut entry).map(|twin| (provider.clone(), twin));
        std::iter::once((provider, entry)).chain(twin)
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

    /// A message of a snapshot.
    pub fn snapshot<T: Serialize>(&self, part: SnapshotPart<T>) -> Outgoing {
        self.outgoing(String::new(), SNAPSHOT_TYPE, part)
    }

    fn outgoing<T: Serialize>(&self, routing_key: String, kind: &'static str, data: T) -> Outgoing {
        let envelope = Envelope::at(self.now(), self.source.clone(), kind, data);
        Outgoing { routing_key, id: envelope.id, kind, body: envelope.to_json() }
    }
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
mod tests {
    use super::*;

    fn entry(n: usize) -> (String, Entry) {
        let expires_at = OffsetDateTime::UNIX_EPOCH;
        (
            "main".to_owned(),
            Entry::Token {
                token_sha256: format!("{n:064x}"),
                token_type_hint: None,
                signed_sha256: None,
                jti: None,
                iss: TokenIssuer::NotSaid,
                expires_at,
            },
        )
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
            subject_claims: Vec::new(),
            claims_iss: None,
            not_before: OffsetDateTime::UNIX_EPOCH,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        entries.insert(3, ("main".to_owned(), wide));
        let messages = Composer::new("w").invalidations(Phase::Requested, &event(), None, entries);
        let keys: Vec<_> = messages.iter().map(|m| &*m.routing_key).collect();
        assert_eq!(keys, ["invalidation.main.token", "invalidation.main.subject", "invalidation.main.token"]);
    }

    fn names(subject: &[&str], client: &[&str], issuer: Option<&str>) -> ClaimNames {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ClaimNames {
            subject: list(subject),
            client: list(client),
            issuer: issuer.map(str::to_owned),
            twin: None,
        }
    }

    /// What an entry of a provider says of claims: whose issuer, which names, in whose tokens.
    fn named(names: ClaimNames, provider: &str, entry: serde_json::Value) -> serde_json::Value {
        let composer = Composer::new("w").with_names(BTreeMap::from([("main".into(), names)]));
        let entry = serde_json::from_value(entry).unwrap();
        let message = composer
            .invalidations(Phase::Requested, &event(), None, vec![(provider.to_owned(), entry)])
            .remove(0);
        let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        let entry = &body["data"]["targets"][0];
        serde_json::json!([entry["subject_claims"], entry["client_claims"], entry["claims_iss"]])
    }

    #[test]
    fn claim_names_travel_with_the_issuer_in_whose_tokens_they_count() {
        use serde_json::json;
        let wide = |members: serde_json::Value| {
            let mut entry =
                json!({ "not_before": "1970-01-01T00:00:00Z", "expires_at": "1970-01-01T00:00:00Z" });
            entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            entry
        };
        let subject = |iss: Option<&str>| wide(json!({ "kind": "subject", "sub": "u", "iss": iss }));
        let client = |iss: Option<&str>| wide(json!({ "kind": "client", "client_id": "c", "iss": iss }));
        let okta = |issuer| names(&["uid"], &["cid", "app"], issuer);
        let nothing = json!([null, null, null]);
        assert_eq!(named(okta(Some("o")), "main", subject(None)), json!([["uid"], null, "o"]));
        assert_eq!(named(okta(Some("o")), "main", client(None)), json!([null, ["cid", "app"], "o"]));
        assert_eq!(
            named(okta(Some("o")), "main", subject(Some("i"))),
            json!([["uid"], null, null]),
            "those of its own issuer"
        );
        assert_eq!(named(okta(None), "main", client(Some("i"))), json!([null, ["cid", "app"], null]));
        assert_eq!(named(okta(None), "main", subject(None)), nothing, "in whose tokens is not known");
        assert_eq!(named(okta(Some("o")), "other", subject(None)), nothing, "another provider's");
        assert_eq!(named(names(&[], &["cid"], Some("o")), "main", subject(None)), nothing);
        assert_eq!(named(names(&["uid"], &[], Some("o")), "main", client(None)), nothing);
        for other in [
            wide(json!({ "kind": "session", "sid": "s", "sub": "u", "iss": null })),
            wide(json!({ "kind": "issuer", "iss": "i" })),
            wide(json!({ "kind": "token", "token_sha256": "00" })),
        ] {
            assert_eq!(named(okta(Some("o")), "main", other), nothing);
        }
    }

    #[test]
    fn an_entry_of_a_provider_with_two_issuers_is_published_for_both() {
        let twin = || ClaimNames { twin: Some("v1".to_owned()), ..names(&["oid"], &["appid"], Some("v2")) };
        let entries = |names: ClaimNames, iss: Option<&str>| {
            let composer = Composer::new("w").with_names(BTreeMap::from([("main".into(), names)]));
            let time = "1970-01-01T00:00:00Z";
            let subject = serde_json::json!({ "kind": "subject", "sub": "u", "iss": iss, "not_before": time, "expires_at": time });
            let client = serde_json::json!({ "kind": "client", "client_id": "c", "iss": iss, "not_before": time, "expires_at": time });
            let given =
                [subject, client].map(|entry| ("main".to_owned(), serde_json::from_value(entry).unwrap()));
            let messages = composer.invalidations(Phase::Requested, &event(), None, given.into());
            let bodies = messages
                .iter()
                .map(|message| serde_json::from_slice::<serde_json::Value>(&message.body).unwrap());
            let targets = bodies.flat_map(|body| body["data"]["targets"].as_array().unwrap().clone());
            let claims = |entry: &serde_json::Value| {
                entry.get("subject_claims").or(entry.get("client_claims")).cloned()
            };
            serde_json::Value::from_iter(
                targets.map(|entry| serde_json::json!([claims(&entry), entry["iss"], entry["claims_iss"]])),
            )
        };
        assert_eq!(
            entries(twin(), None),
            serde_json::json!([
                [["oid"], null, "v2"],
                [["oid"], null, "v1"],
                [["appid"], null, "v2"],
                [["appid"], null, "v1"]
            ])
        );
        assert_eq!(
            entries(twin(), Some("v2")),
            serde_json::json!([
                [["oid"], "v2", null],
                [["oid"], "v1", null],
                [["appid"], "v2", null],
                [["appid"], "v1", null]
            ])
        );
        let of_another = serde_json::json!([[["oid"], "x", null], [["appid"], "x", null]]);
        assert_eq!(entries(twin(), Some("x")), of_another, "the issuer that the target names, and no other");
        let without_claims = ClaimNames { subject: Vec::new(), client: Vec::new(), ..twin() };
        assert_eq!(
            entries(without_claims, None),
            serde_json::json!([[null, null, null], [null, null, null]])
        );
    }

    #[test]
    fn the_wire_form_is_the_contracts() {
        let wide = Entry::Subject {
            iss: None,
            sub: "user-1".to_owned(),
            subject_claims: Vec::new(),
            claims_iss: None,
            not_before: OffsetDateTime::UNIX_EPOCH,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        let messages = Composer::new("pod-7").invalidations(
            Phase::Confirmed,
            &event(),
            Some("leak"),
            vec![("main".to_owned(), wide)],
        );
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
