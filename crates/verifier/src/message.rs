//! The messages that workers and verifiers exchange (CloudEvents 1.0 in JSON), and where they travel.

mod entry;
mod feed;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

pub use self::entry::{Entry, TokenIssuer};
pub use self::feed::*;

/// Exchange that invalidations are published to.
pub const EXCHANGE: &str = "auth.invalidations";
/// Stream that holds all of them for a verifier to read from its start.
pub const STREAM: &str = "auth.invalidations.log";
/// CloudEvents type of an invalidation.
pub const TYPE: &str = "auth.invalidation.v1";
/// Most targets in one message.
pub const MAX_TARGETS: usize = 500;

/// Exchange that verifiers report to.
pub const VERIFIERS_EXCHANGE: &str = "auth.verifiers";
/// CloudEvents type of a verifier's report.
pub const STATUS_TYPE: &str = "auth.verifier.status.v1";

/// How far a revocation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Deny now.
    Requested,
    /// Revoked upstream: drop anything cached since.
    Confirmed,
}

/// The two registered values of RFC 7009's `token_type_hint` (section 4.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenTypeHint {
    /// `access_token`
    AccessToken,
    /// `refresh_token`
    RefreshToken,
}

impl TokenTypeHint {
    /// The value on the wire and in the audit views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The hint named `value`, if it is one of the two.
    pub fn parse(value: &str) -> Option<Self> {
        [Self::AccessToken, Self::RefreshToken].into_iter().find(|hint| hint.as_str() == value)
    }
}

/// What kind of thing a target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One token.
    Token,
    /// Tokens with one `sid`.
    Session,
    /// Tokens of one `sub`.
    Subject,
    /// Tokens of one `client_id`.
    Client,
    /// Every token of one `iss`.
    Issuer,
}

impl Kind {
    /// Every kind, narrowest first.
    pub const ALL: [Self; 5] = [Self::Token, Self::Session, Self::Subject, Self::Client, Self::Issuer];

    /// The value in routing keys, messages and audit views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::Issuer => "issuer",
        }
    }

    /// The kind named `value`.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == value)
    }
}

/// A CloudEvents 1.0 envelope in structured mode.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// `1.0`
    pub specversion: String,
    /// UUID version 7.
    pub id: Uuid,
    /// `/revocation-worker/<instance>` or `/revocation-verifier/<service>/<instance>`
    pub source: String,
    /// [`TYPE`], [`HEARTBEAT_TYPE`], [`MARK_TYPE`], [`SNAPSHOT_TYPE`] or [`STATUS_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// The trace that it belongs to (W3C Trace Context), where it is one event's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traceparent: Option<String>,
    /// The payload.
    pub data: T,
}

impl<T: Serialize> Envelope<T> {
    /// An envelope made now, by this machine's clock, with a new id.
    pub fn new(source: impl Into<String>, kind: &str, data: T) -> Self {
        Self::at(OffsetDateTime::now_utc(), source, kind, data)
    }

    /// An envelope made at `time`, with a new id.
    pub fn at(time: OffsetDateTime, source: impl Into<String>, kind: &str, data: T) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: Uuid::now_v7(),
            source: source.into(),
            kind: kind.to_owned(),
            time,
            traceparent: None,
            data,
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // These types cannot fail to serialise: no map with other than string keys, no failing `Serialize`.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Payload of an invalidation. Events share one: those whose denials, or confirmations, gathered while others
/// were on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidation {
    /// Phase.
    pub phase: Phase,
    /// Provider.
    pub provider: String,
    /// The first of [`events`](Self::events), for those who know only that.
    pub event: EventRef,
    /// The first event's incident, where it is part of one.
    pub incident: Option<String>,
    /// The logout events that the targets follow from; none where an older worker sent it.
    #[serde(default)]
    pub events: Vec<EventOf>,
    /// 1 to [`MAX_TARGETS`].
    pub targets: Vec<TargetOf>,
}

/// An event that shares an invalidation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventOf {
    /// Its identity.
    #[serde(flatten)]
    pub event: EventRef,
    /// Its incident, where it is part of one.
    pub incident: Option<String>,
    /// The trace that it belongs to (W3C Trace Context), where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub traceparent: Option<String>,
}

/// An entry and its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetOf {
    /// What to deny.
    #[serde(flatten)]
    pub entry: Entry,
    /// Its place among the message's events, from 0.
    #[serde(default)]
    pub event: usize,
}

/// Identity of a logout event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
}

/// Payload of a verifier's report: what it has applied and whether it knows itself to be up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The service whose tokens it verifies.
    pub service: String,
    /// The process.
    pub instance: String,
    /// Offset in the stream of the last message applied; null before the first.
    pub applied_offset: Option<u64>,
    /// That message's `time`: everything published before it is applied.
    #[serde(with = "time::serde::rfc3339::option", default)]
    pub applied_time: Option<OffsetDateTime>,
    /// Denials held.
    pub entries: u64,
    /// Whether it cannot vouch for being up to date.
    pub stale: bool,
    /// Why it is stale.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stale_reason: Option<Staleness>,
    /// What it does with a token that it cannot judge.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub staleness_policy: Option<StalenessPolicy>,
    /// It verifies nothing any more, and this is its last report.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub ended: bool,
}

/// Why a verifier cannot vouch for being up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Staleness {
    /// It has not yet read the stream up to the end that it saw when it started or reconnected.
    CatchingUp,
    /// It has no connection to the broker.
    Disconnected,
    /// No heartbeat for 3 s: the feed, or every worker, is down.
    Silent,
    /// Heartbeats arrive more than 3 s after they were sent, or name what the verifier has not read: it
    /// cannot keep up, a clock is wrong, or the stream lacks what was published.
    Behind,
    /// The stream no longer holds what was published while it was away, or not as far back as its tokens
    /// live.
    Truncated,
}

impl Staleness {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::CatchingUp, Self::Disconnected, Self::Silent, Self::Behind, Self::Truncated];

    /// The value in reports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching_up",
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::Behind => "behind",
            Self::Truncated => "truncated",
        }
    }
}

/// What to do with a token that nothing denies while the denylist is stale. There is no default: only the
/// service's owner can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StalenessPolicy {
    /// Accept it: availability first. A token revoked in the meantime goes on working.
    FailOpen,
    /// Refuse it: security first. Nobody gets in while the feed is down.
    FailClosed,
}

impl StalenessPolicy {
    /// The value in settings, reports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailOpen => "fail_open",
            Self::FailClosed => "fail_closed",
        }
    }

    /// The policy named `value`.
    pub fn parse(value: &str) -> Option<Self> {
        [Self::FailOpen, Self::FailClosed].into_iter().find(|policy| policy.as_str() == value)
    }
}
