//! Whatever arrives, parsing neither panics nor repeats a token.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::bad_input_tests::{refused_bytes, with};
use super::tests::{NOW, jwt, logout, mass, origin, rules};
use super::*;

/// Long enough that no handful of random bytes spells it.
const MARKER: &str = "canary-token-4f1c9a7be2";

/// Fails where a refusal repeats the token, or where what was accepted could not be stored.
fn judge(body: &[u8]) -> Result<(), TestCaseError> {
    match parse(body, &origin(), &rules(), NOW) {
        Err(refusal) => {
            prop_assert!(!refusal.to_string().contains(MARKER), "{} repeats the token", refusal.code);
            prop_assert!(!refusal.detail.contains(char::is_control), "{:?}", refusal.detail);
        }
        Ok(event) => {
            prop_assert!((1..=1000).contains(&event.targets.len()));
            let texts = event
                .targets
                .iter()
                .flat_map(|target| [&target.sub, &target.sid, &target.client_id, &target.iss])
                .flatten();
            prop_assert!(
                texts
                    .chain([&event.source, &event.id])
                    .all(|text| !text.is_empty() && text.len() <= 1024 && !text.contains('\0'))
            );
        }
    }
    Ok(())
}

fn valid() -> Value {
    let token = jwt(&json!({ "sub": "u", "exp": 1_800_000_000, "iss": "https://id.example.com" }));
    logout(json!({
        "provider": "main", "reason": "user_logout", "actor": "a", "not_before": "2026-11-20T22:00:00Z",
        "targets": [{ "token": MARKER, "token_type_hint": "refresh_token", "sub": "u" }, { "token": token },
            { "sid": "s" }]
    }))
}

/// JSON of every shape, with the words that mean something here among its strings.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        3 => Just(MARKER.to_owned()),
        1 => ".{0,20}",
        2 => prop::sample::select(vec!["access_token", "1.0", "main", "", "\0", "0000-01-01T00:00:00+23:59",
            "9999-12-31T23:59:60-23:59"])
            .prop_map(str::to_owned),
    ];
    let name = prop::sample::select(vec![
        "token",
        "token_type_hint",
        "sub",
        "sid",
        "client_id",
        "iss",
        "targets",
        "x",
    ]);
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        6 => word.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let object = vec((name.clone(), inner.clone()), 0..6)
            .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        prop_oneof![vec(inner, 0..6).prop_map(Value::from), object]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(body in vec(any::<u8>(), 0..300)) {
        judge(&body)?;
    }

    #[test]
    fn edited_bytes_of_a_valid_event(edits in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8),
        1..6)) {
        let mut body = valid().to_string().into_bytes();
        for (place, byte, edit) in edits {
            let place = place.index(body.len());
            match edit {
                0 => body[place] = byte,
                1 => drop(body.remove(place)),
                _ => body.insert(place, byte),
            }
        }
        judge(&body)?;
    }

    #[test]
    fn a_valid_event_cut_short(cut in any::<prop::sample::Index>()) {
        let body = valid().to_string();
        judge(&body.as_bytes()[..cut.index(body.len())])?;
    }

    /// Not `type` and `data.provider`: those two are repeated on purpose.
    #[test]
    fn any_member_replaced(
        pointer in prop::sample::select(vec![
            "/specversion", "/id", "/source", "/time", "/data", "/data/reason", "/data/actor",
                "/data/not_before", "/data/targets",
            "/data/targets/0", "/data/targets/0/token", "/data/targets/0/token_type_hint",
                "/data/targets/0/sub", "/data/targets/2/sid",
        ]),
        value in any_json(),
    ) {
        let mut event = valid();
        *event.pointer_mut(pointer).expect("the member") = value;
        judge(event.to_string().as_bytes())?;
    }

    #[test]
    fn any_targets_of_a_mass_revocation(target in any_json(), incident in any_json()) {
        let mut event = mass(target);
        event["data"]["incident"] = incident;
        judge(event.to_string().as_bytes())?;
    }

    #[test]
    fn any_claims(claims in any_json(), exp in any::<f64>(), name in prop::sample::select(vec!["exp", "sub",
        "iss", "azp"])) {
        for claims in [json!({ "exp": exp }), json!({ name: claims.clone() }), claims] {
            let event = logout(json!({ "provider": "main", "targets": [{ "token": jwt(&claims) }] }));
            judge(event.to_string().as_bytes())?;
            prop_assert!(parse(event.to_string().as_bytes(), &origin(), &rules(), NOW).is_ok(),
                "no claim may refuse an event");
        }
    }
}

#[test]
fn json_that_no_type_holds_hinders_nobody_where_it_says_nothing() {
    let long = "9".repeat(400);
    for odd in [r#""J\ud83d""#, r#""\udc00""#, "1e400", "-1E+999", long.as_str(), r#"{"\ud800":[1e400]}"#] {
        for place in ["/x", "/data/x", "/data/targets/1/x"] {
            let event = with(place, Some(json!("HERE"))).to_string().replace(r#""HERE""#, odd);
            assert!(parse(event.as_bytes(), &origin(), &rules(), NOW).is_ok(), "{odd} at {place}");
        }
        for place in ["/id", "/data/provider", "/data/targets/0/sid", "/data/targets/1/token"] {
            let event = with(place, Some(json!("HERE"))).to_string().replace(r#""HERE""#, odd);
            let code = refused_bytes(event.as_bytes(), &origin()).code;
            assert!(
                matches!(code, RefusalCode::InvalidField | RefusalCode::UnknownProvider),
                "{odd} at {place}: {code:?}"
            );
        }
    }
}
