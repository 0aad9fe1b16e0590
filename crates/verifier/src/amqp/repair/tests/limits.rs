//! Frames that are larger than the client takes.

use super::*;

#[test]
fn the_largest_headers_are_left_out_of_a_frame_that_the_client_does_not_take() {
    let entry = |name: u8, bytes: usize| [&short(&[name]), &b"S"[..], &long(&vec![name; bytes])].concat();
    let sizes = [(b'a', 10), (b'b', 110), (b'c', 60), (b'd', 20)];
    let header = |left_out: &[u8]| {
        let kept = sizes.iter().filter(|(name, _)| !left_out.contains(name));
        all(b"word", &kept.flat_map(|(name, bytes)| entry(*name, *bytes)).collect::<Vec<_>>())
    };
    let length = |left_out| header(left_out).len();
    for (frame_max, left_out) in [
        (length(b""), &b""[..]),
        (length(b"") - 1, b"b"),
        (length(b"b"), b"b"),
        (length(b"b") - 1, b"bc"),
        (length(b"bcd") - 1, b"abcd"),
        (0, b""),
    ] {
        let limit = u32::try_from(frame_max).unwrap().to_be_bytes();
        let tune = frame(METHOD, 0, &[&[0, 10, 0, 30, 7, 255][..], &limit, &[0, 60]].concat());
        let mut stream =
            [tune.clone(), deliver(1, b"k"), header(b""), deliver(2, b"k"), header(b"abcd")].concat();
        let unreadable = Unreadable::default();
        let Advance { ready, removed } = Repair::new(Some(unreadable.clone()), 0).advance(&mut stream);
        stream.truncate(stream.len() - removed);
        assert_eq!(ready, stream.len());
        assert_eq!(
            stream,
            [tune, deliver(1, b"k"), header(left_out), deliver(2, b"k"), header(b"abcd")].concat()
        );
        assert_eq!(unreadable.take(3, 1), Faults { left_out: left_out.len(), ..Faults::default() });
        assert_eq!(unreadable.take(3, 2), Faults::default());
    }
}

/// What it is, its headers, which of them are left out, and the names of those that were to be kept.
type Rich<'a> = (&'a str, Vec<Vec<u8>>, &'a [usize], &'a [&'a str]);

/// Values of one byte or a few take some hundred in memory.
#[test]
fn headers_of_very_many_values_are_left_out_the_richest_first() {
    let array = |name: u8, kind: u8, value: &[u8]| [&short(&[name]), &[kind][..], &long(value)].concat();
    let word = |name: &[u8]| [&short(name), &b"S"[..], &long(b"word")].concat();
    let names =
        |count: usize| (0..count).flat_map(|n| word(format!("{n:04}").as_bytes())).collect::<Vec<_>>();
    let (voids, few) = (b"V".repeat(3000), b"V".repeat(1000));
    let tables = [&b"F"[..], &long(b"")].concat().repeat(2100);
    let deep = array(b'd', b'F', &array(b'e', b'A', &b"t\x01".repeat(2048)));
    let rows: [Rich<'_>; 8] = [
        ("as many as may be", vec![names(MOST_VALUES)], &[], &[]),
        ("an array", vec![word(b"k"), array(b'a', b'A', &voids), word(b"l")], &[1], &[]),
        ("tables", vec![array(b'a', b'A', &tables), word(b"k")], &[0], &[]),
        ("within another", vec![word(b"k"), deep], &[1], &[]),
        (
            "the richest, not the longest",
            vec![
                array(b'a', b'A', &few),
                array(b'b', b'A', &few),
                array(b'c', b'x', &[7; 9000]),
                array(b'd', b'A', &b"V".repeat(1001)),
            ],
            &[3],
            &[],
        ),
        ("one's own", vec![array(b'o', b'A', &few), array(b'a', b'A', &voids)], &[1], &[]),
        ("no other is left", vec![word(b"k"), array(b'o', b'A', &voids)], &[0, 1], &["o"]),
        ("of many names", vec![names(MOST_VALUES), word(b"long-and-last")], &[1], &[]),
    ];
    for (name, headers, left_out, lost) in rows {
        let unreadable = Unreadable::keeping(&["o"]);
        let mut stream = [deliver(1, b"k"), all(b"w", &headers.concat()), deliver(2, b"k")].concat();
        let advance = Repair::new(Some(unreadable.clone()), 0).advance(&mut stream);
        stream.truncate(stream.len() - advance.removed);
        let kept: Vec<_> = headers
            .iter()
            .enumerate()
            .filter(|(at, _)| !left_out.contains(at))
            .map(|(_, h)| h.clone())
            .collect();
        assert!(stream == [deliver(1, b"k"), all(b"w", &kept.concat()), deliver(2, b"k")].concat(), "{name}");
        let faults = unreadable.take(3, 1);
        assert_eq!((faults.left_out, faults.lost), (left_out.len(), lost.to_vec()), "{name}");
    }
}

#[test]
fn a_client_with_a_limit_of_its_own_is_held_to_it() {
    let headers = |bytes: usize| all(b"word", &[&short(b"a"), &b"S"[..], &long(&vec![b'a'; bytes])].concat());
    let tune = frame(METHOD, 0, &[0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60]);
    for (own, kept) in [(0, true), (8192, false), (1, false), (65_536, true), (1 << 20, true)] {
        let mut stream = [tune.clone(), headers(20_000)].concat();
        let advance = Repair::new(None, own).advance(&mut stream);
        assert_eq!(advance.removed == 0, kept, "{own}");
    }
}

#[test]
fn headers_to_be_kept_are_left_out_last() {
    let entry = |name: &[u8], bytes: usize| [&short(name), &b"S"[..], &long(&vec![b'v'; bytes])].concat();
    let (own, small) = (
        entry(b"x-death", 3000),
        (0..3).map(|number| entry(&[b'a' + number], 2000)).collect::<Vec<_>>().concat(),
    );
    for (own_limit, left_out, lost) in [(8192, 1, &[][..]), (4096, 3, &[])] {
        let unreadable = Unreadable::keeping(&["x-death"]);
        let mut stream = [deliver(1, b"k"), all(b"w", &[own.clone(), small.clone()].concat())].concat();
        Repair::new(Some(unreadable.clone()), own_limit).advance(&mut stream);
        assert_eq!(
            unreadable.take(3, 1),
            Faults { left_out, lost: lost.to_vec(), ..Faults::default() },
            "{own_limit}"
        );
    }
    let unreadable = Unreadable::keeping(&["x-death"]);
    let mut stream = [deliver(1, b"k"), all(b"w", &[entry(b"x-death", 5000), small].concat())].concat();
    Repair::new(Some(unreadable.clone()), 4096).advance(&mut stream);
    assert_eq!(unreadable.take(3, 1), Faults { left_out: 4, lost: vec!["x-death"], ..Faults::default() });
}
