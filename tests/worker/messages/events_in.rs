//! What applications send: every example is taken, and what the schema forbids is refused by the member's
//! name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use revocation_worker::authorization::Authority;
use revocation_worker::config::LimitsConfig;
use revocation_worker::event::{
    self, EventType, LogoutEvent, Origin, ProviderRule, Refusal, RefusalCode, Rules,
};
use revocation_worker::target::Kind;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::schema::{Members, agrees, examples, names, resolved, schema, texts};

const NOW: OffsetDateTime = datetime!(2026-11-20 22:30:05 UTC);
const MESSAGES: [(&str, EventType); 2] =
    [("logout", EventType::Logout), ("massRevocation", EventType::MassRevocation)];

fn parse(event: &Value) -> Result<LogoutEvent, Refusal> {
    let limits = LimitsConfig::default();
    let rules = Rules {
        max_message_bytes: limits.max_message_bytes,
        max_targets: limits.max_targets,
        max_token_bytes: limits.max_token_bytes,
        default_provider: None,
        providers: vec![ProviderRule {
            name: "main".into(),
            issuer: None,
            token_ttl: std::time::Duration::from_secs(3600),
        }],
        authority: Authority { mass_revocation_users: vec!["soc".to_owned()], ..Authority::default() },
        realms: std::collections::BTreeMap::new(),
    };
    let origin = Origin { broker_user: Some("soc".to_owned()), ..Origin::default() };
    event::parse(event.to_string().as_bytes(), &origin, &rules, NOW)
}

fn refusal(event: &Value) -> Refusal {
    parse(event).err().unwrap_or_else(|| panic!("accepted: {event}"))
}

/// The schemas of an event's objects: where each stands, and how a refusal writes that.
fn places(message: &str) -> [(&'static Value, &'static str, &'static str); 2] {
    let event = schema(message);
    [(event, "", ""), (&event["properties"]["data"], "/data", "data.")]
}

fn targets(message: &str) -> &'static Value {
    &schema(message)["properties"]["data"]["properties"]["targets"]
}

/// The kinds of target that a message takes.
fn kinds(message: &str) -> Vec<&'static Value> {
    targets(message)["items"]["anyOf"].as_array().expect("kinds").iter().map(resolved).collect()
}

/// An example with one target of these members.
fn event_of(message: &str, members: impl Iterator<Item = &'static str>) -> Value {
    let mut event = examples(message).next().expect("an example").clone();
    let value = |name| if name == "token_type_hint" { json!("access_token") } else { json!("x") };
    event["data"]["targets"] =
        json!([members.map(|name| (name.to_owned(), value(name))).collect::<serde_json::Map<_, _>>()]);
    event
}

fn object<'a>(event: &'a mut Value, pointer: &str) -> &'a mut serde_json::Map<String, Value> {
    event.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object")
}

#[test]
fn every_example_is_taken() {
    for (message, event_type) in MESSAGES {
        for example in examples(message) {
            agrees(example, schema(message), Members::Known).unwrap_or_else(|why| panic!("{why}\n{example}"));
            let event = parse(example).unwrap_or_else(|refusal| panic!("{refusal}\n{example}"));
            assert_eq!(event.event_type, event_type);
        }
    }
}

#[test]
fn an_event_without_a_required_member_is_refused_by_its_name() {
    for (message, _) in MESSAGES {
        for example in examples(message) {
            for (schema, pointer, prefix) in places(message) {
                for name in texts(&schema["required"]) {
                    let mut event = example.clone();
                    object(&mut event, pointer).remove(name).expect("the example has it");
                    let refusal = refusal(&event);
                    let said = (refusal.code, refusal.detail.split(' ').next());
                    assert_eq!(
                        said,
                        (RefusalCode::MissingField, Some(&*format!("{prefix}{name}"))),
                        "{}",
                        refusal.detail
                    );
                }
            }
        }
    }
}

#[test]
fn an_event_with_the_required_members_alone_is_taken() {
    for (message, _) in MESSAGES {
        let mut event = examples(message).next().expect("an example").clone();
        for (schema, pointer, _) in places(message) {
            let required = texts(&schema["required"]);
            // Without a provider there must be one to fall back to, which the rules here do not have.
            object(&mut event, pointer).retain(|name, _| required.contains(&&**name) || name == "provider");
        }
        assert!(parse(&event).is_ok(), "{event}");
    }
}

const TRACE: &str = "traceparent";

