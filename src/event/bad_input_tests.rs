//! Every way of being refused: code, and the path that the sentence starts with.

use serde_json::{Map, Value, json};

use super::tests::{NOW, logout, mass, origin, parse_value, rules};
use super::*;

pub(super) const MARKER: &str = "eyJ-never-in-a-refusal";

fn refusal(event: &Value) -> Refusal {
    parse_value(event, &rules()).err().unwrap_or_else(|| panic!("accepted: {event}"))
}

pub(super) fn refused_bytes(body: &[u8], origin: &Origin) -> Refusal {
    parse(body, origin, &rules(), NOW).err().expect("a refusal")
}

/// A logout, valid but for the member at `pointer`; `None` removes it.
pub(super) fn with(pointer: &str, value: Option<Value>) -> Value {
    let target = json!({ "token": MARKER, "token_type_hint": "access_token" });
    replaced(logout(json!({ "provider": "main", "targets": [{ "sid": "s" }, target] })), pointer, value)
}

fn mass_with(pointer: &str, value: Option<Value>) -> Value {
    replaced(mass(json!({ "client_id": "c" })), pointer, value)
}

fn replaced(mut event: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = event.pointer_mut(parent).expect("the parent");
    match (parent, value) {
        (Value::Array(list), Some(value)) => list[name.parse::<usize>().expect("an index")] = value,
        (Value::Object(map), Some(value)) => drop(map.insert(name.to_owned(), value)),
        (Value::Object(map), None) => drop(map.remove(name)),
        _ => panic!("no such place: {pointer}"),
    }
    event
}

/// Checks `(event, code, path)` rows: the sentence must start with the path as a whole word and repeat no
/// token.
fn check(rows: Vec<(Value, RefusalCode, &str)>) {
    for (event, code, path) in rows {
        let refusal = refusal(&event);
        assert_eq!(refusal.code, code, "{path}: {}", refusal.detail);
        assert_eq!(refusal.detail.split(' ').next(), Some(path), "{}", refusal.detail);
        assert!(!refusal.detail.contains(MARKER) && !refusal.detail.contains('\0'), "{path}");
    }
}

#[test]
fn envelope_members() {
    use RefusalCode::{InvalidField, MissingField, UnknownType};
    let mut rows = Vec::new();
    for name in ["specversion", "id", "source", "type", "data"] {
        let pointer = format!("/{name}");
        rows.push((with(&pointer, None), MissingField, name));
        rows.push((with(&pointer, Some(Value::Null)), MissingField, name));
        rows.push((with(&pointer, Some(json!(7))), InvalidField, name));
        rows.push((with(&pointer, Some(json!([MARKER]))), InvalidField, name));
    }
    for name in ["specversion", "id", "source", "type", "time"] {
        let pointer = format!("/{name}");
        rows.push((with(&pointer, Some(json!(""))), InvalidField, name));
        rows.push((with(&pointer, Some(json!("a\0b"))), InvalidField, name));
        rows.push((with(&pointer, Some(json!({ "token": MARKER }))), InvalidField, name));
    }
    rows.push((with("/specversion", Some(json!("0.3"))), UnknownType, "specversion"));
    rows.push((with("/type", Some(json!("auth.logout.v2"))), UnknownType, "type"));
    rows.push((with("/id", Some(json!("x".repeat(256)))), InvalidField, "id"));
    rows.push((with("/source", Some(json!("x".repeat(1025)))), InvalidField, "source"));
    rows.push((with("/data", Some(json!("x"))), InvalidField, "data"));
    for time in [
        "yesterday",
        "2026-11-20",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "1700000000",
    ] {
        rows.push((with("/time", Some(json!(time))), InvalidField, "time"));
        rows.push((with("/data/not_before", Some(json!(time))), InvalidField, "data.not_before"));
    }
    check(rows);
}

