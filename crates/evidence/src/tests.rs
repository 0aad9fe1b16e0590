mod changes;
mod keys;

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::macros::datetime;

use super::chain::Pass;
use super::*;

fn key(letter: &str) -> SigningKey {
    SigningKey::new("2026-11", &decoded(&format!("{}A=", letter.repeat(42)))).unwrap()
}

fn decoded(key: &str) -> Vec<u8> {
    STANDARD.decode(key).unwrap()
}

/// An archive with so many lines of revocations, and a few of the others.
fn archive_by(key: &SigningKey, lines: usize) -> Vec<u8> {
    let mut archive = Archive::new(Cursor::new(Vec::new()), "leak", datetime!(2026-11-26 07:00:00.5 UTC));
    for (member, lines) in [1, lines, 2, 1, 0, 1].into_iter().enumerate() {
        let mut member_of = archive.begin().unwrap();
        for number in 1..=lines {
            member_of.line(&format!(r#"{{"member":{member},"line":{number}}}"#)).unwrap();
        }
        member_of.end().unwrap();
    }
    archive.finish(key).unwrap().1.into_inner()
}

fn archive(lines: usize) -> Vec<u8> {
    archive_by(&key("A"), lines)
}

fn check(bytes: &[u8]) -> Verified {
    verify(Cursor::new(bytes), &[key("A").public()]).unwrap()
}

fn findings(bytes: &[u8]) -> Vec<String> {
    check(bytes).findings
}

fn place(bytes: &[u8], text: &str) -> usize {
    bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())
        .unwrap_or_else(|| panic!("{text} is in the archive"))
}

#[test]
fn what_was_written_verifies() {
    for lines in [0, 1, 999, 1000, 1001, 2500] {
        let verified = check(&archive(lines));
        assert_eq!((verified.findings.as_slice(), verified.is_known), (&[][..], true), "{lines} lines");
        let manifest = verified.manifest.unwrap();
        assert_eq!(
            (manifest.incident.as_str(), manifest.exported_at),
            ("leak", datetime!(2026-11-26 07:00 UTC))
        );
        assert_eq!(manifest.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), MEMBERS);
        assert_eq!(
            (manifest.members[1].rows, manifest.members[1].checkpoints.len()),
            (lines as u64, lines / 1000)
        );
    }
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    assert!(archive(3) == archive(3));
}

/// Archives are verified years after they were written: no header may come out otherwise.
#[test]
fn headers_are_those_of_the_first_version() {
    let bytes = archive(3);
    let members = &bytes[..place(&bytes, "README.txt\0")];
    assert_eq!(
        Hash::of(&[members]).to_string(),
        "a6c0598297b190d8c377f5660f99f4176ad321baa8ecc9cbb62400f11874c0fc"
    );
}

#[test]
fn the_chain_is_the_one_that_is_written_down() {
    let manifest = check(&archive(3)).manifest.unwrap();
    let mut head = Hash::of(&[b"incident.json"]);
    head = Hash::of(&[head.as_ref(), Hash::of(&[br#"{"member":0,"line":1}"#]).as_ref()]);
    assert_eq!(manifest.members[0].head, head);
    head = Hash::of(&[head.as_ref(), b"revocations.ndjson"]);
    for number in 1..=3 {
        let line = format!(r#"{{"member":1,"line":{number}}}"#);
        head = Hash::of(&[head.as_ref(), Hash::of(&[line.as_bytes()]).as_ref()]);
    }
    assert_eq!(manifest.members[1].head, head);
}

#[test]
fn members_cannot_be_left_out_or_added() {
    let mut archive = Archive::new(Cursor::new(Vec::new()), "leak", datetime!(2026-11-26 07:00 UTC));
    archive.begin().unwrap().end().unwrap();
    assert!(
        archive
            .finish(&key("A"))
            .err()
            .is_some_and(|error| error.to_string() == "revocations.ndjson is missing")
    );
    let mut archive = Archive::new(Cursor::new(Vec::new()), "leak", datetime!(2026-11-26 07:00 UTC));
    MEMBERS.iter().for_each(|_| archive.begin().unwrap().end().unwrap());
    assert!(archive.begin().is_err());
}

#[test]
fn a_header_has_no_room_for_more_than_8_gib() {
    assert!(
        tar::header("a", tar::LARGEST, 0).is_some_and(|block| tar::size(&block, "a") == Some(tar::LARGEST))
    );
    assert!(tar::header("a", tar::LARGEST + 1, 0).is_none());
    assert_eq!([0, 1, 511, 512, 513].map(tar::padding), [0, 511, 1, 0, 511]);
}

#[test]
fn a_hash_is_read_from_lower_case_hex_only() {
    let hash = Hash::of(&[b"a"]);
    assert_eq!(hash.to_string(), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
    for bad in [
        &hash.to_string()[1..],
        &format!("{hash}0"),
        &hash.to_string().to_uppercase(),
        &format!("+{}", &hash.to_string()[1..]),
    ] {
        assert_eq!(Hash::parse(bad), None, "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn it_does_not_matter_where_reading_stops(
        bytes in "[ab\n]{0,60}",
        cuts in proptest::collection::vec(1_usize..8, 60),
    ) {
        let mut whole = Pass::new(None, "a");
        whole.update(bytes.as_bytes());
        let (mut pieces, mut rest) = (Pass::new(None, "a"), bytes.as_bytes());
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.update(piece);
            rest = after;
        }
        let whole = whole.finish();
        proptest::prop_assert_eq!(whole.rows, bytes.lines().count() as u64);
        proptest::prop_assert!(whole == pieces.finish());
    }
}
