use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const RAW: &str = "eyJhbGciOi.some.token";

fn keyring(ids: &[&str]) -> Keyring {
    let entries: Vec<Secret> = ids.iter().map(|id| generate(id).unwrap()).collect();
    parsed(&entries)
}

fn parsed(entries: &[Secret]) -> Keyring {
    Keyring::parse(entries).unwrap_or_else(|error| panic!("{error}"))
}

fn context() -> SealContext<'static> {
    SealContext { id: TargetId { event: Uuid::from_u128(7), ordinal: 3 }, provider: "main" }
}

fn sealed(keys: &Keyring) -> Sealed {
    keys.seal(&context(), &Token::new(RAW.to_owned())).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(keys: &Keyring, context: &SealContext<'_>, sealed: &Sealed) -> SealError {
    keys.open(context, sealed).err().expect("it must not open")
}

fn parse_refusal(entries: &[&str]) -> String {
    let entries: Vec<Secret> = entries.iter().map(|entry| Secret::new((*entry).to_owned())).collect();
    Keyring::parse(&entries).err().expect("it must be refused").to_string()
}

proptest! {
    #[test]
    fn what_is_sealed_opens_again(
        raw in ".*", provider in ".*", event in any::<u128>(), ordinal in any::<i16>()
    ) {
        let keys = keyring(&["a"]);
        let id = TargetId { event: Uuid::from_u128(event), ordinal };
        let context = SealContext { id, provider: &provider };
        let sealed = keys.seal(&context, &Token::new(raw.clone())).unwrap();
        prop_assert_eq!(sealed.bytes.len(), HEADER_LEN + raw.len() + TAG_LEN);
        prop_assert!(keys.open(&context, &sealed).is_ok_and(|token| token.expose() == raw));
    }

    #[test]
    fn a_flipped_bit_is_refused(place in any::<prop::sample::Index>(), bit in 0..8) {
        let keys = keyring(&["a"]);
        let mut sealed = sealed(&keys);
        let place = place.index(sealed.bytes.len());
        sealed.bytes[place] ^= 1_u8 << bit;
        let expected = match place {
            0 => SealError::UnknownLayout("a".into()),
            _ => SealError::NotAuthentic("a".into()),
        };
        prop_assert_eq!(refusal(&keys, &context(), &sealed), expected);
    }

    #[test]
    fn cut_short_is_refused(length in any::<prop::sample::Index>()) {
        let keys = keyring(&["a"]);
        let mut sealed = sealed(&keys);
        sealed.bytes.truncate(length.index(sealed.bytes.len()));
        let error = refusal(&keys, &context(), &sealed);
        prop_assert!(matches!(error, SealError::UnknownLayout(_) | SealError::NotAuthentic(_)));
    }
}

#[test]
fn the_stored_bytes_do_not_hold_the_token() {
    let sealed = sealed(&keyring(&["a"]));
    assert!(!sealed.bytes.windows(8).any(|window| RAW.as_bytes().windows(8).any(|part| part == window)));
}

#[test]
fn swaps_between_rows_providers_and_keys_are_refused() {
    let keys = keyring(&["a"]);
    let sealed = sealed(&keys);
    let TargetId { event, ordinal } = context().id;
    let swaps = [
        SealContext { id: TargetId { event: Uuid::from_u128(8), ordinal }, ..context() },
        SealContext { id: TargetId { event, ordinal: 4 }, ..context() },
        SealContext { provider: "other", ..context() },
        SealContext { provider: "", ..context() },
    ];
    for swap in &swaps {
        assert_eq!(refusal(&keys, swap, &sealed), SealError::NotAuthentic("a".into()));
    }
}

#[test]
fn one_key_under_another_id_does_not_open() {
    let entry = generate("a").unwrap();
    let sealed = sealed(&parsed(std::slice::from_ref(&entry)));
    let renamed = parsed(&[Secret::new(format!("b{}", &entry.expose()[1..]))]);
    let relabelled = Sealed { key_id: "b".into(), ..sealed };
    assert_eq!(refusal(&renamed, &context(), &relabelled), SealError::NotAuthentic("b".into()));
}

#[test]
fn parts_of_the_context_cannot_run_into_each_other() {
    let id = context().id;
    let one = associated_data("ab", &SealContext { id, provider: "c" });
    let other = associated_data("a", &SealContext { id, provider: "bc" });
    assert_ne!(one, other);
}

#[test]
fn rotation_seals_with_the_new_key_and_opens_with_the_old() {
    let (old, new) = (generate("2026-10").unwrap(), generate("2026-11").unwrap());
    let before = sealed(&parsed(std::slice::from_ref(&old)));
    let rotated = parsed(&[new.clone(), old]);
    assert!(rotated.open(&context(), &before).is_ok_and(|token| token.expose() == RAW));
    assert_eq!(sealed(&rotated).key_id, "2026-11");

    let error = refusal(&parsed(&[new]), &context(), &before);
    assert_eq!(error, SealError::UnknownKey("2026-10".into()));
    assert!(error.to_string().contains("key id 2026-10 is not configured; add it to sealing.keys"));
}

#[test]
fn every_sealing_draws_a_new_nonce() {
    let keys = keyring(&["a"]);
    let nonces: std::collections::HashSet<Vec<u8>> =
        (0..100).map(|_| sealed(&keys).bytes[1..HEADER_LEN].to_vec()).collect();
    assert_eq!(nonces.len(), 100);
}

#[test]
fn bad_entries_are_refused_by_place_and_never_quoted() {
    let good = format!("good:{}", STANDARD.encode([7; KEY_LEN]));
    let long_id = format!("{}:{}", "x".repeat(33), STANDARD.encode([7; KEY_LEN]));
    let cases = [
        (vec![], "has no entry"),
        (vec![&*good, "SECRETSECRET"], "entry 2 has no colon"),
        (vec![&*good, ":U0VDUkVU"], "entry 2 has a bad id"),
        (vec![&*good, "a b:U0VDUkVU"], "entry 2 has a bad id"),
        (vec![&*long_id], "entry 1 has a bad id"),
        (vec![&*good, "b:U0VDUkVU!"], "entry 2 has a key that is not padded standard base64"),
        (vec!["b:U0VDUkVU"], "entry 1 has a key that is not 32 bytes long"),
        (vec![&*good, &*good], "entry 2 has the id of entry 1"),
    ];
    for (entries, expected) in cases {
        let message = parse_refusal(&entries);
        assert!(message.contains(expected), "{message}");
        for secret in ["SECRET", "U0VDUkVU", "good", &good[5..]] {
            assert!(!message.contains(secret), "{expected}: the message quotes the entry");
        }
    }
}

#[test]
fn a_bad_id_makes_no_key() {
    assert_eq!(generate("no colon: here").err(), Some(SealError::BadId));
    assert_eq!(generate("").err(), Some(SealError::BadId));
}

#[test]
fn one_keyring_serves_all_tasks() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Keyring>();
}
