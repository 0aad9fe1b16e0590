//! A logout event: bytes in, a valid [`LogoutEvent`] or a [`Refusal`] out (contract section 2).

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::target::Target;

/// The two event types of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// `auth.logout.v1`
    Logout,
    /// `auth.mass_revocation.v1`
    MassRevocation,
}

/// Which lane an event's work runs in. It follows the event's type, not the queue it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Ordinary logouts.
    Interactive,
    /// Mass revocations.
    Mass,
}

/// A valid event. A value that exists satisfies every rule of contract section 2.
pub struct LogoutEvent {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`; with `source` the event's identity.
    pub id: String,
    /// CloudEvents `type`.
    pub event_type: EventType,
    /// CloudEvents `time`.
    pub occurred_at: Option<OffsetDateTime>,
    /// When this worker received it.
    pub received_at: OffsetDateTime,
    /// Cutoff of wide targets: `data.not_before`, else `time`, else the receipt.
    pub not_before: OffsetDateTime,
    /// `data.reason`.
    pub reason: Option<String>,
    /// `data.actor`.
    pub actor: Option<String>,
    /// `data.incident`; present exactly for mass revocations.
    pub incident: Option<String>,
    /// `data.incident_targets`.
    pub incident_targets: Option<i64>,
    /// 1 to `max_targets` targets.
    pub targets: Vec<Target>,
}

/// What the broker says of a delivery, for authorisation and for the record of refusals.
#[derive(Clone, Default)]
pub struct Origin {
    /// Queue it came by.
    pub queue: Arc<str>,
    /// Routing key it was published with.
    pub routing_key: String,
    /// The AMQP `user_id` property, validated by RabbitMQ.
    pub broker_user: Option<String>,
    /// The AMQP `content_type` property.
    pub content_type: Option<String>,
}

/// The rules that a deployment adds to the contract's.
pub struct Rules {
    /// Largest accepted body, bytes.
    pub max_message_bytes: usize,
    /// Most targets in an event.
    pub max_targets: usize,
    /// Longest token, bytes.
    pub max_token_bytes: usize,
    /// Provider of events that name none.
    pub default_provider: Option<Arc<str>>,
    /// The configured providers.
    pub providers: Vec<ProviderRule>,
    /// Broker users that may publish `auth.logout.v1`; `None`: any.
    pub logout_users: Option<Vec<String>>,
    /// Broker users that may publish `auth.mass_revocation.v1`.
    pub mass_revocation_users: Vec<String>,
}

/// What parsing needs to know of a provider.
pub struct ProviderRule {
    /// Its name.
    pub name: Arc<str>,
    /// Its `issuer`, to resolve targets by `iss`.
    pub issuer: Option<String>,
    /// How long a denial lasts where the token's end of life is unknown.
    pub token_ttl: Duration,
}

/// Why an event was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCode {
    /// Not JSON, not UTF-8, or not an object.
    NotJson,
    /// Larger than `max_message_bytes`.
    TooLarge,
    /// Nested deeper than the parser goes.
    TooDeep,
    /// A `type` or `specversion` or content type that this worker does not know.
    UnknownType,
    /// A required member is absent.
    MissingField,
    /// A known member with a wrong type or value.
    InvalidField,
    /// No configured provider fits.
    UnknownProvider,
    /// More than `max_targets`.
    TooManyTargets,
    /// The publisher may not order this.
    NotAllowed,
    /// A signed input whose signature does not verify.
    BadSignature,
}

/// A refusal: goes to `revocation.dead` as headers and to `audit.rejected_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The machine word.
    pub code: RefusalCode,
    /// A sentence that names the member (`data.targets[3].token_type_hint`) and never quotes its value.
    pub detail: String,
    /// The event's `source`, where it could be read.
    pub event_source: Option<String>,
    /// The event's `id`, where it could be read.
    pub event_id: Option<String>,
}
