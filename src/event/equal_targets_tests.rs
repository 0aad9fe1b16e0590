//! Equal targets in one event are one: equal in what decides what they mean.

use serde_json::{Value, json};

use super::tests::{accepted, jwt, logout, mass};
use crate::target::{Target, TokenTypeHint};

fn targets(targets: &Value) -> Vec<Target> {
    accepted(&logout(json!({ "provider": "main", "targets": targets }))).targets
}

fn of_mass(targets: &Value) -> Vec<Target> {
    let mut event = mass(json!({ "sub": "u" }));
    event["data"]["targets"] = targets.clone();
    accepted(&event).targets
}

#[test]
fn targets_that_mean_the_same_are_one() {
    let token = jwt(&json!({ "sub": "u", "exp": 1_900_000_000 }));
    for same in [
        json!([{ "token": "a" }, { "token": "a" }]),
        json!([{ "token": "a" }, { "token": "a", "token_type_hint": "refresh_token" }]),
        json!([{ "token": "a", "token_type_hint": "access_token" }, { "token": "a",
            "token_type_hint": "refresh_token" }]),
        json!([{ "token": "a", "sub": "u" }, { "token": "a", "sub": "v", "sid": "s", "client_id": "c" }]),
        json!([{ "token": token }, { "token": token, "sub": "u" }]),
        json!([{ "sub": "u" }, { "sub": "u" }]),
        json!([{ "sub": "u", "client_id": "c" }, { "sub": "u", "client_id": "d" }]),
        json!([{ "sub": "u", "iss": "https://id.example.com" }, { "iss": "https://id.example.com",
            "sub": "u" }]),
        json!([{ "sid": "s" }, { "sid": "s", "client_id": "c" }]),
        json!([{ "sid": "s", "sub": "u" }, { "sub": "u", "sid": "s" }]),
    ] {
        assert_eq!((targets(&same).len(), of_mass(&same).len()), (1, 1), "{same}");
    }
    for same in [
        json!([{ "client_id": "c" }, { "client_id": "c" }]),
        json!([{ "iss": "https://id.example.com" }, { "iss": "https://id.example.com" }]),
    ] {
        assert_eq!(of_mass(&same).len(), 1, "{same}");
    }
}

#[test]
fn targets_that_differ_in_anything_that_counts_are_two() {
    let iss = "https://id.example.com";
    for two in [
        json!([{ "token": "a" }, { "token": "A" }]),
        json!([{ "token": "a" }, { "sub": "a" }]),
        json!([{ "sub": "u" }, { "sub": "u", "iss": iss }]),
        json!([{ "sub": "u" }, { "sub": "U" }]),
        json!([{ "sub": "u" }, { "sid": "u" }]),
        json!([{ "sid": "s" }, { "sid": "s", "sub": "u" }]),
        json!([{ "sid": "s" }, { "sid": "s", "iss": iss }]),
        json!([{ "sid": "s", "sub": "u" }, { "sid": "s", "sub": "v" }]),
    ] {
        assert_eq!((targets(&two).len(), of_mass(&two).len()), (2, 2), "{two}");
    }
    for two in [
        json!([{ "client_id": "c" }, { "client_id": "c", "iss": iss }]),
        json!([{ "client_id": "c" }, { "client_id": "c", "sub": "u" }]),
        json!([{ "iss": iss }, { "iss": iss, "client_id": "c" }]),
    ] {
        assert_eq!(of_mass(&two).len(), 2, "{two}");
    }
    let elsewhere =
        json!([{ "token": "a", "iss": iss }, { "token": "a", "iss": "https://other.example.com" }]);
    let providers: Vec<_> = accepted(&logout(json!({ "targets": elsewhere })))
        .targets
        .into_iter()
        .map(|target| target.provider)
        .collect();
    assert_eq!(providers, ["main".into(), "other".into()], "each provider is told");
}

#[test]
fn the_first_has_its_place_and_its_word_and_the_others_fill_in_what_it_does_not_say() {
    let all = targets(&json!([
        { "token": "a", "sub": "first" }, { "token": "b" }, { "sub": "u" }, { "token": "a", "sub": "second",
            "sid": "s" }, { "token": "b", "sub": "late" },
        { "sub": "u", "client_id": "c" }, { "sub": "w" },
    ]));
    let told: Vec<_> = all
        .iter()
        .map(|target| [&target.sub, &target.sid, &target.client_id].map(Option::as_deref))
        .collect();
    assert_eq!(
        told,
        [
            [Some("first"), Some("s"), None],
            [Some("late"), None, None],
            [Some("u"), None, Some("c")],
            [Some("w"), None, None],
        ]
    );
}

#[test]
fn a_token_that_is_once_called_a_refresh_token_is_one_in_whatever_order() {
    let hint = |hints: [Option<&str>; 2]| {
        let listed = hints.map(|hint| {
            hint.map_or(json!({ "token": "a" }), |hint| json!({ "token": "a", "token_type_hint": hint }))
        });
        targets(&json!(listed))[0].token().and_then(|token| token.hint)
    };
    let (access, refresh) = (Some("access_token"), Some("refresh_token"));
    for (hints, expected) in [
        ([None, refresh], Some(TokenTypeHint::RefreshToken)),
        ([refresh, None], Some(TokenTypeHint::RefreshToken)),
        ([access, refresh], Some(TokenTypeHint::RefreshToken)),
        ([refresh, access], Some(TokenTypeHint::RefreshToken)),
        ([None, access], Some(TokenTypeHint::AccessToken)),
        ([access, None], Some(TokenTypeHint::AccessToken)),
        ([None, None], None),
    ] {
        assert!(hint(hints) == expected, "{hints:?}");
    }
}

#[test]
fn a_thousand_copies_are_one_target() {
    for target in [json!({ "token": "a" }), json!({ "sub": "u" }), json!({ "sid": "s", "sub": "u" })] {
        let copies = vec![target.clone(); 999];
        let mut list = copies.clone();
        list.push(json!({ "sub": "someone-else" }));
        assert_eq!(targets(&json!(list)).len(), 2, "{target}");
        let mut event = mass(target);
        event["data"]["targets"] = json!(copies);
        assert_eq!(accepted(&event).targets.len(), 1, "and so they are counted in an incident");
    }
}
