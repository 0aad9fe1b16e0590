//! What keeps the feed honest and short: heartbeats that name what must have been read, marks in the log,
//! snapshots of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// CloudEvents type of a heartbeat.
pub const HEARTBEAT_TYPE: &str = "auth.invalidation.heartbeat.v1";
/// Routing key of a heartbeat.
pub const HEARTBEAT_KEY: &str = "heartbeat";
/// Stream of the heartbeats, beside the log, so that they do not fill it.
pub const BEATS_STREAM: &str = "auth.invalidations.beats";

/// CloudEvents type of a mark: a message in the log that denies nothing. Who has read it has read all that
/// lies before it.
pub const MARK_TYPE: &str = "auth.invalidation.mark.v1";
/// Routing key of a mark.
pub const MARK_KEY: &str = "mark";

/// CloudEvents type of a checkpoint of the audit record: it denies nothing, and lies in the log because
/// nobody can change it there.
pub const CHECKPOINT_TYPE: &str = "auth.audit.checkpoint.v1";
/// Routing key of a checkpoint: a mark's, by which the log is bound, and invalidations are not asked for.
pub const CHECKPOINT_KEY: &str = MARK_KEY;

/// CloudEvents type of a snapshot's messages.
pub const SNAPSHOT_TYPE: &str = "auth.invalidation.snapshot.v1";
/// Stream of the snapshots, and the exchange that leads to it alone: a queue that is bound to all of
/// `auth.invalidations` gets no snapshots.
pub const SNAPSHOTS_STREAM: &str = "auth.invalidations.snapshots";

/// Header of every message in the log: the run of a worker's process that published it.
pub const PUBLISHER_HEADER: &str = "x-publisher";
/// Header beside it: its number among those that this publisher tried to publish, in the order in which they
/// lie in the log.
pub const SEQUENCE_HEADER: &str = "x-sequence";

/// Payload of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The worker that is alive.
    pub instance: String,
    /// What it has published. Older workers do not say, and vouch for the log alone, where theirs lie.
    #[serde(flatten, default)]
    pub progress: Option<Progress>,
}

/// How far a publisher has come in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// As in [`PUBLISHER_HEADER`].
    pub publisher: String,
    /// The highest number that the broker has confirmed; 0 before the first.
    pub sequence: u64,
    /// The highest number given to an attempt.
    pub attempted: u64,
    /// When the message with that `sequence` was published.
    #[serde(with = "time::serde::rfc3339::option")]
    pub published_at: Option<OffsetDateTime>,
    /// How long ago the last mark was published, as far as its sender knows.
    pub mark_age_ms: Option<u64>,
}

/// Payload of a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marking {
    /// The worker that made it.
    pub instance: String,
}

/// Payload of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpointing {
    /// Its number in `audit.checkpoints`.
    pub checkpoint: i64,
    /// What was signed.
    pub document: String,
    /// Lower-case hex SHA-256 of the document.
    pub sha256: String,
    /// Base64 of the key's SubjectPublicKeyInfo.
    pub public_key: String,
    /// Base64 of the Ed25519 signature.
    pub signature: String,
}

/// Payload of a snapshot's message: parts with targets in the order of their numbers, then one with `end`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotPart<T> {
    /// The same in all messages of one snapshot.
    pub snapshot: String,
    /// Offset of the last message of the complete snapshot that was there when this one was begun.
    pub previous: Option<u64>,
    /// From 0; that of the end is the number of parts.
    pub part: u64,
    /// At most [`MAX_TARGETS`](super::MAX_TARGETS) entries, as they were published.
    pub targets: Vec<T>,
    /// Only in the last message, which has no targets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<SnapshotEnd>,
}

/// What makes a snapshot complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEnd {
    /// How many parts it has.
    pub parts: u64,
    /// How many entries they have together.
    pub entries: u64,
    /// All its parts lie behind this offset; null: the stream was empty before.
    pub after: Option<u64>,
    /// The last message of the log that is folded in.
    pub mark: LogMark,
    /// What was published before this moment may be missing; null: nothing is.
    #[serde(with = "time::serde::rfc3339::option")]
    pub complete_since: Option<OffsetDateTime>,
    /// The publishers whose messages are folded in.
    pub publishers: BTreeMap<String, Reached>,
    /// Publishers that are not listed published nothing after this moment.
    #[serde(with = "time::serde::rfc3339::option")]
    pub publishers_since: Option<OffsetDateTime>,
}

/// A message of the log, to be known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMark {
    /// Where it lies.
    pub offset: u64,
    /// Its envelope's time.
    #[serde(with = "time::serde::rfc3339::option")]
    pub time: Option<OffsetDateTime>,
    /// Lower-case hex SHA-256 of its body.
    pub sha256: String,
}

/// How far a publisher's messages are folded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The highest number.
    pub sequence: u64,
    /// That message's time.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}
