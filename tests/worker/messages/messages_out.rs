//! What worker and verifiers send: each type serialised with every optional member, and with none.

use std::collections::BTreeSet;

use revocation_verifier::message::{LogMark, STATUS_TYPE, Status, TokenIssuer};
use revocation_verifier::{Staleness, StalenessPolicy};
use revocation_worker::event::RefusalCode;
use revocation_worker::invalidation::{
    Checkpointing, Composer, Entry, Envelope, EventOf, EventRef, Heartbeat, Invalidation, MAX_TARGETS,
    Outgoing, Phase, Progress, Reached, SnapshotEnd, SnapshotPart, TargetOf,
};
use revocation_worker::target::{Kind, TokenTypeHint};
use revocation_worker::trace::Trace;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::schema::{Members, agrees, at, examples, names, schema, texts};

const THEN: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// One of each kind. The match keeps the list complete.
fn entry(kind: Kind, full: bool) -> Entry {
    let text = |text: &str| text.to_owned();
    let optional = |value: &str| full.then(|| text(value));
    let (not_before, expires_at) = (THEN, THEN);
    match kind {
        Kind::Token => {
            let iss = if full { TokenIssuer::Named(text("i")) } else { TokenIssuer::NotSaid };
            let token_type_hint = full.then_some(TokenTypeHint::AccessToken);
            Entry::Token {
                token_sha256: "0a".repeat(32),
                signed_sha256: optional(&"0b".repeat(32)),
                token_type_hint,
                jti: optional("j"),
                iss,
                expires_at,
            }
        }
        Kind::Session => {
            Entry::Session { sid: text("d"), sub: optional("s"), iss: optional("i"), not_before, expires_at }
        }
        Kind::Subject => Entry::Subject {
            iss: optional("i"),
            sub: text("s"),
            subject_claims: claims(full),
            claims_iss: optional("i"),
            not_before,
            expires_at,
        },
        Kind::Client => Entry::Client {
            client_id: text("c"),
            iss: optional("i"),
            client_claims: claims(full),
            claims_iss: optional("i"),
            not_before,
            expires_at,
        },
        Kind::Issuer => Entry::Issuer { iss: text("i"), not_before, expires_at },
    }
}

fn claims(full: bool) -> Vec<String> {
    full.then(|| "uid".to_owned()).into_iter().collect()
}

fn status(full: bool) -> Status {
    Status {
        service: "shop-api".to_owned(),
        instance: "pod-7".to_owned(),
        applied_offset: full.then_some(812),
        applied_time: full.then_some(THEN),
        entries: 1,
        stale: full,
        stale_reason: full.then_some(Staleness::Silent),
        staleness_policy: full.then_some(StalenessPolicy::FailOpen),
        ended: full,
    }
}

fn progress() -> Progress {
    Progress {
        publisher: "p".to_owned(),
        sequence: 1,
        attempted: 2,
        published_at: Some(THEN),
        mark_age_ms: Some(7),
    }
}

fn checkpoint() -> Checkpointing {
    Checkpointing {
        checkpoint: 1,
        document: "{}".to_owned(),
        sha256: "0a".repeat(32),
        public_key: "k".to_owned(),
        signature: "s".to_owned(),
    }
}

/// Of a snapshot: its end where `full`.
fn part(full: bool) -> SnapshotPart<Entry> {
    let mark = LogMark { offset: 7, time: Some(THEN), sha256: "0a".repeat(32) };
    let publishers = [("p".to_owned(), Reached { sequence: 1, at: THEN })].into();
    let end = SnapshotEnd {
        parts: 1,
        entries: 1,
        after: Some(3),
        mark,
        complete_since: Some(THEN),
        publishers,
        publishers_since: Some(THEN),
    };
    let targets = Kind::ALL.map(|kind| entry(kind, full)).into();
    SnapshotPart { snapshot: "s".to_owned(), previous: Some(2), part: 0, targets, end: full.then_some(end) }
}

