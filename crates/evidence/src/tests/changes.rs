//! Whatever is changed is found.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

#[track_caller]
fn assert_found(bytes: &[u8], what: &str) {
    let found = findings(bytes);
    assert!(!found.is_empty(), "{what} was not found");
}

#[test]
fn any_byte() {
    let sound = archive(3);
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1 << (at % 8);
        assert_found(&changed, &format!("a change of byte {at}"));
    }
}

#[test]
fn any_byte_of_a_larger_archive() {
    let (sound, mut random) = (archive(2500), StdRng::seed_from_u64(1));
    for _ in 0..1000 {
        let (at, bits) = (random.gen_range(0..sound.len()), random.gen_range(1..=255));
        let mut changed = sound.clone();
        changed[at] ^= bits;
        assert_found(&changed, &format!("byte {at} with {bits:#x}"));
    }
}

#[test]
fn any_truncation_and_anything_appended() {
    let sound = archive(3);
    for length in (0..sound.len()).step_by(7) {
        assert_found(&sound[..length], &format!("what is left after {length} bytes"));
    }
    let whole = sound.len();
    assert_eq!(
        findings(&sound[..whole - 1]),
        [format!("the file was cut off: it ends at byte {} instead of {whole}", whole - 1)]
    );
    for tail in [&b"\n"[..], &[0], &[0; 512], &[0; 8704], b"second archive"] {
        let longer = [sound.as_slice(), tail].concat();
        assert_eq!(
            findings(&longer),
            [format!("{} bytes were appended after the end of the archive", tail.len())]
        );
    }
    assert_found(&[sound.as_slice(), &sound].concat(), "a second archive");
    assert_eq!(
        findings(b""),
        ["no manifest.json is left: the file was cut off at byte 0, before the header of incident.json"]
    );
    assert!(findings(&[b'x'; 2000])[0].contains("no archive of this kind"));
}

