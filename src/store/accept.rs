//! Accepting: a batch of events and their targets in one statement, one commit.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::mass::accept_mass;
use super::rejected::storable;
use super::{Store, StoreError, WorkerNo, jti_iss};
use crate::event::LogoutEvent;
use crate::seal::Sealed;
use crate::target::{Kind, Target, TargetId};

/// An event about to be accepted.
pub struct NewEvent<'a> {
    /// Its row id: UUID version 7, made by this worker.
    pub row: Uuid,
    /// The event.
    pub event: &'a LogoutEvent,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// AMQP `user_id`.
    pub broker_user: Option<&'a str>,
    /// What becomes of each target, in the event's order.
    pub targets: &'a [NewTarget],
    /// What approving its incident takes; `None` for an event without an incident.
    pub incident: Option<&'a Approval>,
}

/// What an event of an incident asks of a second person.
pub struct Approval {
    /// Kinds among its incident's targets that need one.
    pub asks: Vec<Kind>,
    /// How many of its own targets are of such a kind, and how many of the whole incident's will be, where it says so.
    pub asking: i64,
    /// See `asking`.
    pub asking_expected: Option<i64>,
    /// Most targets that one person may order: the fuse of an incident that this event opens.
    pub above_targets: i64,
    /// Its denial was not published, and waits for the approval.
    pub withheld: bool,
}

/// How a target enters the table.
pub struct NewTarget {
    /// Its first state.
    pub disposition: Disposition,
    /// The sealed token; present exactly for open token targets.
    pub sealed: Option<Sealed>,
    /// When the budget runs out.
    pub give_up_at: OffsetDateTime,
}

/// A target's first state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Pending, and leased to this worker: its first attempt is on record.
    Lease,
    /// Pending, due now, for whoever claims it.
    Wait,
    /// Pending, until its incident's turn comes to it.
    Turn,
    /// Final: the provider has no such call.
    Unsupported,
    /// Final: the token's lifetime had ended.
    Expired,
}

/// An event that this call inserted; one that is missing was known before.
pub struct Accepted {
    /// The row id given in [`NewEvent`].
    pub row: Uuid,
    /// Whether the leases were granted: not so when this worker's own lease has run out.
    pub leased: bool,
}

/// What became of the events of one call. Those in neither list were known before.
#[derive(Default)]
pub struct Outcome {
    /// Inserted.
    pub accepted: Vec<Accepted>,
    /// Rows of those that were to be added to a cancelled incident. Nothing of them is denied, and they are not on record.
    pub barred: Vec<Uuid>,
}

/// An event that was known before, and the row that it has.
pub struct Known {
    /// The row id given in [`NewEvent`].
    pub row: Uuid,
    /// Its own.
    pub on_record: Uuid,
}

impl Store {
    /// Inserts new events with their targets and leases, and passes over those whose (`source`, `id`) is known. An event of a cancelled incident whose denial
    /// was withheld is barred; one whose denial is published is inserted, so that it is on record.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was inserted, or the outcome is unknown and the same call may be repeated.
    pub async fn accept(&self, worker: WorkerNo, events: &[NewEvent<'_>]) -> Result<Outcome, StoreError> {
        within!(self, "accept events", |connection| {
            if events.iter().all(|new| new.incident.is_none()) {
                let accepted = insert(connection, worker, &Columns::collect(events)).await?;
                Ok(Outcome { accepted, ..Outcome::default() })
            } else {
                accept_mass(connection, worker, events).await
            }
        })
    }
}

impl Store {
    /// The rows of events that were known before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn known(&self, events: &[&NewEvent<'_>]) -> Result<Vec<Known>, StoreError> {
        let rows: Vec<_> = events.iter().map(|new| new.row).collect();
        let sources: Vec<_> = events.iter().map(|new| &*new.event.source).collect();
        let ids: Vec<_> = events.iter().map(|new| &*new.event.id).collect();
        within!(self, "look up known events", |c| {
            sqlx::query_as!(
                Known,
                r#"SELECT n.row AS "row!", e.event_id AS on_record FROM unnest($1::uuid[], $2::text[], $3::text[]) AS n (row, source, id)
                   JOIN revocation.events e ON e.source = n.source AND e.id = n.id"#,
                &rows,
                &sources as &[&str],
                &ids as &[&str]
            )
            .fetch_all(c)
            .await
        })
    }
}