fn invalidation(phase: Phase, full: bool) -> Outgoing {
    let ids: &[&str] = if full { &["1"] } else { &["1", "2"] };
    let events = ids.iter().map(|id| {
        let event = EventRef { source: "/apps/shop".to_owned(), id: (*id).to_owned() };
        let traceparent = full.then(|| Trace::start().to_string());
        let incident = full.then(|| "leak".to_owned());
        (EventOf { event, incident, traceparent }, vec![("main".into(), entry(Kind::Token, full))])
    });
    let messages = Composer::new("pod-1").invalidations(phase, events);
    let [message] = &messages[..] else { panic!("one message for both") };
    message.clone()
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

/// A value's words, as they are serialised.
fn words<T: serde::Serialize>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| json!(value).as_str().expect("a word").to_owned()).collect()
}

#[track_caller]
fn assert_agrees(value: &Value, schema: &'static Value, members: Members) {
    agrees(value, schema, members).unwrap_or_else(|why| panic!("{why}\n{value}"));
}

#[test]
fn every_message_has_exactly_the_members_of_its_schema() {
    for (full, members) in [(true, Members::All), (false, Members::Required)] {
        for phase in [Phase::Requested, Phase::Confirmed] {
            assert_agrees(&json(&invalidation(phase, full).body), schema("invalidation"), members);
        }
        let report = Envelope::new("/revocation-verifier/shop-api/pod-7", STATUS_TYPE, status(full));
        assert_agrees(&json(&report.to_json()), schema("verifierStatus"), members);
        let composer = Composer::new("pod-1");
        assert_agrees(&json(&composer.beat(full.then(progress)).body), schema("heartbeat"), members);
        assert_agrees(&json(&composer.mark().body), schema("mark"), members);
        assert_agrees(&json(&composer.checkpoint(checkpoint()).body), schema("checkpoint"), members);
        assert_agrees(&json(&composer.snapshot(part(full)).body), schema("snapshot"), members);
        for kind in Kind::ALL {
            let own = schema(&format!("{}Entry", kind.as_str()));
            assert_agrees(&json!(entry(kind, full)), own, members);
            let others = Kind::ALL.into_iter().filter(|other| *other != kind);
            others.for_each(|other| {
                assert!(
                    agrees(&json!(entry(other, full)), own, Members::Known).is_err(),
                    "{other:?} is no {kind:?}"
                )
            });
        }
    }
}

#[test]
fn a_message_takes_as_many_entries_of_every_kind_as_the_schema_says() {
    let targets = &schema("invalidation")["properties"]["data"]["properties"]["targets"];
    assert_eq!(targets["maxItems"], json!(MAX_TARGETS));
    let both = |kind| [entry(kind, true), entry(kind, false)];
    let all = Kind::ALL.into_iter().flat_map(both).map(|entry| TargetOf { entry, event: 1 });
    assert_agrees(&json!(all.collect::<Vec<_>>()), targets, Members::Known);
    let [entry, of_event] = &targets["items"]["allOf"].as_array().expect("parts")[..] else {
        panic!("an entry, and its event")
    };
    assert_eq!(of_event["$ref"], "#/components/schemas/ofEvent");
    let listed: BTreeSet<_> =
        entry["oneOf"].as_array().expect("kinds").iter().map(|kind| kind["$ref"].to_string()).collect();
    let kinds: BTreeSet<_> =
        Kind::ALL.iter().map(|kind| format!("\"#/components/schemas/{}Entry\"", kind.as_str())).collect();
    assert_eq!(listed, kinds);
    let part = &schema("snapshot")["properties"]["data"]["properties"]["targets"];
    assert_eq!(
        (&part["maxItems"], &part["items"]),
        (&targets["maxItems"], entry),
        "a part takes what a message takes"
    );
}

