use lapin::types::{AMQPValue, FieldTable};
use proptest::prelude::*;

use super::walk::{DEEPEST, make_opaque};
use super::*;

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    [&[kind][..], &channel.to_be_bytes(), &size.to_be_bytes(), payload, &[0xce]].concat()
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn deliver(tag: u64, key: &[u8]) -> Vec<u8> {
    frame(
        METHOD,
        3,
        &[
            &[0, 60, 0, 60][..],
            &short(b"queue"),
            &tag.to_be_bytes(),
            &[0],
            &short(b"auth.events"),
            &short(key),
        ]
        .concat(),
    )
}

fn got(tag: u64, key: &[u8]) -> Vec<u8> {
    frame(
        METHOD,
        3,
        &[&[0, 60, 0, 71][..], &tag.to_be_bytes(), &[0], &short(b""), &short(key), &[0; 4]].concat(),
    )
}

fn returned(key: &[u8]) -> Vec<u8> {
    frame(METHOD, 3, &[&[0, 60, 0, 50, 1, 56][..], &short(b"NO_ROUTE"), &short(b""), &short(key)].concat())
}

fn header(flags: u16, properties: &[u8]) -> Vec<u8> {
    frame(HEADER, 3, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2][..], &flags.to_be_bytes(), properties].concat())
}

/// Every property with this text, and these headers.
fn all(text: &[u8], table: &[u8]) -> Vec<u8> {
    let each = PROPERTIES.map(|(_, form)| match form {
        Form::Short => short(text),
        Form::Table => long(table),
        Form::Octet => vec![1],
        Form::Time => vec![0xff; 8],
    });
    header(0b1111_1111_1111_1100, &each.concat())
}

fn repaired(mut bytes: Vec<u8>) -> (Vec<u8>, Unreadable) {
    let unreadable = Unreadable::default();
    let whole = Advance { ready: bytes.len(), removed: 0 };
    assert_eq!(Repair::new(Some(unreadable.clone()), 0).advance(&mut bytes), whole);
    (bytes, unreadable)
}

/// `[[[…]]]`, or tables likewise, so many in each other.
fn nested(kind: u8, depth: usize) -> Vec<u8> {
    let name = if kind == b'F' { short(b"n") } else { Vec::new() };
    (0..depth).fold(Vec::new(), |inner, _| [name.as_slice(), &[kind], &long(&inner)].concat())
}

#[test]
fn every_short_string_that_is_not_utf8_is_repaired_and_named() {
    let words = PROPERTIES.into_iter().filter(|(_, form)| matches!(form, Form::Short)).map(|(name, _)| name);
    for (bad, mended) in [
        (&b"\xff"[..], &b"?"[..]),
        (b"ab\xff\xfecd", b"ab??cd"),
        (b"caf\xc3", b"caf?"),
        (b"\xed\xa0\x80", b"???"),
        (b"\xf0\x9f\x98", b"???"),
        (b"\xc0\xaf\x01", b"??\x01"),
        (&[0x80; 255], &[b'?'; 255]),
    ] {
        let body = frame(3, 3, b"\xff\xff");
        let (bytes, unreadable) =
            repaired([deliver(7, bad), all(bad, b""), body.clone(), got(8, b"key"), all(bad, b"")].concat());
        assert_eq!(
            bytes,
            [deliver(7, mended), all(mended, b""), body, got(8, b"key"), all(mended, b"")].concat()
        );
        assert_eq!(
            unreadable.take(3, 7).parts,
            std::iter::once("routing_key").chain(words.clone()).collect::<Vec<_>>()
        );
        assert_eq!(unreadable.take(3, 8).parts, words.clone().collect::<Vec<_>>());
        assert!(unreadable.take(3, 8) == Faults::default() && !unreadable.has_any());
    }
    let (bytes, unreadable) = repaired([returned(b"k\xff"), all(b"\xff", b"")].concat());
    assert_eq!(bytes, [returned(b"k?"), all(b"?", b"")].concat());
    assert!(unreadable.lock().is_empty(), "nobody takes what was returned");
}

#[test]
fn what_the_client_reads_stays_as_it_is() {
    let values: [(u8, &[u8]); 17] = [
        (b't', &[9]),
        (b'b', &[0xff]),
        (b'B', &[0xff]),
        (b's', &[0xff; 2]),
        (b'U', &[0xff; 2]),
        (b'u', &[0xff; 2]),
        (b'I', &[0xff; 4]),
        (b'i', &[0xff; 4]),
        (b'f', &[0xff; 4]),
        (b'D', &[0xff; 5]),
        (b'l', &[0xff; 8]),
        (b'L', &[0xff; 8]),
        (b'd', &[0xff; 8]),
        (b'T', &[0xff; 8]),
        (b'V', &[]),
        (b'S', b"\0\0\0\x02\xff\xfe"),
        (b'x', b"\0\0\0\x02\xff\xfe"),
    ];
    let entries = |values: &[(u8, &[u8])]| {
        values
            .iter()
            .flat_map(|(kind, bytes)| {
                [&short(&["né".as_bytes(), &[*kind]].concat()), &[*kind][..], bytes].concat()
            })
            .collect::<Vec<_>>()
    };
    let tables = [
        Vec::new(),
        entries(&values),
        nested(b'F', DEEPEST - 1),
        [short(b"a"), nested(b'A', DEEPEST - 1)].concat(),
    ];
    for table in tables {
        let bytes = [deliver(1, "auth.é".as_bytes()), all("é\u{10ffff}".as_bytes(), &table)].concat();
        let (after, unreadable) = repaired(bytes.clone());
        assert_eq!(after, bytes);
        assert!(unreadable.lock().is_empty());
    }
}