#[test]
fn a_changed_row_is_found_to_a_thousand_lines() {
    let mut bytes = archive(4500);
    let at = place(&bytes, r#""line":3456}"#);
    bytes[at + 7] = b'9';
    let what = "lines were changed, removed, added or moved, the first of them between line";
    assert_eq!(findings(&bytes), [format!("revocations.ndjson: {what} 3001 and line 4000")]);
    let mut bytes = archive(4500);
    let at = place(&bytes, r#""line":4321}"#);
    bytes[at + 7] = b'9';
    assert_eq!(findings(&bytes), [format!("revocations.ndjson: {what} 4001 and the end")]);
}

#[test]
fn rows_that_change_places() {
    let mut bytes = archive(2500);
    let (one, other) = (place(&bytes, r#""line":1100}"#), place(&bytes, r#""line":1900}"#));
    for offset in 0..12 {
        bytes.swap(one + offset, other + offset);
    }
    let found = findings(&bytes);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("revocations.ndjson: ") && found[0].ends_with("between line 1001 and line 2000"),
        "{found:?}"
    );
}

/// Without the bytes of one line.
fn without_line(bytes: &[u8], number: usize) -> (Vec<u8>, usize) {
    let line = format!("{{\"member\":1,\"line\":{number}}}\n");
    let at = place(bytes, &line);
    ([&bytes[..at], &bytes[at + line.len()..]].concat(), line.len())
}

#[test]
fn a_row_that_was_cut_out() {
    let (bytes, length) = without_line(&archive(2500), 1234);
    let found = findings(&bytes);
    assert_eq!(found[0], format!("{length} bytes were removed before manifest.json"));
    assert!(
        found[1].starts_with("revocations.ndjson: ") && found[1].ends_with("between line 1001 and line 2000"),
        "{found:?}"
    );
    assert!(found.len() <= 3, "what lies behind the gap is not reported: {found:?}");
}

#[test]
fn a_row_that_was_put_in() {
    let sound = archive(2500);
    let at = place(&sound, "{\"member\":1,\"line\":1234}");
    let found = findings(&[&sound[..at], b"{\"member\":1}\n", &sound[at..]].concat());
    assert_eq!(found[0], "13 bytes were added before manifest.json");
    assert!(
        found[1].starts_with("revocations.ndjson: ") && found[1].ends_with("between line 1001 and line 2000"),
        "{found:?}"
    );
}

/// As a tool does it that knows tar: header and padding fit the shorter member.
#[test]
fn a_row_that_was_cut_out_with_care() {
    let sound = archive(2500);
    let (shorter, length) = without_line(&sound, 1234);
    let header = place(&sound, "revocations.ndjson");
    let size = tar::size(&sound[header..header + 512], "revocations.ndjson").unwrap();
    let new_size = size - length as u64;
    let mtime = datetime!(2026-11-26 07:00 UTC).unix_timestamp() as u64;
    let end = header + 512 + new_size as usize;
    let rest = header + tar::footprint(size) as usize;
    let forged = [
        &sound[..header],
        &tar::header("revocations.ndjson", new_size, mtime).unwrap(),
        &shorter[header + 512..end],
        &vec![0; tar::padding(new_size)],
        &sound[rest..],
    ]
    .concat();
    let found = findings(&forged);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with("between line 1001 and line 2000; lines found: 2499, lines exported: 2500"),
        "{found:?}"
    );
}

#[test]
fn a_damaged_header_hides_nothing_else() {
    let mut bytes = archive(2500);
    let header = place(&bytes, "attempts.ndjson");
    bytes[header + 130] ^= 1;
    let at = place(&bytes, r#""line":1234}"#);
    bytes[at] = b'\'';
    let found = findings(&bytes);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("revocations.ndjson: lines"), "{found:?}");
    assert_eq!(found[1], "attempts.ndjson: its tar header was changed");
}

#[test]
fn a_signature_of_another_key() {
    let (ours, theirs) = (archive(3), archive_by(&key("B"), 3));
    let tail = place(&ours, "signature.json\0");
    let found = findings(&[&ours[..tail], &theirs[place(&theirs, "signature.json\0")..]].concat());
    assert!(
        found[0].starts_with("signature.json: not the signature of key \"2026-11\" over manifest.json"),
        "{found:?}"
    );
    // The same under the manifest's own key: only the signature is the other's.
    let signature = |bytes: &[u8]| bytes[place(bytes, "\"signature\": ")..][..100].to_vec();
    let mut bytes = ours.clone();
    let at = place(&bytes, "\"signature\": ");
    bytes[at..at + 100].copy_from_slice(&signature(&theirs));
    assert_eq!(findings(&bytes).len(), 1);
}

#[test]
fn a_forgery_that_was_signed_anew_has_another_signer() {
    let forged = check(&archive_by(&key("B"), 2));
    assert_eq!((forged.findings.as_slice(), forged.is_known), (&[][..], false));
    assert!(!verify(Cursor::new(archive(3)), &[]).unwrap().is_known);
}

/// Signed by the right key, yet not of this format.
#[test]
fn what_a_signature_cannot_make_good() {
    type Change = fn(&mut Manifest);
    let changes: [(Change, &str); 5] = [
        (|manifest| manifest.format = "other 2".to_owned(), "manifest.json: its format is \"other 2\""),
        (|manifest| manifest.members.swap(0, 1), "manifest.json: its members are not incident.json, "),
        (|manifest| drop(manifest.members.pop()), "manifest.json: its members are not "),
        (
            |manifest| manifest.signer.fingerprint = Hash::of(&[]),
            "manifest.json: the signer's fingerprint is not that of the public key",
        ),
        (
            |manifest| manifest.members[1].checkpoints.clear(),
            "manifest.json: the hash chain of revocations.ndjson does not fit its lines",
        ),
    ];
    for (change, sentence) in changes {
        let sound = archive(1000);
        let mut manifest = check(&sound).manifest.unwrap();
        change(&mut manifest);
        let bytes = manifest.render();
        let tail = manifest.render_tail(&bytes, &key("A").sign(&bytes)).unwrap();
        let found = findings(&[&sound[..place(&sound, "manifest.json\0")], &tail].concat());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(sentence), "{found:?}");
    }
}
