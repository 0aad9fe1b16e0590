//! JSON of any kind, whole and damaged.

use super::*;

fn json() -> impl Strategy<Value = Json> {
    let text = prop_oneof![any::<String>(), "[a-c\\\\\"\u{0}\u{e9}\u{1f600}]{0,6}"];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        text.prop_map(Json::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let members = prop::collection::btree_map("[a-z\"\\\\]{0,3}", inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Json::from),
            members.prop_map(|members| Json::Object(members.into_iter().collect()))
        ]
    })
}

fn members() -> impl Strategy<Value = Map<String, Json>> {
    let names = prop::sample::select(vec![
        "jti",
        "iss",
        "sub",
        "sid",
        "client_id",
        "azp",
        "iat",
        "exp",
        "uid",
        "é\"\\",
    ]);
    prop::collection::btree_map(names, json(), 0..8)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

proptest! {
    #[test]
    fn json_is_read_as_serde_reads_it(members in members(), pretty in any::<bool>()) {
        let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let text = write(&members).unwrap();
        let expected: Claims = serde_json::from_str(&text).unwrap();
        let reading = read(&jwt(&text));
        prop_assert!(!reading.is_unreadable);
        prop_assert_eq!(reading.claims, expected);
    }

    #[test]
    fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _claims = Claims::from_json(&bytes);
        read(&jwt(&bytes));
        if let Ok(text) = str::from_utf8(&bytes) {
            read(text);
        }
    }

    #[test]
    fn no_damage_to_json_upsets_the_reader_or_hides_what_stood_before(
        members in members(),
        at in any::<prop::sample::Index>(),
        damage in prop::collection::vec(any::<u8>(), 0..4),
        cut in any::<bool>(),
    ) {
        let mut text = b"{\"sid\":\"kept\",".to_vec();
        let start = text.len();
        text.extend_from_slice(&serde_json::to_vec(&members).unwrap()[1..]);
        let at = start + at.index(text.len() - start);
        text.splice(at..if cut { text.len() } else { at }, damage);
        let reading = read(&jwt(&text));
        // A later `sid` takes its place, and so may the damaged member.
        if !members.contains_key("sid") && !reading.is_unreadable {
            prop_assert!(reading.claims.sid.is_some());
        }
    }
}