macro_rules! columns {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Default)]
        struct $name<'a> { $($field: Vec<$type>,)* }
    };
}

columns!(EventColumns {
    row: Uuid, source: &'a str, id: &'a str, event_type: &'static str, lane: &'static str, reason: Option<&'a str>, actor: Option<&'a str>,
    incident: Option<&'a str>, incident_targets: Option<i64>, occurred_at: Option<OffsetDateTime>, received_at: OffsetDateTime,
    not_before: OffsetDateTime, broker_user: Option<String>, body_sha256: &'a [u8], targets: i16, has_cutoff: bool, withheld: bool,
});

columns!(TargetColumns {
    event: Uuid, ordinal: i16, provider: &'a str, lane: &'static str, kind: &'static str, hint: Option<&'static str>, sha256: Option<&'a [u8]>,
    jti: Option<&'a str>, sub: Option<&'a str>, sid: Option<&'a str>, client_id: Option<&'a str>, iss: Option<&'a str>,
    expires_at: Option<OffsetDateTime>, deny_until: OffsetDateTime, give_up_at: OffsetDateTime, state: &'static str, lease: bool,
    sealed: Option<&'a [u8]>, sealed_key: Option<&'a str>, received_at: OffsetDateTime, incident: &'a str, waiting: bool,
    signed: Option<&'a [u8]>, jti_iss: Option<&'a str>,
});

#[derive(Default)]
pub(super) struct Columns<'a> {
    events: EventColumns<'a>,
    targets: TargetColumns<'a>,
}

impl<'a> Columns<'a> {
    /// Sorted by identity: two workers that insert the same events then wait for, and never deadlock, each other.
    pub(super) fn collect(events: impl IntoIterator<Item = &'a NewEvent<'a>>) -> Self {
        let mut sorted: Vec<_> = events.into_iter().collect();
        sorted.sort_unstable_by_key(|new| (&new.event.source, &new.event.id));
        let mut columns = Self::default();
        for new in sorted {
            columns.events.push(new);
            for (ordinal, (target, plan)) in (0..).zip(new.event.targets.iter().zip(new.targets)) {
                columns.targets.push(TargetId { event: new.row, ordinal }, new.event, target, plan);
            }
        }
        columns
    }
}

impl<'a> EventColumns<'a> {
    fn push(&mut self, new: &'a NewEvent<'a>) {
        let event = new.event;
        self.row.push(new.row);
        self.source.push(&event.source);
        self.id.push(&event.id);
        self.event_type.push(event.event_type.as_str());
        self.lane.push(event.lane().as_str());
        self.reason.push(event.reason.as_deref());
        self.actor.push(event.actor.as_deref());
        self.incident.push(event.incident.as_deref());
        self.incident_targets.push(event.incident_targets);
        self.occurred_at.push(event.occurred_at);
        self.received_at.push(event.received_at);
        self.not_before.push(event.not_before);
        self.broker_user.push(new.broker_user.map(storable));
        self.body_sha256.push(&new.body_sha256);
        self.targets.push(i16::try_from(event.targets.len()).unwrap_or(i16::MAX));
        self.has_cutoff.push(event.targets.iter().any(|target| target.selector.kind() != Kind::Token));
        self.withheld.push(new.incident.is_some_and(|approval| approval.withheld));
    }
}

