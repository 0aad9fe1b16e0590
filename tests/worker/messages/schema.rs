//! The document, and its part of JSON Schema: enough to compare values with it, and loud about what it does
//! not know.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../docs/asyncapi.json")).expect("docs/asyncapi.json is JSON")
});

/// Which members an object must have to agree with its schema.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Members {
    /// The required ones, and no unknown one.
    Known,
    /// Exactly the required ones.
    Required,
    /// Every one.
    All,
}

/// What stands at a JSON pointer of the document.
pub(crate) fn at(pointer: &str) -> &'static Value {
    DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("the document has no {pointer}"))
}

/// A schema by its name.
pub(crate) fn schema(name: &str) -> &'static Value {
    at(&format!("/components/schemas/{name}"))
}

/// The payloads of a message's examples.
pub(crate) fn examples(message: &str) -> impl Iterator<Item = &'static Value> {
    let examples = at(&format!("/components/messages/{message}/examples")).as_array().expect("examples");
    examples.iter().map(|example| &example["payload"])
}

/// The schema itself, where it is a reference.
pub(crate) fn resolved(schema: &'static Value) -> &'static Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => resolved(at(reference.trim_start_matches('#'))),
        None => schema,
    }
}

/// The texts of an array.
pub(crate) fn texts(array: &Value) -> Vec<&str> {
    array.as_array().expect("an array").iter().map(|text| text.as_str().expect("a text")).collect()
}

/// The names of an object's members.
pub(crate) fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn required(schema: &Value) -> BTreeSet<&str> {
    schema.get("required").map(texts).unwrap_or_default().into_iter().collect()
}

/// Whether a value agrees with a schema; why not.
pub(crate) fn agrees(value: &Value, schema: &'static Value, members: Members) -> Result<(), String> {
    resolved(schema).as_object().expect("a schema").iter().try_for_each(|(keyword, rule)| {
        let holds = match keyword.as_str() {
            "const" => value == rule,
            "enum" => rule.as_array().expect("an array").contains(value),
            "type" => is_of_type(value, rule),
            "properties" => return agree(value.as_object().ok_or("no object")?, resolved(schema), members),
            "additionalProperties" => {
                return value
                    .as_object()
                    .ok_or("no object")?
                    .values()
                    .try_for_each(|value| agrees(value, rule, members));
            }
            "items" => {
                return value
                    .as_array()
                    .ok_or("no array")?
                    .iter()
                    .try_for_each(|item| agrees(item, rule, members));
            }
            "allOf" => return agrees_with_all(value, rule.as_array().expect("an array"), members),
            "oneOf" => choices(value, rule, members) == 1,
            "anyOf" => choices(value, rule, members) >= 1,
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= number(rule)),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= number(rule)),
            "minItems" => value.as_array().is_some_and(|items| items.len() as u64 >= number(rule)),
            "maxItems" => value.as_array().is_some_and(|items| items.len() as u64 <= number(rule)),
            "minimum" => value.is_null() || value.as_u64().is_some_and(|integer| integer >= number(rule)),
            "format" | "pattern" => {
                value.is_null()
                    || is_written_as(value.as_str().ok_or("no text")?, rule.as_str().expect("a text"))
            }
            "required" | "title" | "description" => true,
            other => panic!("this comparison does not know {other}"),
        };
        if holds { Ok(()) } else { Err(format!("{keyword} {rule} does not hold for {value}")) }
    })
}

/// Of an object, each part tells of members of its own: the last ones by name, the first of all others.
fn agrees_with_all(value: &Value, parts: &'static [Value], members: Members) -> Result<(), String> {
    let (first, named) = parts.split_first().ok_or("no parts")?;
    let mut rest = value.as_object().ok_or("no object")?.clone();
    for part in named {
        let own = names(&resolved(part)["properties"]);
        let own: Map<_, _> = own.iter().filter_map(|name| rest.remove_entry(*name)).collect();
        agrees(&own.into(), part, members)?;
    }
    agrees(&rest.into(), first, members)
}

fn agree(value: &Map<String, Value>, schema: &'static Value, members: Members) -> Result<(), String> {
    let (properties, given) =
        (&schema["properties"], value.keys().map(String::as_str).collect::<BTreeSet<_>>());
    let (known, required) = (names(properties), required(schema));
    let holds = match members {
        Members::Known => given.is_subset(&known) && given.is_superset(&required),
        Members::Required => given == required,
        Members::All => given == known,
    };
    if !holds || !required.is_subset(&known) {
        return Err(format!("members {given:?}, in the schema {known:?}, of them required {required:?}"));
    }
    value.iter().try_for_each(|(name, value)| {
        agrees(value, &properties[name], members).map_err(|why| format!("{name}: {why}"))
    })
}

fn choices(value: &Value, rule: &'static Value, members: Members) -> usize {
    rule.as_array().expect("an array").iter().filter(|schema| agrees(value, schema, members).is_ok()).count()
}

fn number(rule: &Value) -> u64 {
    rule.as_u64().expect("a number")
}

fn is_of_type(value: &Value, rule: &Value) -> bool {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    rule == name || rule.as_array().is_some_and(|types| types.iter().any(|given| given == name))
}

/// The formats and patterns that the document has.
fn is_written_as(text: &str, form: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    match form {
        "date-time" => {
            time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).is_ok()
        }
        "uuid" => text.parse::<uuid::Uuid>().is_ok(),
        "^[0-9a-f]{64}$" => text.len() == 64 && text.chars().all(is_hex),
        "^[!-~]+$" => !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()),
        other => panic!("this comparison does not know the form {other}"),
    }
}

#[test]
fn the_comparison_sees_what_is_wrong() {
    let target = serde_json::json!({
        "kind": "issuer", "iss": "i", "not_before": "2026-11-20T22:30:00Z",
        "expires_at": "2026-11-20T22:30:00Z",
    });
    let entry = schema("issuerEntry");
    assert_eq!(agrees(&target, entry, Members::All), Ok(()));
    for (name, value) in
        [("kind", "client".into()), ("iss", Value::Null), ("not_before", "today".into()), ("sub", "s".into())]
    {
        let mut wrong = target.clone();
        wrong[name] = value;
        assert!(agrees(&wrong, entry, Members::Known).is_err(), "{name}");
    }
    let mut wrong = target.clone();
    wrong.as_object_mut().expect("an object").remove("iss");
    assert!(agrees(&wrong, entry, Members::Known).is_err());
    assert!(
        agrees(
            &examples("verifierStatus").next().expect("one")["data"],
            &schema("verifierStatus")["properties"]["data"],
            Members::All
        )
        .is_err()
    );
}
