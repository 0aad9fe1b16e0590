//! What lapin cannot read, made readable between socket and client.
//!
//! RabbitMQ passes on any bytes as a short string and any depth of tables. The client ends its whole
//! connection at a string that is not UTF-8, and its stack at tables in tables. So bytes that are not UTF-8
//! become `?`, and what is nested too deep becomes an array of bytes: no length changes, and so no frame
//! does. And the broker adds headers of its own (`x-delivery-count`) to frames that were as large as frames
//! may be; the client ends its connection at those, too. There the largest headers are left out, those last
//! that say whose a message is. And so are those with most values where there are very many, each of which
//! would take some hundred bytes in memory for one or a few in the frame.

mod faults;
mod walk;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use walk::Walk;

pub use faults::{Faults, Unreadable};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
/// Type, channel and size, ahead of a frame's payload.
const HEAD: usize = 7;
/// A frame with its end mark has so many bytes more than its payload.
const AROUND: usize = HEAD + 1;
/// Most values in the headers, at any depth.
const MOST_VALUES: usize = 2048;
/// Larger frames are passed on as they are: RabbitMQ's default limit is 128 KiB.
const LARGEST: usize = 16 << 20;

/// The walk over what the broker sends.
pub(super) struct Repair {
    /// Bytes of a frame that needs no look and is still to come.
    unseen: usize,
    /// The message that has begun on each channel: its tag, where it is a delivery, and what is unreadable so
    /// far.
    begun: HashMap<u16, (Option<u64>, Faults)>,
    /// The largest frame that the client takes: what it is set to, or less, where the broker proposes that.
    frame_max: usize,
    unreadable: Option<Unreadable>,
}

/// How far a walk came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advance {
    /// So many bytes may be passed on; the rest must come again, with more behind them.
    pub(super) ready: usize,
    /// So many bytes were taken out; those behind them moved forward.
    pub(super) removed: usize,
}

impl Repair {
    /// `frame_max`: the client's own limit, bytes; 0 is none.
    pub(super) fn new(unreadable: Option<Unreadable>, frame_max: u32) -> Self {
        // No client's limit is smaller (AMQP 0-9-1, `frame-min-size`).
        let frame_max = if frame_max == 0 { usize::MAX } else { length(frame_max.max(4096)) };
        Self { unseen: 0, begun: HashMap::new(), frame_max, unreadable }
    }

    /// Repairs every whole frame at the start of `bytes`.
    pub(super) fn advance(&mut self, bytes: &mut [u8]) -> Advance {
        let (mut ready, mut removed) = (0, 0);
        loop {
            let end = bytes.len() - removed;
            let skipped = self.unseen.min(end - ready);
            (ready, self.unseen) = (ready + skipped, self.unseen - skipped);
            let rest = &mut bytes[ready..end];
            let Some(head) = rest.first_chunk::<HEAD>() else { return Advance { ready, removed } };
            let (kind, channel) = (head[0], u16::from_be_bytes([head[1], head[2]]));
            let size = length(u32::from_be_bytes([head[3], head[4], head[5], head[6]]));
            if !matches!(kind, METHOD | HEADER) || size > LARGEST {
                self.unseen = size.saturating_add(AROUND);
                continue;
            }
            let Some(payload) = rest.get_mut(..size + AROUND).map(|frame| &mut frame[HEAD..HEAD + size])
            else {
                return Advance { ready, removed };
            };
            // What is cut short in itself is left to the client, which says so.
            let repaired =
                if kind == METHOD { self.method(channel, payload) } else { self.header(channel, payload) };
            let left = repaired.unwrap_or(size);
            if left < size {
                rest[3..HEAD].copy_from_slice(&u32::try_from(left).unwrap_or(u32::MAX).to_be_bytes());
                rest.copy_within(HEAD + size.., HEAD + left);
            }
            (ready, removed) = (ready + left + AROUND, removed + size - left);
        }
    }

    /// `basic.deliver`, `basic.get-ok` and `basic.return` hold words of a publisher. Returns the payload's
    /// length.
    fn method(&mut self, channel: u16, payload: &mut [u8]) -> Option<usize> {
        let length = payload.len();
        let mut walk = Walk::new(payload, 0);
        let tag = match (walk.u16()?, walk.u16()?) {
            (60, 60) => {
                walk.short()?;
                Some(walk.u64()?)
            }
            (60, 71) => Some(walk.u64()?),
            (60, 50) => None,
            (10, 30) => {
                self.tuned(walk)?;
                return Some(length);
            }
            _ => return Some(length),
        };
        if tag.is_some() {
            walk.skip(1)?;
        } else {
            walk.skip(2)?;
            walk.short()?;
        }
        walk.short()?;
        let parts = if walk.short()? { vec!["routing_key"] } else { Vec::new() };
        self.begun.insert(channel, (tag, Faults { parts, ..Faults::default() }));
        Some(length)
    }

    /// `connection.tune`, behind its class and method. A limit of 0 is none.
    fn tuned(&mut self, mut walk: Walk<'_>) -> Option<()> {
        walk.skip(2)?;
        let proposed = u32::from_be_bytes(walk.take()?);
        if proposed != 0 {
            self.frame_max = self.frame_max.min(length(proposed));
        }
        Some(())
    }

