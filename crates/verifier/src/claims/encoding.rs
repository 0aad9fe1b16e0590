//! Whatever Unicode encoding a payload has, as UTF-8. JSON has no other (RFC 8259 section 8.1), but readers
//! guess: Python's `json.loads` does.

use super::scan::push_utf8;

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

/// The text as UTF-8 without a byte order mark. Bytes that are neither UTF-16 nor UTF-32 stay as they are.
pub(super) fn in_utf8(text: Vec<u8>) -> Vec<u8> {
    use Order::{Big, Little};
    // Without a mark, the zeros around the first character, which is ASCII, tell.
    match &*text {
        [b'{', second, ..] if *second != 0 => text,
        [0, 0, 0xfe, 0xff, marked @ ..] => from_utf32(marked, Big),
        [0xff, 0xfe, 0, 0, marked @ ..] => from_utf32(marked, Little),
        [0xfe, 0xff, marked @ ..] => from_utf16(marked, Big),
        [0xff, 0xfe, marked @ ..] => from_utf16(marked, Little),
        [0xef, 0xbb, 0xbf, marked @ ..] => marked.to_vec(),
        [0, 0, _, _, ..] => from_utf32(&text, Big),
        [0, _, _, _, ..] => from_utf16(&text, Big),
        [_, 0, 0, 0, ..] => from_utf32(&text, Little),
        [_, 0, _, _, ..] => from_utf16(&text, Little),
        _ => text,
    }
}

fn from_utf32(bytes: &[u8], order: Order) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let (units, _) = bytes.as_chunks::<4>();
    for unit in units {
        let code_point = match order {
            Order::Little => u32::from_le_bytes(*unit),
            Order::Big => u32::from_be_bytes(*unit),
        };
        push_utf8(&mut text, code_point);
    }
    text
}

fn from_utf16(bytes: &[u8], order: Order) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| match order {
        Order::Little => u16::from_le_bytes(*unit),
        Order::Big => u16::from_be_bytes(*unit),
    });
    for character in char::decode_utf16(units) {
        push_utf8(&mut text, character.map_or_else(|half| u32::from(half.unpaired_surrogate()), u32::from));
    }
    text
}