impl<'a> TargetColumns<'a> {
    fn push(&mut self, id: TargetId, event: &'a LogoutEvent, target: &'a Target, plan: &'a NewTarget) {
        let token = target.token();
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
        self.incident.push(event.incident.as_deref().unwrap_or_default());
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

/// `IN … IS TRUE`: looked up in a hash; a join would compare every target with every event, since sessions do without hash joins (see `SESSION`).
pub(super) async fn insert(connection: &mut PgConnection, worker: WorkerNo, columns: &Columns<'_>) -> Result<Vec<Accepted>, sqlx::Error> {
    let Columns { events: e, targets: t } = columns;
    sqlx::query_as!(
        Accepted,
        r#"WITH me AS (
            SELECT worker_no FROM revocation.workers WHERE worker_no = $1 AND ended_at IS NULL AND lease_until > now()
        ), fresh AS (
            INSERT INTO revocation.events (event_id, source, id, event_type, lane, reason, actor, incident, incident_targets,
                occurred_at, received_at, not_before, broker_user, body_sha256, targets, has_cutoff, deny_at, accepted_by)
            SELECT n.event_id, n.source, n.id, n.event_type, n.lane, n.reason, n.actor, n.incident, n.incident_targets, n.occurred_at,
                n.received_at, n.not_before, n.broker_user, n.body_sha256, n.targets, n.has_cutoff, CASE WHEN n.withheld THEN now() END, $1
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[],
                $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::bytea[], $36::smallint[], $37::boolean[], $38::boolean[])
                AS n (event_id, source, id, event_type, lane, reason, actor, incident, incident_targets, occurred_at, received_at, not_before,
                    broker_user, body_sha256, targets, has_cutoff, withheld)
            ON CONFLICT (source, id) DO NOTHING
            RETURNING event_id
        ), targets AS (
            INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_type_hint, token_sha256, jti, sub, sid, client_id,
                iss, token_expires_at, deny_until, give_up_at, state, sealed, sealed_key,
                attempts, due_at, lease_owner, leased_at, last_worker, finished_at, incident, waiting, signed_sha256, jti_iss)
            SELECT n.event_id, n.ordinal, n.provider, n.lane, n.kind, n.hint, n.sha256, n.jti, n.sub, n.sid, n.client_id,
                n.iss, n.expires_at, n.deny_until, n.give_up_at, n.state, n.sealed, n.sealed_key,
                CASE WHEN me.worker_no IS NULL THEN 0 ELSE 1 END, CASE WHEN n.waiting THEN 'infinity' WHEN n.state = 'pending' AND n.hint IS DISTINCT FROM 'refresh_token' THEN now() + interval '1 millisecond' WHEN n.state = 'pending' THEN now() END,
                me.worker_no, CASE WHEN me.worker_no IS NOT NULL THEN now() END, me.worker_no,
                CASE WHEN n.state <> 'pending' THEN n.received_at END, n.incident, n.waiting, n.signed, n.jti_iss
            FROM unnest($16::uuid[], $17::smallint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::bytea[], $23::text[],
                $24::text[], $25::text[], $26::text[], $27::text[], $28::timestamptz[], $29::timestamptz[], $30::timestamptz[],
                $31::text[], $32::boolean[], $33::bytea[], $34::text[], $35::timestamptz[], $39::text[], $40::boolean[],
                $41::bytea[], $42::text[])
                AS n (event_id, ordinal, provider, lane, kind, hint, sha256, jti, sub, sid, client_id, iss, expires_at, deny_until,
                    give_up_at, state, lease, sealed, sealed_key, received_at, incident, waiting, signed, jti_iss)
            LEFT JOIN me ON n.lease
            WHERE (n.event_id IN (SELECT event_id FROM fresh)) IS TRUE
        )
        SELECT event_id AS "row!", EXISTS (SELECT FROM me) AS "leased!" FROM fresh"#,
        worker.0,
        &e.row,
        &e.source as &[&str],
        &e.id as &[&str],
        &e.event_type as &[&str],
        &e.lane as &[&str],
        &e.reason as &[Option<&str>],
        &e.actor as &[Option<&str>],
        &e.incident as &[Option<&str>],
        &e.incident_targets as &[Option<i64>],
        &e.occurred_at as &[Option<OffsetDateTime>],
        &e.received_at,
        &e.not_before,
        &e.broker_user as &[Option<String>],
        &e.body_sha256 as &[&[u8]],
        &t.event,
        &t.ordinal,
        &t.provider as &[&str],
        &t.lane as &[&str],
        &t.kind as &[&str],
        &t.hint as &[Option<&str>],
        &t.sha256 as &[Option<&[u8]>],
        &t.jti as &[Option<&str>],
        &t.sub as &[Option<&str>],
        &t.sid as &[Option<&str>],
        &t.client_id as &[Option<&str>],
        &t.iss as &[Option<&str>],
        &t.expires_at as &[Option<OffsetDateTime>],
        &t.deny_until,
        &t.give_up_at,
        &t.state as &[&str],
        &t.lease,
        &t.sealed as &[Option<&[u8]>],
        &t.sealed_key as &[Option<&str>],
        &t.received_at,
        &e.targets,
        &e.has_cutoff,
        &e.withheld,
        &t.incident as &[&str],
        &t.waiting,
        &t.signed as &[Option<&[u8]>],
        &t.jti_iss as &[Option<&str>],
    )
    .fetch_all(connection)
    .await
}