#[test]
fn data_members() {
    use RefusalCode::{InvalidField, MissingField, UnknownProvider};
    let mut rows = vec![
        (with("/data/provider", Some(json!("mian"))), UnknownProvider, "data.provider"),
        (with("/data/provider", Some(json!(""))), InvalidField, "data.provider"),
        (with("/data/provider", None), UnknownProvider, "data.targets[0]"),
        (with("/data/not_before", Some(json!("2026-11-20T22:35:06Z"))), InvalidField, "data.not_before"),
        (with("/data/not_before", Some(json!(1_800_000_000))), InvalidField, "data.not_before"),
        (with("/data/incident", Some(json!("leak-7"))), InvalidField, "data.incident"),
        (with("/data/incident_targets", Some(json!(5))), InvalidField, "data.incident_targets"),
        (with("/data/incident_kinds", Some(json!({ "token": 1 }))), InvalidField, "data.incident_kinds"),
        (with("/data/targets", None), MissingField, "data.targets"),
        (with("/data/targets", Some(json!([]))), InvalidField, "data.targets"),
        (with("/data/targets", Some(json!({ "token": MARKER }))), InvalidField, "data.targets"),
        (mass_with("/data/incident", None), MissingField, "data.incident"),
        (mass_with("/data/incident", Some(json!(""))), InvalidField, "data.incident"),
        (mass_with("/data/incident", Some(json!("leak\u{1b}[2J"))), InvalidField, "data.incident"),
        (mass_with("/data/incident", Some(json!("leak\n"))), InvalidField, "data.incident"),
        (mass_with("/data/incident", Some(json!("le\u{202e}ak"))), InvalidField, "data.incident"),
        (mass_with("/data/incident", Some(json!("leak\u{200b}"))), InvalidField, "data.incident"),
        (mass_with("/data/incident", Some(json!("\u{9b}leak"))), InvalidField, "data.incident"),
        (mass_with("/data/incident", Some(json!("x".repeat(256)))), InvalidField, "data.incident"),
    ];
    for count in [json!(0), json!(-1), json!(1.5), json!("7"), json!(true), json!(u64::MAX)] {
        rows.push((mass_with("/data/incident_targets", Some(count)), InvalidField, "data.incident_targets"));
    }
    for kinds in
        [json!(1), json!(["token"]), json!({ "user": 1 }), json!({ "token": 0 }), json!({ "token": "1" })]
    {
        rows.push((mass_with("/data/incident_kinds", Some(kinds)), InvalidField, "data.incident_kinds"));
    }
    for (pointer, path) in
        [("/data/reason", "data.reason"), ("/data/actor", "data.actor"), ("/data/provider", "data.provider")]
    {
        for value in [json!(1), json!([]), json!("a\0b"), json!("x".repeat(1025))] {
            rows.push((with(pointer, Some(value)), InvalidField, path));
        }
    }
    check(rows);
}

#[test]
fn target_members() {
    use RefusalCode::{InvalidField, MissingField};
    let mut rows = vec![
        (with("/data/targets/1", Some(json!(MARKER))), InvalidField, "data.targets[1]"),
        (with("/data/targets/1", Some(json!(null))), InvalidField, "data.targets[1]"),
        (with("/data/targets/1", Some(json!({}))), MissingField, "data.targets[1]"),
        (with("/data/targets/1", Some(json!({ "tokn": MARKER }))), MissingField, "data.targets[1]"),
        (
            with("/data/targets/1", Some(json!({ "client_id": "c" }))),
            InvalidField,
            "data.targets[1].client_id",
        ),
        (
            with("/data/targets/1", Some(json!({ "client_id": "c", "iss": "i" }))),
            InvalidField,
            "data.targets[1].client_id",
        ),
        (with("/data/targets/1", Some(json!({ "iss": "i" }))), InvalidField, "data.targets[1].iss"),
        (with("/data/targets/1/token", None), InvalidField, "data.targets[1].token_type_hint"),
    ];
    for hint in [
        json!("id_token"),
        json!(MARKER),
        json!("Access_Token"),
        json!(""),
        json!(1),
        json!("access_token\0"),
    ] {
        rows.push((
            with("/data/targets/1/token_type_hint", Some(hint)),
            InvalidField,
            "data.targets[1].token_type_hint",
        ));
    }
    let (spaced, long) = (format!("Bearer {MARKER}"), MARKER.repeat(1000));
    for token in [
        json!(""),
        json!(1),
        json!([MARKER]),
        json!(spaced),
        json!("a\nb"),
        json!("a\0b"),
        json!("é"),
        json!("\u{7f}"),
        json!(long),
    ] {
        rows.push((with("/data/targets/1/token", Some(token)), InvalidField, "data.targets[1].token"));
    }
    let members = ["sub", "sid", "client_id", "iss"]
        .map(|name| (format!("/data/targets/1/{name}"), format!("data.targets[1].{name}")));
    for (pointer, path) in &members {
        for value in [json!(""), json!(7), json!({}), json!("a\0b"), json!("x".repeat(1025))] {
            rows.push((with(pointer, Some(value)), InvalidField, path));
        }
    }
    check(rows);
}

#[test]
fn the_longest_of_everything_is_accepted() {
    let text = |bytes: usize| json!("x".repeat(bytes));
    let mut event =
        mass(json!({ "token": text(16 << 10), "sub": text(1024), "sid": text(1024), "client_id": text(1024),
            "iss": text(1024) }));
    for (pointer, bytes) in [
        ("/id", 255),
        ("/source", 1024),
        ("/data/incident", 255),
        ("/data/reason", 1024),
        ("/data/actor", 1024),
    ] {
        event = replaced(event, pointer, Some(text(bytes)));
    }
    assert!(parse_value(&event, &rules()).is_ok());
}

