//! An event on its way into the table, and its rows as the types of migrations 0015 and 0043 have them.

use std::borrow::Cow;

use time::OffsetDateTime;
use uuid::Uuid;

use super::new_event::{Disposition, NewEvent, NewTarget};
use crate::store::jti_iss;
use crate::store::rejected::storable;
use crate::target::{Kind, Target, TargetId};
use crate::trace::{STORED, Trace};

/// An event on its way into the table.
pub(in crate::store) struct Line<'a> {
    pub(in crate::store) new: &'a NewEvent<'a>,
    /// What stands in `id` instead of the event's own.
    key: Option<String>,
    pub(super) identity_reused: bool,
    /// Its own incident, or a further one of the same minute, where that takes no more.
    pub(in crate::store) incident: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    pub(super) fn of(new: &'a NewEvent<'a>, identity_reused: bool) -> Self {
        let key = (identity_reused || new.beside.is_some()).then(|| new.key());
        Self { new, key, identity_reused, incident: new.event.incident.as_deref().map(Cow::Borrowed) }
    }

    pub(super) fn id(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.new.event.id)
    }

    /// Its row, and those of its targets.
    pub(super) fn rows(&self) -> (EventRow<'_>, impl Iterator<Item = TargetRow<'_>>) {
        let targets = (0..).zip(self.new.event.targets.iter().zip(self.new.targets));
        let target = |(ordinal, (target, plan))| {
            TargetRow::of(TargetId { event: self.new.row, ordinal }, self, target, plan)
        };
        (EventRow::of(self), targets.map(target))
    }
}

/// `revocation.new_traced_event`.
#[derive(sqlx::Encode)]
pub(super) struct EventRow<'a> {
    event_id: Uuid,
    source: &'a str,
    id: &'a str,
    real_id: Option<&'a str>,
    event_type: &'static str,
    lane: &'static str,
    reason: Option<&'a str>,
    actor: Option<&'a str>,
    incident: Option<&'a str>,
    incident_targets: Option<i64>,
    occurred_at: Option<OffsetDateTime>,
    received_at: OffsetDateTime,
    not_before: OffsetDateTime,
    broker_user: Option<String>,
    body_sha256: &'a [u8],
    content_sha256: &'a [u8],
    targets: i16,
    has_cutoff: bool,
    withheld: bool,
    identity_reused: bool,
    beside: Option<Uuid>,
    trace: Option<[u8; STORED]>,
}

/// `revocation.new_target`.
#[derive(sqlx::Encode)]
pub(super) struct TargetRow<'a> {
    event_id: Uuid,
    ordinal: i16,
    provider: &'a str,
    lane: &'static str,
    incident: &'a str,
    party: i16,
    kind: &'static str,
    token_type_hint: Option<&'static str>,
    token_sha256: Option<&'a [u8]>,
    signed_sha256: Option<&'a [u8]>,
    jti: Option<&'a str>,
    jti_iss: Option<&'a str>,
    sub: Option<&'a str>,
    sid: Option<&'a str>,
    client_id: Option<&'a str>,
    iss: Option<&'a str>,
    token_expires_at: Option<OffsetDateTime>,
    deny_until: OffsetDateTime,
    give_up_at: OffsetDateTime,
    state: &'static str,
    waiting: bool,
    leased: bool,
    sealed: Option<&'a [u8]>,
    sealed_key: Option<&'a str>,
    finished_at: Option<OffsetDateTime>,
}

composite!(EventRow<'_>, "revocation.new_traced_event");
composite!(TargetRow<'_>, "revocation.new_target");

impl<'a> EventRow<'a> {
    fn of(line: &'a Line<'_>) -> Self {
        let (new, event) = (line.new, line.new.event);
        Self {
            event_id: new.row,
            source: &event.source,
            id: line.id(),
            real_id: line.key.is_some().then_some(&event.id),
            event_type: event.event_type.as_str(),
            lane: event.lane().as_str(),
            reason: event.reason.as_deref(),
            actor: event.actor.as_deref(),
            incident: line.incident.as_deref(),
            incident_targets: event.incident_targets,
            occurred_at: event.occurred_at,
            received_at: event.received_at,
            not_before: event.not_before,
            broker_user: new.broker_user.map(storable),
            body_sha256: &new.body_sha256,
            content_sha256: &new.content_sha256,
            targets: i16::try_from(event.targets.len()).unwrap_or(i16::MAX),
            has_cutoff: event.targets.iter().any(|target| target.selector.kind() != Kind::Token),
            withheld: new.incident.is_some_and(|approval| approval.withheld),
            identity_reused: line.identity_reused,
            beside: new.beside,
            trace: event.trace.map(Trace::stored),
        }
    }
}

impl<'a> TargetRow<'a> {
    fn of(id: TargetId, line: &'a Line<'_>, target: &'a Target, plan: &'a NewTarget) -> Self {
        let (event, token) = (line.new.event, target.token());
        let state = match plan.disposition {
            Disposition::Lease | Disposition::Wait | Disposition::Turn => "pending",
            Disposition::Unsupported => "unsupported",
            Disposition::Expired => "expired",
        };
        Self {
            event_id: id.event,
            ordinal: id.ordinal,
            provider: &target.provider,
            lane: event.lane().as_str(),
            incident: line.incident.as_deref().unwrap_or_default(),
            party: line.new.party.stored(),
            kind: target.selector.kind().as_str(),
            token_type_hint: token.and_then(|t| t.hint).map(|hint| hint.as_str()),
            token_sha256: token.map(|t| &t.fingerprint.0[..]),
            signed_sha256: token.and_then(|t| t.signed.as_ref()).map(|signed| &signed.0[..]),
            jti: token.and_then(|t| t.jti.as_deref()),
            jti_iss: token.and_then(|t| jti_iss::stored(&t.jti_iss)),
            sub: target.sub.as_deref(),
            sid: target.sid.as_deref(),
            client_id: target.client_id.as_deref(),
            iss: target.iss.as_deref(),
            token_expires_at: target.token_expires_at(),
            deny_until: target.deny_until,
            give_up_at: plan.give_up_at,
            state,
            waiting: plan.disposition == Disposition::Turn,
            leased: plan.disposition == Disposition::Lease,
            sealed: plan.sealed.as_ref().map(|sealed| &sealed.bytes[..]),
            sealed_key: plan.sealed.as_ref().map(|sealed| &sealed.key_id[..]),
            finished_at: (state != "pending").then_some(event.received_at),
        }
    }
}