    /// Returns the payload's length, which is less than it was where headers are left out.
    fn header(&mut self, channel: u16, payload: &mut [u8]) -> Option<usize> {
        let (tag, mut faults) = self.begun.remove(&channel).unwrap_or_default();
        let length = payload.len();
        let table = properties(payload, &mut faults);
        let excess = (length + AROUND).saturating_sub(self.frame_max);
        let left = match table {
            Some(Some((table, values))) if excess > 0 || values > MOST_VALUES => {
                let kept = self.unreadable.as_ref().map_or(&[][..], Unreadable::kept);
                let excess = Excess { bytes: excess, values: values.saturating_sub(MOST_VALUES) };
                leave_out(payload, table, excess, kept, &mut faults)
            }
            _ => Some(length),
        };
        if let (Some(tag), Some(unreadable), false) = (tag, &self.unreadable, faults == Faults::default()) {
            unreadable.note(channel, tag, faults);
        }
        left
    }
}

fn length(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What is too much of the headers.
struct Excess {
    bytes: usize,
    values: usize,
}

/// Takes the largest of the headers out, or those with most values where these are too many, those to be kept
/// last, until there is no excess; returns the payload's length.
fn leave_out(
    payload: &mut [u8],
    table: Range<usize>,
    excess: Excess,
    kept: &[&'static str],
    faults: &mut Faults,
) -> Option<usize> {
    let mut walk = Walk::new(payload, table.start);
    let mut entries = Vec::new();
    while walk.at < table.end {
        let (start, before) = (walk.at, walk.values);
        walk.short()?;
        let name = &walk.bytes[start + 1..walk.at];
        let kept = kept.iter().copied().find(|kept| kept.as_bytes() == name);
        walk.value(table.end, 1)?;
        entries.push((kept, start..walk.at, walk.values - before));
    }
    let are_too_many = excess.values > 0;
    entries.sort_unstable_by_key(|(kept, entry, values)| {
        (kept.is_some(), Reverse(if are_too_many { *values } else { 0 }), Reverse(entry.len()))
    });
    let (mut bytes, mut values) = (0, 0);
    faults.left_out = entries
        .iter()
        .take_while(|(_, entry, own)| {
            let goes_on = bytes < excess.bytes || values < excess.values;
            (bytes, values) = if goes_on { (bytes + entry.len(), values + own) } else { (bytes, values) };
            goes_on
        })
        .count();
    faults.lost.extend(entries[..faults.left_out].iter().filter_map(|(kept, ..)| *kept));
    // What stays moves forward, each byte once.
    let mut stay: Vec<_> =
        entries.split_off(faults.left_out).into_iter().map(|(_, entry, _)| entry).collect();
    stay.sort_unstable_by_key(|entry| entry.start);
    let mut at = table.start;
    for entry in stay.into_iter().chain(std::iter::once(table.end..payload.len())) {
        let length = entry.len();
        payload.copy_within(entry, at);
        at += length;
    }
    let size = u32::try_from(table.len() - bytes).unwrap_or(u32::MAX);
    payload[table.start - 4..table.start].copy_from_slice(&size.to_be_bytes());
    Some(at)
}

/// The properties in the order of their flags, from bit 15 (AMQP 0-9-1, section 4.2.6.1).
#[derive(Clone, Copy)]
enum Form {
    Short,
    Table,
    Octet,
    Time,
}

const PROPERTIES: [(&str, Form); 14] = [
    ("content_type", Form::Short),
    ("content_encoding", Form::Short),
    ("headers", Form::Table),
    ("delivery_mode", Form::Octet),
    ("priority", Form::Octet),
    ("correlation_id", Form::Short),
    ("reply_to", Form::Short),
    ("expiration", Form::Short),
    ("message_id", Form::Short),
    ("timestamp", Form::Time),
    ("type", Form::Short),
    ("user_id", Form::Short),
    ("app_id", Form::Short),
    ("cluster_id", Form::Short),
];

/// Repairs the properties in the payload of a content header; notes what could not be read. Returns where the
/// headers' entries are, and how many values are in them.
fn properties(payload: &mut [u8], faults: &mut Faults) -> Option<Option<(Range<usize>, usize)>> {
    let mut walk = Walk::new(payload, 0);
    // Class, weight and size of the body.
    walk.skip(12)?;
    let flags = walk.u16()?;
    let mut table = None;
    for (bit, (name, form)) in PROPERTIES.into_iter().enumerate() {
        if flags & (1 << (15 - bit)) == 0 {
            continue;
        }
        let repaired = match form {
            Form::Short => walk.short()?,
            Form::Table => {
                let start = walk.at + 4;
                let repaired = walk.headers()?;
                table = Some((start..walk.at, walk.values));
                repaired
            }
            Form::Octet => walk.skip(1).map(|()| false)?,
            Form::Time => walk.skip(8).map(|()| false)?,
        };
        if repaired {
            faults.parts.push(name);
        }
    }
    faults.is_ambiguous |= walk.is_ambiguous;
    Some(table)
}

#[cfg(test)]
mod tests;
