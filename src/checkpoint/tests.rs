//! A chain of three, and each way to break it.

use revocation_evidence::SigningKey;

use super::*;

fn key(id: &str) -> SigningKey {
    SigningKey::new(id, &[7; 32]).unwrap_or_else(|why| panic!("{why}"))
}

fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second)
}

fn document(number: i64, follows: Option<Hash>) -> Document {
    let begin = (number > 0).then(|| at(number * 10 - 10));
    Document {
        format: FORMAT.to_owned(),
        checkpoint: number,
        by: None,
        after: begin,
        until: at(number * 10),
        noted_after: begin,
        noted_until: at(number * 10),
        follows,
        parts: vec![Part { table: "attempts".to_owned(), late: false, rows: 2, sha256: Hash::of(&[b"x"]) }],
        base: None,
    }
}

fn stored(document: &Document, key: &SigningKey) -> Stored {
    let text = document.render();
    Stored {
        number: document.checkpoint,
        sha256: Hash::of(&[text.as_bytes()]).to_string(),
        after: document.after,
        until: document.until,
        public_key: Some(key.public().to_string()),
        signature: Some(key.sign(text.as_bytes())),
        document: text,
    }
}

fn chain() -> Vec<Stored> {
    let mut follows = None;
    let next = |number| {
        let row = stored(&document(number, follows), &key("k"));
        follows = Some(Hash::of(&[row.document.as_bytes()]));
        row
    };
    (0..4).map(next).collect()
}

fn findings(rows: &[Stored], trusted: Option<Vec<PublicKeyOf>>) -> Vec<String> {
    let mut chain = Chain::new(trusted, false);
    rows.iter().flat_map(|row| chain.take(row).1).map(|finding| finding.text).collect()
}

type PublicKeyOf = revocation_evidence::PublicKey;

#[test]
fn a_chain_is_found_intact_and_what_was_done_to_it_is_named() {
    let trusted = || Some(vec![key("k").public()]);
    assert_eq!(findings(&chain(), trusted()), Vec::<String>::new());
    let removed = |n| {
        let mut rows = chain();
        rows.remove(n);
        findings(&rows, trusted())
    };
    assert!(removed(2)[0].contains("removed, or they were reordered"), "{:?}", removed(2));
    assert!(removed(0)[0].contains("before it were removed"), "{:?}", removed(0));
    let mut swapped = chain();
    swapped.swap(1, 2);
    assert!(findings(&swapped, trusted()).len() >= 2);
    let mut forged = chain();
    forged[3] = stored(&document(3, Some(Hash::of(&[b"other"]))), &key("k"));
    assert!(findings(&forged, trusted())[0].contains("another checkpoint 2"));
    let other = SigningKey::new("o", &[8; 32]).unwrap_or_else(|why| panic!("{why}"));
    let rows = chain();
    assert!(findings(&rows, Some(vec![other.public()]))[0].contains("not known"));
    assert!(findings(&rows, None).is_empty());
    let mut unsigned = chain();
    unsigned[2].signature = None;
    assert_eq!(findings(&unsigned, trusted()), ["it is not signed"]);
}

#[test]
fn rows_that_are_not_those_of_a_checkpoint_are_named_by_table_and_time() {
    let document = document(1, None);
    let (nothing, rows) = ((0, Hash::of(&[])), |n, text: &[u8]| (n, Hash::of(&[text])));
    let found =
        |first| document.compare(&[first, nothing, nothing, nothing, nothing, nothing, nothing, nothing]);
    assert_eq!(found(rows(2, b"x")), []);
    for (first, said) in [
        (rows(1, b"x"), "1 row removed"),
        (rows(3, b"x"), "1 row added"),
        (rows(2, b"y"), "rows changed, exchanged or replaced"),
    ] {
        let [Finding { checkpoint: 1, table: Some("attempts"), text }] = &found(first)[..] else {
            panic!("one finding")
        };
        assert!(text.contains(said) && text.contains("from 1970-01-01T00:00:00Z to 1970-01-01T00:00:10Z"));
    }
}