#[test]
fn headers_that_make_no_sense_are_read_as_bytes() {
    let deep = |kind, depth| {
        if kind == b'F' { nested(kind, depth) } else { [short(b"a"), nested(kind, depth)].concat() }
    };
    for table in [
        [short(b"\xff"), b"V".to_vec()].concat(),
        deep(b'F', DEEPEST),
        deep(b'A', DEEPEST),
        deep(b'A', 26_000),
        deep(b'F', 18_000),
        [short(b"name"), b"?".to_vec(), vec![0; 20]].concat(),
        [short(b"name"), b"S\xff\xff\xff\xff".to_vec()].concat(),
        [short(b"name"), b"F\0\0\0\x03".to_vec(), short(b"ab")].concat(),
        vec![200, 1],
        vec![200, 1, 1],
        vec![200, 1, 1, 1],
        vec![200; 5],
        vec![200; 6],
    ] {
        let (after, unreadable) = repaired([deliver(1, b"k"), all(b"m", &table)].concat());
        assert_eq!(unreadable.take(3, 1).parts, ["headers"]);
        assert_eq!(after.len(), [deliver(1, b"k"), all(b"m", &table)].concat().len());
        let (again, unreadable) = repaired(after.clone());
        assert!(again == after && unreadable.lock().is_empty(), "what was repaired needs no repair");
    }
}

#[test]
fn an_opaque_table_is_one_the_client_knows() {
    let mut table = vec![200; 12];
    make_opaque(&mut table);
    let mut same = FieldTable::default();
    same.insert("".into(), AMQPValue::ByteArray(vec![200; 6].into()));
    let mut long_table = long(&table);
    let mut walk = Walk::new(&mut long_table, 0);
    assert_eq!((walk.headers(), same.inner().len()), (Some(false), 1));
}

#[test]
fn a_name_that_comes_twice_is_told_at_any_depth() {
    let twice = |name: &[u8]| {
        [short(name), b"V".to_vec(), short(b"z"), b"V".to_vec(), short(name), b"V".to_vec()].concat()
    };
    let within = |kind: u8, inner: &[u8]| [short(b"n"), vec![kind], long(inner)].concat();
    let in_array = within(b'A', &[&b"F"[..], &long(&twice(b"queue"))].concat());
    for (table, wanted) in [
        (twice(b"x-death"), true),
        (twice(b""), true),
        (within(b'F', &twice(b"a")), true),
        (in_array, true),
        ([within(b'F', b""), within(b'F', b"")].concat(), true),
        ([short(b"a"), b"V".to_vec(), short(b"A"), b"V".to_vec()].concat(), false),
        ([within(b'F', &[short(b"a"), b"V".to_vec()].concat()), short(b"a"), b"V".to_vec()].concat(), false),
    ] {
        let (_, unreadable) = repaired([deliver(1, b"k"), all(b"m", &table)].concat());
        assert_eq!(unreadable.take(3, 1), Faults { is_ambiguous: wanted, ..Faults::default() }, "{table:?}");
    }
}

#[test]
fn no_cut_of_the_stream_makes_a_difference() {
    let stream = [
        deliver(1, b"\xff"),
        all(b"\xff", &nested(b'F', 20)),
        frame(3, 3, &[0xff; 300]),
        frame(8, 0, b""),
        got(2, b"ok"),
        all(b"ok", b""),
        frame(3, 3, b""),
    ]
    .concat();
    let (whole, _) = repaired(stream.clone());
    for step in 1..stream.len() {
        let (mut repair, mut passed, mut held) = (Repair::new(None, 0), Vec::new(), Vec::new());
        for piece in stream.chunks(step) {
            held.extend_from_slice(piece);
            let Advance { ready, removed } = repair.advance(&mut held);
            held.truncate(held.len() - removed);
            passed.extend(held.drain(..ready));
        }
        assert_eq!(passed, whole, "in pieces of {step}");
    }
}

proptest! {
    #[test]
    fn no_bytes_end_it(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        kind in 0_u8..4,
        flags in any::<u16>(),
    ) {
        let before = bytes.len();
        let Advance { ready, removed } = Repair::new(None, 0).advance(&mut bytes);
        prop_assert!(ready <= before && removed == 0);
        let frames = [deliver(1, b"k"), header(flags, &bytes), frame(kind, 3, &bytes), frame(8, 0, b"")];
        let mut stream = frames.concat();
        let (kept, length) = (stream.clone(), stream.len());
        prop_assert_eq!(Repair::new(Some(Unreadable::default()), 0).advance(&mut stream).ready, length);
        prop_assert_eq!(stream.last(), kept.last(), "framing is kept");
    }
}

mod limits;
