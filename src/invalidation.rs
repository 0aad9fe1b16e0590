//! Makes the messages to local verifiers (docs/contract.md, section 4). Their types are the verifiers' own.

mod compose;
mod entry;
mod fold;
mod gather;

pub use compose::{Composer, Outgoing, routing_key};
pub use entry::{Named, TokenNames};
pub use fold::{Folder, is_due};
pub use gather::{Gathered, Gathering};
pub use revocation_verifier::message::{
    BEATS_STREAM, CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpointing, EXCHANGE, Entry, Envelope, EventOf,
    EventRef, HEARTBEAT_KEY, HEARTBEAT_TYPE, Heartbeat, Invalidation, MARK_KEY, MARK_TYPE, MAX_TARGETS,
    Marking, Phase, Progress, Reached, SNAPSHOT_TYPE, SNAPSHOTS_STREAM, STREAM, SnapshotEnd, SnapshotPart,
    TYPE, TargetOf, TokenIssuer, VERIFIERS_EXCHANGE,
};
