//! New events and their targets as arrays, a column each.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Disposition, Line, NewTarget};
use crate::store::jti_iss;
use crate::store::rejected::storable;
use crate::target::{Kind, Target, TargetId};

macro_rules! columns {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Default)]
        pub(in crate::store) struct $name<'a> { $(pub(super) $field: Vec<$type>,)* }
    };
}

columns!(EventColumns {
    row: Uuid, source: &'a str, id: &'a str, real_id: Option<&'a str>, event_type: &'static str, lane: &'static str, reason: Option<&'a str>, actor: Option<&'a str>,
    incident: Option<&'a str>, incident_targets: Option<i64>, occurred_at: Option<OffsetDateTime>, received_at: OffsetDateTime,
    not_before: OffsetDateTime, broker_user: Option<String>, body_sha256: &'a [u8],
    content_sha256: &'a [u8], targets: i16, has_cutoff: bool, withheld: bool, identity_reused: bool, beside: Option<Uuid>,
});

columns!(TargetColumns {
    event: Uuid, ordinal: i16, provider: &'a str, lane: &'static str, kind: &'static str, hint: Option<&'static str>, sha256: Option<&'a [u8]>,
    jti: Option<&'a str>, sub: Option<&'a str>, sid: Option<&'a str>, client_id: Option<&'a str>, iss: Option<&'a str>,
    expires_at: Option<OffsetDateTime>, deny_until: OffsetDateTime, give_up_at: OffsetDateTime, state: &'static str, lease: bool,
    sealed: Option<&'a [u8]>, sealed_key: Option<&'a str>, received_at: OffsetDateTime, incident: &'a str, waiting: bool,
    signed: Option<&'a [u8]>, jti_iss: Option<&'a str>, party: i16,
});

#[derive(Default)]
pub(in crate::store) struct Columns<'a> {
    pub(super) events: EventColumns<'a>,
    pub(super) targets: TargetColumns<'a>,
}

impl<'a> Columns<'a> {
    /// In the order of the lines.
    pub(in crate::store) fn collect(lines: impl IntoIterator<Item = &'a Line<'a>>) -> Self {
        let mut columns = Self::default();
        for line in lines {
            let new = line.new;
            columns.events.push(line);
            for (ordinal, (target, plan)) in (0..).zip(new.event.targets.iter().zip(new.targets)) {
                columns.targets.push(TargetId { event: new.row, ordinal }, line, target, plan);
            }
        }
        columns
    }
}

impl<'a> EventColumns<'a> {
    fn push(&mut self, line: &'a Line<'a>) {
        let (new, event) = (line.new, line.new.event);
        self.row.push(new.row);
        self.source.push(&event.source);
        self.id.push(line.id());
        self.real_id.push(line.key.is_some().then_some(&event.id));
        self.event_type.push(event.event_type.as_str());
        self.lane.push(event.lane().as_str());
        self.reason.push(event.reason.as_deref());
        self.actor.push(event.actor.as_deref());
        self.incident.push(line.incident());
        self.incident_targets.push(event.incident_targets);
        self.occurred_at.push(event.occurred_at);
        self.received_at.push(event.received_at);
        self.not_before.push(event.not_before);
        self.broker_user.push(new.broker_user.map(storable));
        self.body_sha256.push(&new.body_sha256);
        self.content_sha256.push(&new.content_sha256);
        self.targets.push(i16::try_from(event.targets.len()).unwrap_or(i16::MAX));
        self.has_cutoff.push(event.targets.iter().any(|target| target.selector.kind() != Kind::Token));
        self.withheld.push(new.incident.is_some_and(|approval| approval.withheld));
        self.identity_reused.push(line.identity_reused);
        self.beside.push(new.beside);
    }
}

impl<'a> TargetColumns<'a> {
    fn push(&mut self, id: TargetId, line: &'a Line<'a>, target: &'a Target, plan: &'a NewTarget) {
        let (new, event, token) = (line.new, line.new.event, target.token());
        self.party.push(new.party.stored());
        self.event.push(id.event);
        self.ordinal.push(id.ordinal);
        self.provider.push(&target.provider);
        self.lane.push(event.lane().as_str());
        self.kind.push(target.selector.kind().as_str());
        self.hint.push(token.and_then(|t| t.hint).map(|hint| hint.as_str()));
        self.sha256.push(token.map(|t| &t.fingerprint.0[..]));
        self.signed.push(token.and_then(|t| t.signed.as_ref()).map(|signed| &signed.0[..]));
        self.jti.push(token.and_then(|t| t.jti.as_deref()));
        self.jti_iss.push(token.and_then(|t| jti_iss::stored(&t.jti_iss)));
        self.sub.push(target.sub.as_deref());
        self.sid.push(target.sid.as_deref());
        self.client_id.push(target.client_id.as_deref());
        self.iss.push(target.iss.as_deref());
        self.expires_at.push(target.token_expires_at());
        self.deny_until.push(target.deny_until);
        self.received_at.push(event.received_at);
        self.incident.push(line.incident().unwrap_or_default());
        self.push_plan(plan);
    }

    fn push_plan(&mut self, plan: &'a NewTarget) {
        self.give_up_at.push(plan.give_up_at);
        self.state.push(match plan.disposition {
            Disposition::Lease | Disposition::Wait | Disposition::Turn => "pending",
            Disposition::Unsupported => "unsupported",
            Disposition::Expired => "expired",
        });
        self.lease.push(plan.disposition == Disposition::Lease);
        self.waiting.push(plan.disposition == Disposition::Turn);
        self.sealed.push(plan.sealed.as_ref().map(|sealed| &sealed.bytes[..]));
        self.sealed_key.push(plan.sealed.as_ref().map(|sealed| &sealed.key_id[..]));
    }
}