#[test]
fn every_member_of_the_schema_is_looked_at() {
    for (message, _) in MESSAGES {
        let mut event = event_of(message, ["token"].into_iter());
        event[TRACE] = json!([1]);
        assert!(parse(&event).is_ok(), "of all members, that of a trace refuses nothing");
        let in_targets: BTreeSet<_> =
            kinds(message).into_iter().flat_map(|kind| names(&kind["properties"])).collect();
        let of_targets = in_targets.into_iter().map(|name| ("/data/targets/0", "data.targets[0].", name));
        let of_others = places(message).into_iter().flat_map(|(schema, pointer, prefix)| {
            let names = names(&schema["properties"]).into_iter().filter(|name| *name != TRACE);
            names.map(move |name| (pointer, prefix, name))
        });
        for (pointer, prefix, name) in of_others.chain(of_targets) {
            let mut event = event_of(message, ["token"].into_iter());
            object(&mut event, pointer).insert(name.to_owned(), json!([1]));
            let detail = refusal(&event).detail;
            assert!(detail.starts_with(&format!("{prefix}{name}")), "{message}: {prefix}{name}: {detail}");
        }
    }
}

#[test]
fn every_member_that_is_looked_at_is_in_the_schema() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/event");
    let files =
        std::fs::read_dir(folder).expect("the parser's folder").map(|entry| entry.expect("an entry").path());
    let is_test =
        |path: &PathBuf| path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
    // What Keycloak writes is another's to describe, and what `receive` tells of a refusal is no event.
    let others = ["keycloak.rs", "refused_input.rs"];
    let is_ours = |path: &PathBuf| {
        path.is_file() && !is_test(path) && !others.iter().any(|other| path.ends_with(other))
    };
    let files = files.filter(is_ours).chain([format!("{folder}.rs").into()]);
    let source: String = files.map(|path| std::fs::read_to_string(path).expect("a source file")).collect();
    let takes = [".take(\"", ".text(\"", ".word(\"", ".time(\"", ".required_word(\""];
    let taken =
        takes.iter().flat_map(|take| source.split(take).skip(1)).filter_map(|rest| rest.split('"').next());
    let mut listed = BTreeSet::new();
    for (message, _) in MESSAGES {
        listed.extend(places(message).into_iter().flat_map(|(schema, ..)| names(&schema["properties"])));
        listed.extend(kinds(message).into_iter().flat_map(|kind| names(&kind["properties"])));
    }
    // In place of `data`, which the schema describes: what it holds is the same.
    let taken = taken.filter(|name| *name != "data_base64");
    assert_eq!(taken.collect::<BTreeSet<_>>(), listed);
}

#[test]
fn the_targets_have_the_kinds_that_the_parser_gives_them() {
    for (message, allowed) in [("logout", &Kind::ALL[..3]), ("massRevocation", &Kind::ALL[..])] {
        assert_eq!(
            kinds(message).iter().map(|kind| kind["title"].as_str().expect("a title")).collect::<Vec<_>>(),
            allowed.iter().map(|kind| kind.as_str()).collect::<Vec<_>>()
        );
        for (kind, schema) in allowed.iter().zip(kinds(message)) {
            for members in [texts(&schema["required"]), names(&schema["properties"]).into_iter().collect()] {
                let event = parse(&event_of(message, members.into_iter()))
                    .unwrap_or_else(|refusal| panic!("{refusal}"));
                assert_eq!(event.targets[0].selector.kind(), *kind);
            }
        }
        for other in Kind::ALL.into_iter().filter(|kind| !allowed.contains(kind)) {
            let members = texts(&schema(&format!("{}Target", other.as_str()))["required"]);
            assert_eq!(refusal(&event_of(message, members.into_iter())).code, RefusalCode::InvalidField);
        }
    }
}

/// A text of the greatest length that a schema allows is taken; one that is longer by a character is refused.
#[test]
fn the_lengths_are_the_parsers() {
    let mut checked = 0;
    for (message, _) in MESSAGES {
        for (schema, pointer, prefix) in places(message) {
            for (name, member) in schema["properties"].as_object().expect("members") {
                let Some(most) =
                    resolved(member).get("maxLength").and_then(Value::as_u64).filter(|_| name != "provider")
                else {
                    continue;
                };
                let mut event = event_of(message, ["token"].into_iter());
                object(&mut event, pointer).insert(name.clone(), "x".repeat(most as usize).into());
                assert!(parse(&event).is_ok(), "{prefix}{name} of {most} characters");
                object(&mut event, pointer).insert(name.clone(), "x".repeat(most as usize + 1).into());
                assert!(refusal(&event).detail.starts_with(&format!("{prefix}{name} ")));
                checked += 1;
            }
        }
        assert_eq!(targets(message)["maxItems"], json!(LimitsConfig::default().max_targets));
        for (name, member) in schema("tokenTarget")["properties"].as_object().expect("members") {
            let Some(most) = resolved(member).get("maxLength").and_then(Value::as_u64) else { continue };
            let mut event = event_of(message, ["token"].into_iter());
            event["data"]["targets"][0][name] = "x".repeat(most as usize).into();
            assert!(parse(&event).is_ok(), "{name} of {most} characters");
            event["data"]["targets"][0][name] = "x".repeat(most as usize + 1).into();
            assert!(refusal(&event).detail.starts_with(&format!("data.targets[0].{name} ")));
            checked += 1;
        }
    }
    assert_eq!(checked, 19, "every length in the document");
}
