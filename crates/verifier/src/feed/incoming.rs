//! Reading a message of the feed. What one release cannot read of a later one's, it skips and counts.

use std::borrow::Cow;

use lapin::message::Delivery;
use lapin::types::AMQPValue;
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::message::{
    Entry, HEARTBEAT_TYPE, Heartbeat, PUBLISHER_HEADER, Progress, SEQUENCE_HEADER, SNAPSHOT_TYPE,
    SnapshotPart, TYPE,
};

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
pub enum Incoming<'a> {
    /// A worker was alive at this moment, and says how far it has published.
    Heartbeat(OffsetDateTime, Option<Progress>),
    /// These are denied, in the entries' own wire form. The phase makes no difference to a denylist.
    Denials(Vec<&'a RawValue>),
    /// A message of a snapshot.
    Snapshot(SnapshotPart<&'a RawValue>),
    /// A type that this release does not know, or that denies nothing.
    Other,
    /// Not a message of this feed.
    Unreadable,
}

impl<'a> Incoming<'a> {
    /// Reads a message; its time too, where it has one.
    pub fn parse(body: &'a [u8]) -> (Self, Option<OffsetDateTime>) {
        let Ok(Envelope { kind, time, data }) = serde_json::from_slice(body) else {
            return (Self::Unreadable, None);
        };
        let data = data.get();
        let incoming = match &*kind {
            HEARTBEAT_TYPE => Self::Heartbeat(
                time,
                serde_json::from_str::<Heartbeat>(data).ok().and_then(|beat| beat.progress),
            ),
            TYPE => serde_json::from_str(data)
                .map_or(Self::Unreadable, |Invalidation { targets }| Self::Denials(targets)),
            SNAPSHOT_TYPE => serde_json::from_str(data).map_or(Self::Unreadable, Self::Snapshot),
            _ => Self::Other,
        };
        (incoming, Some(time))
    }
}

/// An entry, if this release can read it.
pub fn entry(target: &RawValue) -> Option<Entry> {
    serde_json::from_str(target.get()).ok()
}

/// Which publisher's message this is, and its number. Older workers do not say.
pub fn sequence(delivery: &Delivery) -> Option<(&str, u64)> {
    let headers = delivery.properties.headers().as_ref()?.inner();
    let publisher = match headers.get(PUBLISHER_HEADER)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?,
        AMQPValue::ShortString(text) => text.as_str(),
        _ => return None,
    };
    match headers.get(SEQUENCE_HEADER)? {
        AMQPValue::LongLongInt(number) => Some((publisher, u64::try_from(*number).ok()?)),
        _ => None,
    }
}
