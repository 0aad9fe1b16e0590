//! What makes two events the same event.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::tests::{NOW, accepted, jwt, logout, mass, parse_value, rules};
use super::*;

fn of(event: &Value) -> [u8; 32] {
    content(&accepted(event))
}

fn targets(targets: Value) -> Value {
    logout(json!({ "provider": "main", "targets": targets }))
}

/// An event with a member of `data` changed.
fn with(mut event: Value, member: &str, value: Value) -> Value {
    event["data"][member] = value;
    event
}

/// An event with a CloudEvents attribute changed.
fn attribute(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

fn without_time(event: Value) -> Value {
    attribute(event, "time", Value::Null)
}

const EARLIER: &str = "2026-11-20T21:00:00Z";

#[test]
fn one_meaning_has_one_digest_however_it_is_spelled() {
    let user = json!({ "sub": "u-1", "iss": "https://id.example.com" });
    let plain = || targets(json!([user, { "token": "t" }, { "sid": "s" }]));
    let spelled = [
        targets(json!([{ "sid": "s" }, { "token": "t" }, user])),
        targets(json!([user, { "token": "t" }, user, { "sid": "s" }, { "token": "t" }, { "sid": "s" }])),
        targets(json!([{ "iss": "https://id.example.com", "sub": "u-1", "token": null }, { "token": "t" },
                { "sid": "s", "client_id": "c" }])),
        targets(json!([{ "sub": "u-1", "iss": "https://id.example.com", "client_id": "context" },
                { "token": "t", "sub": "context" }, { "sid": "s", "extra": [1] }])),
        with(with(plain(), "reason", json!("password_change")), "actor", json!("admin")),
        with(plain(), "unknown", json!({ "a": 1 })),
        attribute(plain(), "datacontenttype", json!("application/json")),
        attribute(plain(), "time", json!("2026-11-20T23:30:00.123+01:00")),
        attribute(plain(), "time", json!("2026-11-20T22:30:00.1230004Z")),
        with(attribute(plain(), "time", json!(EARLIER)), "not_before", json!("2026-11-20T22:30:00.123Z")),
        attribute(attribute(plain(), "id", json!("e-2")), "source", json!("/elsewhere")),
    ];
    for event in &spelled {
        assert_eq!(of(event), of(&plain()), "{event}");
    }
    let (escaped, accent) = (
        r#"{"type":"auth.logout.v1","data":{"targets":[{"sub":"\u00e9"}],"provider":"main"},"source":"s",
            "specversion":"1.0","id":"i"}"#,
        "é",
    );
    let escaped = parse(escaped.as_bytes(), &tests::origin(), &rules(), NOW)
        .unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(content(&escaped), of(&without_time(targets(json!([{ "sub": accent }])))));
}

#[test]
fn each_change_of_meaning_gives_another_digest() {
    let user = || targets(json!([{ "sub": "u-1" }]));
    let token = |claims: Value| targets(json!([{ "token": jwt(&claims) }]));
    let all = [
        user(),
        targets(json!([{ "sub": "u-2" }])),
        targets(json!([{ "sub": "u-1 " }])),
        targets(json!([{ "sub": "u-1", "iss": "https://id.example.com" }])),
        targets(json!([{ "sub": "u-1", "iss": "https://id.example.com/" }])),
        targets(json!([{ "sid": "u-1" }])),
        targets(json!([{ "sid": "u-1", "sub": "u-1" }])),
        targets(json!([{ "sub": "u-1" }, { "sub": "u-2" }])),
        targets(json!([{ "sub": "u-1" }, { "token": "t" }])),
        with(user(), "provider", json!("other")),
        with(user(), "not_before", json!(EARLIER)),
        attribute(user(), "time", json!("2026-11-20T22:30:00.124Z")),
        without_time(user()),
        targets(json!([{ "token": "t" }])),
        targets(json!([{ "token": "T" }])),
        targets(json!([{ "token": "t", "token_type_hint": "refresh_token" }])),
        targets(json!([{ "token": "t", "token_type_hint": "access_token" }])),
        with(targets(json!([{ "token": "t" }])), "not_before", json!(EARLIER)),
        token(json!({ "sub": "u-1" })),
        token(json!({ "sub": "u-2" })),
        mass(json!({ "sub": "u-1" })),
        with(mass(json!({ "sub": "u-1" })), "incident", json!("leak-8")),
        mass(json!({ "client_id": "u-1" })),
        mass(json!({ "iss": "u-1" })),
        mass(json!({ "client_id": "u-1", "iss": "u-1" })),
    ];
    let digests: HashSet<_> = all.iter().map(of).collect();
    assert_eq!(digests.len(), all.len());
}

#[test]
fn what_the_receipt_and_the_settings_fill_in_does_not_count() {
    let read = |event: &Value, rules: &Rules, at| {
        parse(event.to_string().as_bytes(), &tests::origin(), rules, at).map(|event| content(&event))
    };
    let later = NOW + Duration::from_secs(3600);
    let long = || Rules {
        providers: rules()
            .providers
            .into_iter()
            .map(|rule| ProviderRule { token_ttl: Duration::from_secs(1), ..rule })
            .collect(),
        ..rules()
    };
    let ahead = "2026-11-20T22:34:00Z";
    for event in [
        without_time(targets(json!([{ "sub": "u-1" }]))),
        targets(json!([{ "sub": "u-1" }])),
        attribute(targets(json!([{ "sub": "u-1" }])), "time", json!(ahead)),
        with(targets(json!([{ "sub": "u-1" }])), "not_before", json!(ahead)),
        targets(json!([{ "token": "opaque" }])),
        targets(json!([{ "token": jwt(&json!({ "exp": 4_102_444_800_u64 })) }])),
        with(mass(json!({ "iss": "i" })), "not_before", json!(ahead)),
    ] {
        let first = read(&event, &rules(), NOW).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(read(&event, &rules(), later).ok(), Some(first), "{event}");
        assert_eq!(read(&event, &long(), NOW).ok(), Some(first), "{event}");
    }
    let unnamed = parse_value(
        &logout(json!({ "targets": [{ "sub": "u-1" }] })),
        &Rules { default_provider: Some("main".into()), ..rules() },
    );
    assert_eq!(
        unnamed.ok().map(|event| content(&event)),
        Some(of(&targets(json!([{ "sub": "u-1" }])))),
        "a name that is left out"
    );
}

#[test]
fn a_time_that_is_no_cutoff_does_not_count() {
    let token = targets(json!([{ "token": "t" }]));
    assert_eq!(of(&token), of(&attribute(token.clone(), "time", json!(EARLIER))));
    assert_eq!(of(&token), of(&without_time(token.clone())));
}