#[test]
fn a_known_member_given_twice_is_refused_and_an_unknown_one_is_not() {
    let body = with("/x", Some(json!(1))).to_string();
    let twice = |member: &str, again: &str| {
        refused_bytes(body.replacen(member, &format!("{again}{member}"), 1).as_bytes(), &origin())
    };
    let token = twice(r#""token":"#, r#""token":"other","#);
    assert_eq!(
        (token.code, token.detail.as_str()),
        (RefusalCode::InvalidField, "data.targets[1].token is given twice")
    );
    assert_eq!(twice(r#""id":"#, r#""id":null,"#).detail, "id is given twice");
    let unknown = body.replacen(r#""x":1"#, r#""x":1,"x":2"#, 1);
    assert!(parse(unknown.as_bytes(), &origin(), &rules(), NOW).is_ok());
}

#[test]
fn bodies_that_are_no_event() {
    use RefusalCode::{InvalidField, NotJson, TooDeep, TooLarge};
    let valid = with("/x", None).to_string();
    let cases = [
        (Vec::new(), NotJson),
        (b"null".to_vec(), NotJson),
        (b"[1]".to_vec(), NotJson),
        (valid.as_bytes()[1..].to_vec(), NotJson),
        (valid.as_bytes()[..valid.len() - 1].to_vec(), NotJson),
        (valid.replacen(MARKER, "\\ud800", 1).into_bytes(), InvalidField),
        ([valid.as_bytes(), b"\xff"].concat(), NotJson),
        (format!("{{\"a\":{}}}", "[".repeat(100_000)).into_bytes(), TooDeep),
        ([valid.clone().into_bytes(), vec![b' '; (1 << 20) + 1 - valid.len()]].concat(), TooLarge),
    ];
    for (body, code) in cases {
        assert_eq!(refused_bytes(&body, &origin()).code, code, "{} bytes", body.len());
    }
    let largest = [valid.clone().into_bytes(), vec![b' '; (1 << 20) - valid.len()]].concat();
    assert!(parse(&largest, &origin(), &rules(), NOW).is_ok());
}

#[test]
fn content_types_that_are_not_taken() {
    let body = with("/x", None).to_string();
    let cases = [
        ("application/secevent+jwt", "is a signed input"),
        ("application/logout+jwt; charset=utf-8", "is a signed input"),
        ("application/cloudevents-batch+json", "is not known"),
        ("text/plain\n", "is not known"),
    ];
    for (content_type, expected) in cases {
        let refusal = refused_bytes(
            body.as_bytes(),
            &Origin { content_type: Some(content_type.to_owned()), ..origin() },
        );
        assert_eq!(refusal.code, RefusalCode::UnknownType);
        assert!(
            refusal.detail.starts_with("content_type ") && refusal.detail.contains(expected),
            "{}",
            refusal.detail
        );
        assert!(refusal.detail.contains("application/json") && !refusal.detail.contains('\n'));
    }
}

#[test]
fn too_many_targets_counts_before_it_reads() {
    let targets: Vec<_> = (0..1001).map(|_| json!({ "token": MARKER })).collect();
    check(vec![(with("/data/targets", Some(json!(targets))), RefusalCode::TooManyTargets, "data.targets")]);
}

#[test]
fn a_refusal_carries_the_identity_that_could_be_read() {
    let identity = |event: &Value| {
        let refusal = refusal(event);
        (refusal.event_source, refusal.event_id)
    };
    let (source, id) = (Some("/apps/shop".to_owned()), Some("e-1".to_owned()));
    assert_eq!(identity(&with("/data", None)), (source.clone(), id.clone()));
    assert_eq!(identity(&with("/type", Some(json!("other")))), (source.clone(), id.clone()));
    assert_eq!(identity(&with("/id", Some(json!("a\0b")))), (source, None));
    assert_eq!(identity(&with("/source", None)), (None, id));
    assert_eq!(identity(&Value::Object(Map::new())), (None, None));
}

#[test]
fn unknown_words_are_repeated_so_that_a_typo_can_be_found() {
    assert!(refusal(&with("/type", Some(json!("auth.logut.v1")))).detail.contains("\"auth.logut.v1\""));
    let provider = refusal(&with("/data/provider", Some(json!("mi\u{1b}an")))).detail;
    assert!(provider.contains(r#""mi\u{1b}an""#) && provider.contains("main, other"), "{provider}");
}
