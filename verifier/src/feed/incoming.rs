//! Reading a message of the feed. What one release cannot read of a later one's, it skips and counts.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::message::{Entry, HEARTBEAT_TYPE, TYPE};

/// An envelope whose payload is not looked into yet.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Invalidation<'a> {
    #[serde(borrow)]
    targets: Vec<&'a RawValue>,
}

/// What a message says.
pub(super) enum Incoming {
    /// A worker was alive at this moment.
    Heartbeat(OffsetDateTime),
    /// These are denied; `unreadable` counts those that could not be read. The phase makes no difference to a denylist.
    Denials { entries: Vec<Entry>, unreadable: u64 },
    /// A type that this release does not know.
    Other,
    /// Not a message of this feed.
    Unreadable,
}

impl Incoming {
    /// Reads a message; its time too, where it has one.
    pub(super) fn parse(body: &[u8]) -> (Self, Option<OffsetDateTime>) {
        let Ok(Envelope { kind, time, data }) = serde_json::from_slice(body) else { return (Self::Unreadable, None) };
        let incoming = match &*kind {
            HEARTBEAT_TYPE => Self::Heartbeat(time),
            TYPE => serde_json::from_str(data.get()).map_or(Self::Unreadable, Self::denials),
            _ => Self::Other,
        };
        (incoming, Some(time))
    }

    fn denials(Invalidation { targets }: Invalidation<'_>) -> Self {
        let entries: Vec<_> = targets.iter().filter_map(|target| serde_json::from_str(target.get()).ok()).collect();
        Self::Denials { unreadable: (targets.len() - entries.len()) as u64, entries }
    }
}
