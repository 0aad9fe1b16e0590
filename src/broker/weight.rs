//! What the properties of a message take in memory once they are read, which may be many times what they took
//! in their frame.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

use super::fit::words;

/// Of a value in an array, and of an entry in a table, beside their text.
const PER_VALUE: usize = size_of::<AMQPValue>();
const PER_ENTRY: usize = 2 * PER_VALUE + 64;
/// As it came, and where it is an attribute of an event.
const PER_BYTE: usize = 2;

/// What all of a message's properties take, bytes.
pub(super) fn of(properties: &BasicProperties) -> usize {
    PER_BYTE * words(properties) + properties.headers().as_ref().map_or(0, table)
}

fn table(table: &FieldTable) -> usize {
    let entries = table.inner().iter();
    entries.map(|(name, value)| PER_ENTRY + PER_BYTE * name.as_str().len() + content(value)).sum()
}

fn content(value: &AMQPValue) -> usize {
    match value {
        AMQPValue::LongString(text) => PER_BYTE * text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => PER_BYTE * bytes.as_slice().len(),
        AMQPValue::ShortString(text) => PER_BYTE * text.as_str().len(),
        AMQPValue::FieldArray(values) => {
            values.as_slice().iter().map(|value| PER_VALUE + content(value)).sum()
        }
        AMQPValue::FieldTable(values) => table(values),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    /// Headers of 100 kB in their frame.
    #[test]
    fn many_small_values_weigh_more_than_one_long_one() {
        let text = |bytes: usize| AMQPValue::LongString("x".repeat(bytes).into());
        let array = |values| AMQPValue::FieldArray(FieldArray::from(values));
        let one = |value: AMQPValue| {
            let mut table = FieldTable::default();
            table.insert("a".into(), value);
            table
        };
        let named = |count: usize| {
            let mut table = FieldTable::default();
            for number in 0..count {
                table.insert(format!("{number:05}").into(), AMQPValue::Void);
            }
            table
        };
        for (name, headers, least) in [
            ("one text", one(text(100_000)), 100_000),
            ("texts", one(array(vec![text(95); 1000])), 100_000 + 24_000),
            ("voids", one(array(vec![AMQPValue::Void; 100_000])), 2_400_000),
            ("booleans", one(array(vec![AMQPValue::Boolean(true); 50_000])), 1_200_000),
            ("names", named(14_000), 1_200_000),
            ("tables", one(AMQPValue::FieldTable(named(14_000))), 1_200_000),
            ("empty tables", one(array(vec![AMQPValue::FieldTable(FieldTable::default()); 20_000])), 480_000),
        ] {
            let weight = of(&BasicProperties::default().with_headers(headers));
            assert!((least..3 * least + 100_000).contains(&weight), "{name}: {weight}");
        }
        assert_eq!(of(&BasicProperties::default()), 0);
        let words = BasicProperties::default().with_message_id("x".repeat(255).into());
        assert!(of(&words) >= 2 * 255);
    }
}
