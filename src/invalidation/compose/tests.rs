use revocation_verifier::message::TokenIssuer;

use super::*;

fn entry(n: usize) -> (Arc<str>, Entry) {
    let expires_at = OffsetDateTime::UNIX_EPOCH;
    (
        "main".into(),
        Entry::Token {
            token_sha256: format!("{n:064x}"),
            token_type_hint: None,
            signed_sha256: None,
            jti: None,
            iss: TokenIssuer::NotSaid,
            expires_at,
        },
    )
}

fn event(id: &str) -> EventOf {
    let event = EventRef { source: "/apps/shop".to_owned(), id: id.to_owned() };
    EventOf { event, incident: None, traceparent: None }
}

#[test]
fn a_message_a_provider_and_kind_of_at_most_500() {
    let mut entries: Vec<_> = (0..1000).map(entry).collect();
    let wide = Entry::Subject {
        iss: None,
        sub: "u".to_owned(),
        subject_claims: Vec::new(),
        claims_iss: None,
        not_before: OffsetDateTime::UNIX_EPOCH,
        expires_at: OffsetDateTime::UNIX_EPOCH,
    };
    entries.insert(3, ("main".into(), wide));
    let messages = Composer::new("w").invalidations(Phase::Requested, [(event("1"), entries)]);
    let keys: Vec<_> = messages.iter().map(|m| &*m.routing_key).collect();
    assert_eq!(keys, ["invalidation.main.token", "invalidation.main.subject", "invalidation.main.token"]);
}

fn names(subject: &[&str], client: &[&str], issuer: Option<&str>) -> ClaimNames {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ClaimNames { subject: list(subject), client: list(client), issuer: issuer.map(str::to_owned), twin: None }
}

/// What an entry of a provider says of claims: whose issuer, which names, in whose tokens.
fn named(names: ClaimNames, provider: &str, entry: serde_json::Value) -> serde_json::Value {
    let composer = Composer::new("w").with_names(BTreeMap::from([("main".into(), names)]));
    let entry = serde_json::from_value(entry).unwrap();
    let message =
        composer.invalidations(Phase::Requested, [(event("1"), vec![(provider.into(), entry)])]).remove(0);
    let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    let entry = &body["data"]["targets"][0];
    serde_json::json!([entry["subject_claims"], entry["client_claims"], entry["claims_iss"]])
}

#[test]
fn claim_names_travel_with_the_issuer_in_whose_tokens_they_count() {
    use serde_json::json;
    let wide = |members: serde_json::Value| {
        let mut entry = json!({ "not_before": "1970-01-01T00:00:00Z", "expires_at": "1970-01-01T00:00:00Z" });
        entry.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        entry
    };
    let subject = |iss: Option<&str>| wide(json!({ "kind": "subject", "sub": "u", "iss": iss }));
    let client = |iss: Option<&str>| wide(json!({ "kind": "client", "client_id": "c", "iss": iss }));
    let okta = |issuer| names(&["uid"], &["cid", "app"], issuer);
    let nothing = json!([null, null, null]);
    assert_eq!(named(okta(Some("o")), "main", subject(None)), json!([["uid"], null, "o"]));
    assert_eq!(named(okta(Some("o")), "main", client(None)), json!([null, ["cid", "app"], "o"]));
    assert_eq!(
        named(okta(Some("o")), "main", subject(Some("i"))),
        json!([["uid"], null, null]),
        "those of its own issuer"
    );
    assert_eq!(named(okta(None), "main", client(Some("i"))), json!([null, ["cid", "app"], null]));
    assert_eq!(named(okta(None), "main", subject(None)), nothing, "in whose tokens is not known");
    assert_eq!(named(okta(Some("o")), "other", subject(None)), nothing, "another provider's");
    assert_eq!(named(names(&[], &["cid"], Some("o")), "main", subject(None)), nothing);
    assert_eq!(named(names(&["uid"], &[], Some("o")), "main", client(None)), nothing);
    for other in [
        wide(json!({ "kind": "session", "sid": "s", "sub": "u", "iss": null })),
        wide(json!({ "kind": "issuer", "iss": "i" })),
        wide(json!({ "kind": "token", "token_sha256": "00" })),
    ] {
        assert_eq!(named(okta(Some("o")), "main", other), nothing);
    }
}

