//! CloudEvents attributes in a message's headers (binary mode), as publishers of AMQP 1.0 and their bridges
//! write them.

use lapin::types::{AMQPValue, FieldTable};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Before an attribute's name; the second is for what knows no colon.
const PREFIXES: [&str; 2] = ["cloudEvents:", "cloudEvents_"];
/// The attributes that mean something here.
const KNOWN: [&str; 5] = ["specversion", "id", "source", "type", "time"];

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

/// A value as JSON would have it.
fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
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
            ("cloudEvents:subject", AMQPValue::LongString("u-1".into())),
            ("id", AMQPValue::LongString("e-2".into())),
        ] {
            headers.insert(name.into(), value);
        }
        let mut read = read(Some(&headers));
        read.sort_unstable();
        let wanted = [("id", "e-1"), ("source", "/apps/shop"), ("time", "2026-11-21T22:26:40Z")];
        assert_eq!(read, wanted.map(|(name, value)| (name, value.to_owned())));
    }
}
