//! What an event means, as one digest: two events of one identity are the same event exactly if this is the
//! same.

use aws_lc_rs::digest::{SHA256, digest};
use time::OffsetDateTime;

use super::LogoutEvent;
use crate::target::{Kind, Target};

/// Begins every digest, so that a later rule can be told from this one.
const RULE: &[u8] = b"revocation content 1";

/// SHA-256 of an event's type, incident, cutoff and set of targets.
///
/// Of the cutoff, what the event says, never what the receipt made of it: a delivery that comes again must be
/// the same event. `time` is a cutoff only where a target has one and `not_before` is absent. Reason, actor
/// and what an incident announces are told, not ordered, and do not count.
pub fn content(event: &LogoutEvent) -> [u8; 32] {
    let mut targets: Vec<_> = event.targets.iter().map(of_target).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut parts = Parts::new();
    parts.part(RULE);
    parts.part(event.event_type.as_str().as_bytes());
    parts.optional(event.incident.as_deref());
    parts.time(said_cutoff(event));
    targets.iter().for_each(|target| parts.part(target));
    parts.digest()
}

fn said_cutoff(event: &LogoutEvent) -> Option<OffsetDateTime> {
    let has_cutoff = event.targets.iter().any(|target| target.selector.kind() != Kind::Token);
    event.asked_not_before.or(event.occurred_at.filter(|_| has_cutoff))
}

/// What is revoked and what its denial names; what stands beside that is context.
fn of_target(target: &Target) -> [u8; 32] {
    let Target { sid, sub, client_id, iss, .. } = target;
    let kind = target.selector.kind();
    let mut parts = Parts::new();
    parts.part(kind.as_str().as_bytes());
    parts.part(target.provider.as_bytes());
    if let Some(token) = target.token() {
        parts.part(&token.fingerprint.0);
        parts.optional(token.hint.map(|hint| hint.as_str()));
    }
    let names: &[&Option<String>] = match kind {
        Kind::Token => &[],
        Kind::Session => &[sid, sub, iss],
        Kind::Subject => &[sub, iss],
        Kind::Client => &[client_id, iss],
        Kind::Issuer => &[iss],
    };
    names.iter().for_each(|name| parts.optional(name.as_deref()));
    parts.digest()
}

/// Parts with their lengths: no two lists of parts have the same bytes.
struct Parts(Vec<u8>);

impl Parts {
    fn new() -> Self {
        Self(Vec::with_capacity(256))
    }

    fn part(&mut self, part: &[u8]) {
        self.0.extend((part.len() as u64).to_be_bytes());
        self.0.extend(part);
    }

    /// An absent part is none that is there, however short.
    fn optional(&mut self, part: Option<&str>) {
        self.0.push(u8::from(part.is_some()));
        self.part(part.unwrap_or_default().as_bytes());
    }

    fn time(&mut self, time: Option<OffsetDateTime>) {
        self.0.push(u8::from(time.is_some()));
        self.part(&time.map_or(0, OffsetDateTime::unix_timestamp_nanos).to_be_bytes());
    }

    fn digest(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        bytes
    }
}