#[test]
fn an_entry_of_a_provider_with_two_issuers_is_published_for_both() {
    let twin = || ClaimNames { twin: Some("v1".to_owned()), ..names(&["oid"], &["appid"], Some("v2")) };
    let entries = |names: ClaimNames, iss: Option<&str>| {
        let composer = Composer::new("w").with_names(BTreeMap::from([("main".into(), names)]));
        let time = "1970-01-01T00:00:00Z";
        let wide = |kind: &str, member: &str| {
            serde_json::json!({
                "kind": kind, member: "u", "iss": iss, "not_before": time, "expires_at": time,
            })
        };
        let (subject, client) = (wide("subject", "sub"), wide("client", "client_id"));
        let given = [subject, client].map(|entry| ("main".into(), serde_json::from_value(entry).unwrap()));
        let messages = composer.invalidations(Phase::Requested, [(event("1"), given.into())]);
        let bodies = messages
            .iter()
            .map(|message| serde_json::from_slice::<serde_json::Value>(&message.body).unwrap());
        let targets = bodies.flat_map(|body| body["data"]["targets"].as_array().unwrap().clone());
        let claims =
            |entry: &serde_json::Value| entry.get("subject_claims").or(entry.get("client_claims")).cloned();
        serde_json::Value::from_iter(
            targets.map(|entry| serde_json::json!([claims(&entry), entry["iss"], entry["claims_iss"]])),
        )
    };
    assert_eq!(
        entries(twin(), None),
        serde_json::json!([
            [["oid"], null, "v2"],
            [["oid"], null, "v1"],
            [["appid"], null, "v2"],
            [["appid"], null, "v1"]
        ])
    );
    assert_eq!(
        entries(twin(), Some("v2")),
        serde_json::json!([
            [["oid"], "v2", null],
            [["oid"], "v1", null],
            [["appid"], "v2", null],
            [["appid"], "v1", null]
        ])
    );
    let of_another = serde_json::json!([[["oid"], "x", null], [["appid"], "x", null]]);
    assert_eq!(entries(twin(), Some("x")), of_another, "the issuer that the target names, and no other");
    let without_claims = ClaimNames { subject: Vec::new(), client: Vec::new(), ..twin() };
    assert_eq!(entries(without_claims, None), serde_json::json!([[null, null, null], [null, null, null]]));
}

#[test]
fn the_wire_form_is_the_contracts() {
    let wide = Entry::Subject {
        iss: None,
        sub: "user-1".to_owned(),
        subject_claims: Vec::new(),
        claims_iss: None,
        not_before: OffsetDateTime::UNIX_EPOCH,
        expires_at: OffsetDateTime::UNIX_EPOCH,
    };
    let (incident, other) = (Some("leak".to_owned()), ("main".into(), wide.clone()));
    let messages = Composer::new("pod-7").invalidations(
        Phase::Confirmed,
        [(EventOf { incident, ..event("1") }, vec![("main".into(), wide)]), (event("2"), vec![other])],
    );
    assert_eq!(messages.len(), 1);
    let subject = |event| {
        let time = "1970-01-01T00:00:00Z";
        serde_json::json!({
            "kind": "subject", "event": event, "iss": null, "sub": "user-1", "not_before": time,
            "expires_at": time,
        })
    };
    let mut got: serde_json::Value = serde_json::from_slice(&messages[0].body).unwrap();
    got["id"] = "id".into();
    got["time"] = "time".into();
    assert_eq!(
        got,
        serde_json::json!({
            "specversion": "1.0",
            "id": "id",
            "source": "/revocation-worker/pod-7",
            "type": "auth.invalidation.v1",
            "time": "time",
            "data": {
                "phase": "confirmed",
                "provider": "main",
                "event": { "source": "/apps/shop", "id": "1" },
                "incident": "leak",
                "events": [
                    { "source": "/apps/shop", "id": "1", "incident": "leak" },
                    { "source": "/apps/shop", "id": "2", "incident": null },
                ],
                "targets": [subject(0), subject(1)],
            },
        })
    );
}
