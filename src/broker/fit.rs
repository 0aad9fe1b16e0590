//! Fits a message's properties into one frame: a header frame is never split, and RabbitMQ closes the
//! connection on which one is too large.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// How many of the publisher's headers were dropped.
const HEADERS_DROPPED: &str = "x-refused-headers-dropped";
/// How many of the publisher's other properties were dropped.
const PROPERTIES_DROPPED: &str = "x-refused-properties-dropped";
/// Of a frame: its type, channel, size and end. Of its payload: class, weight, size of the body, flags.
const FRAME: usize = 8;
/// For the headers that the broker adds to a delivery, so that every client can read it.
const SPARE: usize = 512;
const FIXED: usize = 14;

/// `properties` with the headers `own`, and as many of `foreign`, smallest first, as go into a frame of
/// `frame_max` bytes. What is dropped is counted in a header, with the headers that were `left_out` before.
pub(super) fn fitted(
    properties: BasicProperties,
    mut own: FieldTable,
    foreign: FieldTable,
    frame_max: u32,
    left_out: usize,
) -> BasicProperties {
    let room = usize::try_from(frame_max).unwrap_or(usize::MAX).saturating_sub(FRAME + SPARE);
    let mut foreign: Vec<_> =
        foreign.inner().iter().filter(|(name, _)| !own.contains_key(name.as_str())).collect();
    let size = |foreign: &[(&ShortString, &AMQPValue)]| {
        foreign.iter().map(|(name, value)| entry(name, value)).sum::<usize>()
    };
    let fixed = FIXED
        + words(&properties)
        + 4
        + own.inner().iter().map(|(name, value)| entry(name, value)).sum::<usize>();
    if left_out > 0 || fixed + count_entry(HEADERS_DROPPED) + size(&foreign) > room {
        let all = foreign.len();
        foreign.sort_unstable_by_key(|(name, value)| entry(name, value));
        let (mut left, mut kept) = (room.saturating_sub(fixed + count_entry(HEADERS_DROPPED)), 0);
        while let Some(rest) =
            foreign.get(kept).and_then(|(name, value)| left.checked_sub(entry(name, value)))
        {
            (left, kept) = (rest, kept + 1);
        }
        foreign.truncate(kept);
        if left_out + all > kept {
            own.insert(HEADERS_DROPPED.into(), number(left_out + all - kept));
        }
    }
    let properties =
        if fixed + count_entry(HEADERS_DROPPED) > room { bare(&properties, &mut own) } else { properties };
    for (name, value) in foreign {
        own.insert(name.clone(), value.clone());
    }
    properties.with_headers(own)
}

/// Only what the worker set: the frame is small indeed.
fn bare(properties: &BasicProperties, own: &mut FieldTable) -> BasicProperties {
    own.insert(PROPERTIES_DROPPED.into(), number(texts(properties).flatten().count()));
    let bare = BasicProperties::default().with_delivery_mode(2);
    match properties.user_id() {
        Some(user) => bare.with_user_id(user.clone()),
        None => bare,
    }
}

fn number(count: usize) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(count).unwrap_or(i64::MAX))
}

fn count_entry(name: &str) -> usize {
    1 + name.len() + 1 + 8
}

fn texts(properties: &BasicProperties) -> impl Iterator<Item = &Option<ShortString>> {
    let p = properties;
    let (media, answer) = (
        [p.content_type(), p.content_encoding()],
        [p.correlation_id(), p.reply_to(), p.expiration(), p.message_id()],
    );
    media.into_iter().chain(answer).chain([p.kind(), p.user_id(), p.app_id(), p.cluster_id()])
}

/// Bytes of every property but the headers.
pub(super) fn words(properties: &BasicProperties) -> usize {
    let texts = texts(properties).flatten().map(|text| 1 + text.as_str().len()).sum::<usize>();
    let (mode, priority) = (properties.delivery_mode().is_some(), properties.priority().is_some());
    texts + usize::from(mode) + usize::from(priority) + 8 * usize::from(properties.timestamp().is_some())
}

fn entry(name: &ShortString, value: &AMQPValue) -> usize {
    1 + name.as_str().len() + encoded(value)
}

/// Bytes of a value, with its type.
fn encoded(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        AMQPValue::FieldArray(values) => 4 + values.as_slice().iter().map(encoded).sum::<usize>(),
        AMQPValue::FieldTable(table) => {
            4 + table.inner().iter().map(|(name, value)| entry(name, value)).sum::<usize>()
        }
    }
}
