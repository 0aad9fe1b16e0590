//! CloudEvents attributes in a message's headers (binary mode), as publishers of AMQP 1.0 and their bridges
//! write them.

use lapin::types::{AMQPValue, FieldTable};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::trace::Trace;

/// Before an attribute's name; the second is for what knows no colon.
const PREFIXES: [&str; 2] = ["cloudEvents:", "cloudEvents_"];
/// The attributes that mean something here.
const KNOWN: [&str; 6] = ["specversion", "id", "source", "type", "time", "traceparent"];
/// The header of a message that is part of a trace, whatever is in it (W3C Trace Context for AMQP).
const TRACE: &str = "traceparent";

/// The attributes that are given; none where there are no headers.
pub(super) fn read(headers: Option<&FieldTable>) -> Vec<(&'static str, String)> {
    let Some(headers) = headers else { return Vec::new() };
    let given = headers.inner().iter().filter_map(|(name, value)| {
        let plain = PREFIXES.iter().find_map(|prefix| name.as_str().strip_prefix(prefix))?;
        let known = KNOWN.into_iter().find(|known| *known == plain)?;
        Some((known, text(value)?))
    });
    given.collect()
}

/// The trace that the message belongs to.
pub(super) fn trace(headers: Option<&FieldTable>) -> Option<Trace> {
    match headers?.inner().get(TRACE)? {
        AMQPValue::LongString(text) => Trace::parse(std::str::from_utf8(text.as_bytes()).ok()?),
        AMQPValue::ShortString(text) => Trace::parse(text.as_str()),
        _ => None,
    }
}

/// A value as JSON would have it.
fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        // What Python's clients make of `bytes`.
        AMQPValue::ByteArray(bytes) => std::str::from_utf8(bytes.as_slice()).ok().map(str::to_owned),
        AMQPValue::Timestamp(seconds) => {
            let at = OffsetDateTime::from_unix_timestamp(i64::try_from(*seconds).ok()?).ok()?;
            at.format(&Rfc3339).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_prefixes_and_all_texts_are_read_and_nothing_else() {
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("cloudEvents:id", AMQPValue::LongString("e-1".into())),
            ("cloudEvents_source", AMQPValue::LongString("/apps/shop".into())),
            ("cloudEvents_time", AMQPValue::Timestamp(1_795_300_000)),
            ("cloudEvents:type", AMQPValue::LongInt(1)),
            ("cloudEvents:specversion", AMQPValue::ByteArray(b"1.0".to_vec().into())),
            ("cloudEvents_type", AMQPValue::ByteArray(vec![0xff].into())),
            ("cloudevents:id", AMQPValue::LongString("e-3".into())),
            ("ce_id", AMQPValue::LongString("e-4".into())),
            ("cloudEvents: id", AMQPValue::LongString("e-5".into())),
            ("cloudEvents:traceparent", AMQPValue::LongString("00-".into())),
            ("cloudEvents:subject", AMQPValue::LongString("u-1".into())),
            ("id", AMQPValue::LongString("e-2".into())),
        ] {
            headers.insert(name.into(), value);
        }
        let mut read = read(Some(&headers));
        read.sort_unstable();
        let wanted = [
            ("id", "e-1"),
            ("source", "/apps/shop"),
            ("specversion", "1.0"),
            ("time", "2026-11-21T22:26:40Z"),
            ("traceparent", "00-"),
        ];
        assert_eq!(read, wanted.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn the_header_of_a_trace_is_a_text_that_is_well_formed() {
        let whole = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (value, is_read) in [
            (AMQPValue::LongString(whole.into()), true),
            (AMQPValue::ShortString(whole.into()), true),
            (AMQPValue::LongString(whole.to_uppercase().into()), false),
            (AMQPValue::LongString(vec![0xff; 55].into()), false),
            (AMQPValue::Boolean(true), false),
        ] {
            let mut headers = FieldTable::default();
            headers.insert("traceparent".into(), value.clone());
            let read = trace(Some(&headers)).map(|trace| trace.to_string());
            assert_eq!(read, is_read.then(|| whole.to_owned()), "{value:?}");
        }
        assert_eq!(trace(None), None);
    }
}