#[test]
fn the_words_are_the_codes_words() {
    let status = &schema("verifierStatus")["properties"]["data"]["properties"];
    assert_eq!(texts(&status["stale_reason"]["enum"]), Staleness::ALL.map(Staleness::as_str));
    assert_eq!(texts(&status["stale_reason"]["enum"]), words(Staleness::ALL));
    let policies = texts(&status["staleness_policy"]["enum"]);
    assert_eq!(policies, words([StalenessPolicy::FailOpen, StalenessPolicy::FailClosed]));
    assert!(policies.into_iter().all(|policy| StalenessPolicy::parse(policy).is_some()));
    let phases = &schema("invalidation")["properties"]["data"]["properties"]["phase"]["enum"];
    assert_eq!(texts(phases), words([Phase::Requested, Phase::Confirmed]));
    let hints = texts(&schema("tokenTypeHint")["enum"]);
    assert_eq!(hints, words([TokenTypeHint::AccessToken, TokenTypeHint::RefreshToken]));
    assert_eq!(texts(at("/channels/invalidations/parameters/kind/enum")), Kind::ALL.map(Kind::as_str));
    assert_eq!(
        texts(&schema("refusedHeaders")["properties"]["x-refused-code"]["enum"]),
        RefusalCode::ALL.map(RefusalCode::as_str)
    );
}

#[test]
fn the_examples_are_messages() {
    let invalidations: Vec<_> = examples("invalidation").collect();
    for example in &invalidations {
        assert_agrees(example, schema("invalidation"), Members::Known);
        serde_json::from_value::<Envelope<Invalidation>>((*example).clone()).expect("an invalidation");
    }
    assert!(invalidations.len() > 1);
    for example in examples("verifierStatus") {
        assert_agrees(example, schema("verifierStatus"), Members::Known);
        serde_json::from_value::<Envelope<Status>>(example.clone()).expect("a status");
    }
    for example in examples("heartbeat") {
        assert_agrees(example, schema("heartbeat"), Members::All);
        let beat = serde_json::from_value::<Envelope<Heartbeat>>(example.clone()).expect("a heartbeat");
        assert!(beat.data.progress.is_some());
    }
    for message in ["mark", "checkpoint"] {
        examples(message).for_each(|example| assert_agrees(example, schema(message), Members::All));
    }
    for example in examples("snapshot") {
        assert_agrees(example, schema("snapshot"), Members::Known);
        serde_json::from_value::<Envelope<SnapshotPart<Entry>>>(example.clone()).expect("a part");
    }
}

#[test]
fn the_headers_of_refused_messages_are_those_that_are_set() {
    let source = concat!(
        include_str!("../../../src/broker/headers.rs"),
        include_str!("../../../src/broker/original.rs")
    );
    let is_set = |text: &&str| {
        *text == "x-original-user" || text.strip_prefix("x-refused-").is_some_and(|name| !name.is_empty())
    };
    let set: BTreeSet<_> = source.split('"').filter(is_set).collect();
    let headers = schema("refusedHeaders");
    assert_eq!(names(&headers["properties"]), set);
    let always: BTreeSet<_> = texts(&headers["required"]).into_iter().collect();
    let sometimes: Vec<_> = set.difference(&always).copied().collect();
    assert_eq!(sometimes, ["x-refused-user"], "a publisher need not say who it is");
}

#[test]
fn the_page_for_service_teams_knows_every_kind_reason_and_policy() {
    let page = include_str!("../../../docs/verifiers.md");
    let policies = [StalenessPolicy::FailOpen, StalenessPolicy::FailClosed].map(StalenessPolicy::as_str);
    for word in
        Kind::ALL.map(Kind::as_str).iter().chain(&Staleness::ALL.map(Staleness::as_str)).chain(&policies)
    {
        let in_a_table = |line: &str| line.starts_with('|') && line.contains(&format!("`{word}`"));
        assert!(page.lines().any(in_a_table), "docs/verifiers.md has no row for {word}");
    }
}
