//! What valid events become.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::target::{Kind, TokenTypeHint};

pub(super) const NOW: OffsetDateTime = datetime!(2026-11-20 22:30:05 UTC);
pub(super) const TTL: Duration = Duration::from_secs(3600);

pub(super) fn rules() -> Rules {
    let provider = |name: &str, issuer: &str| ProviderRule {
        name: name.into(),
        issuer: Some(issuer.to_owned()),
        token_ttl: TTL,
    };
    Rules {
        max_message_bytes: 1 << 20,
        max_targets: 1000,
        max_token_bytes: 16 << 10,
        default_provider: None,
        providers: vec![
            provider("main", "https://id.example.com"),
            provider("other", "https://other.example.com"),
            provider("twin-a", "https://twin.example.com"),
            provider("twin-b", "https://twin.example.com"),
        ],
        authority: Authority { mass_revocation_users: vec!["soc".to_owned()], ..Authority::default() },
        realms: [("realm-1".to_owned(), "main".into())].into(),
    }
}

pub(super) fn origin() -> Origin {
    Origin { broker_user: Some("soc".to_owned()), ..Origin::default() }
}

/// An `auth.logout.v1` with this `data`.
pub(super) fn logout(data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": "e-1", "source": "/apps/shop", "type": "auth.logout.v1",
            "time": "2026-11-20T22:30:00.123Z",
        "data": data
    })
}

/// An `auth.mass_revocation.v1` of one target.
pub(super) fn mass(target: Value) -> Value {
    let mut event = logout(json!({ "provider": "main", "incident": "leak-7", "targets": [target] }));
    event["type"] = json!("auth.mass_revocation.v1");
    event
}

pub(super) fn jwt(claims: &Value) -> String {
    jwt_of(&claims.to_string())
}

/// A token whose payload serde_json may refuse.
pub(super) fn jwt_of(payload: &str) -> String {
    format!("eyJhbGciOiJSUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(payload))
}

pub(super) fn parse_value(event: &Value, rules: &Rules) -> Result<LogoutEvent, Refusal> {
    parse(event.to_string().as_bytes(), &origin(), rules, NOW)
}

/// The event, where it must be valid.
pub(super) fn accepted(event: &Value) -> LogoutEvent {
    parse_value(event, &rules()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// The only target of a logout with `provider` "main".
pub(super) fn only(target: Value) -> Target {
    accepted(&logout(json!({ "provider": "main", "targets": [target] }))).targets.remove(0)
}

#[test]
fn the_contracts_example_is_read_whole() {
    let exp = NOW.unix_timestamp() + 900;
    let access = jwt(&json!({ "exp": exp, "jti": "j-1", "sub": "user-1", "sid": "s-1", "azp": "shop",
            "iss": "https://id.example.com" }));
    let event = accepted(&logout(json!({
        "provider": "main", "reason": "user_logout", "actor": "user-1",
        "targets": [{ "token": access, "token_type_hint": "access_token" }, { "token": "8xLO-opaque",
            "token_type_hint": "refresh_token" }]
    })));
    assert_eq!(
        (event.source.as_str(), event.id.as_str(), event.event_type),
        ("/apps/shop", "e-1", EventType::Logout)
    );
    assert_eq!((event.lane(), event.received_at), (Lane::Interactive, NOW));
    assert_eq!(event.occurred_at, Some(datetime!(2026-11-20 22:30:00.123 UTC)));
    assert_eq!((event.reason.as_deref(), event.actor.as_deref()), (Some("user_logout"), Some("user-1")));
    assert_eq!((event.incident, event.incident_targets), (None, None));

    let [first, second] = &event.targets[..] else { panic!("two targets") };
    let token = first.token().expect("a token");
    assert!(token.token.expose() == access && token.fingerprint == token.token.fingerprint());
    assert_eq!((token.hint, token.jti.as_deref()), (Some(TokenTypeHint::AccessToken), Some("j-1")));
    assert_eq!((first.deny_until.unix_timestamp(), token.expires_at), (exp, Some(first.deny_until)));
    let names = [&first.sub, &first.sid, &first.client_id, &first.iss].map(Option::as_deref);
    assert_eq!(names, ["user-1", "s-1", "shop", "https://id.example.com"].map(Some));

    assert!(second.is_refresh_token() && second.token_expires_at().is_none());
    assert_eq!((&*second.provider, second.deny_until), ("main", NOW + TTL));
}

#[test]
fn a_targets_kind_follows_from_its_narrowest_member() {
    let cases = [
        (json!({ "token": "t", "sid": "d", "sub": "s", "client_id": "c", "iss": "i" }), Kind::Token),
        (json!({ "sid": "d", "sub": "s", "client_id": "c", "iss": "i" }), Kind::Session),
        (json!({ "sub": "s", "client_id": "c", "iss": "i" }), Kind::Subject),
        (json!({ "token": null, "sid": null, "sub": "s" }), Kind::Subject),
        (json!({ "client_id": "c", "iss": "i" }), Kind::Client),
        (json!({ "iss": "i", "anything": ["else"] }), Kind::Issuer),
    ];
    for (target, kind) in cases {
        let event = accepted(&mass(target.clone()));
        assert_eq!(event.targets[0].selector.kind(), kind, "{target}");
        assert_eq!(event.lane(), Lane::Mass);
    }
}

#[test]
fn what_the_event_says_of_a_token_goes_before_its_claims() {
    let token = jwt(&json!({ "sub": "claimed", "sid": "claimed", "client_id": "claimed", "iss": "claimed" }));
    let target = only(json!({ "token": token, "sub": "said", "iss": "said" }));
    let names = [&target.sub, &target.sid, &target.client_id, &target.iss].map(Option::as_deref);
    assert_eq!(names, ["said", "claimed", "claimed", "said"].map(Some));
}

#[test]
fn an_escaped_token_is_the_token_that_it_spells() {
    let body = logout(json!({ "provider": "main", "targets": [{ "token": "TOKEN" }] }))
        .to_string()
        .replace("TOKEN", r"a\/\u0062");
    let event = parse(body.as_bytes(), &origin(), &rules(), NOW).expect("valid");
    assert!(event.targets[0].token().is_some_and(|token| token.token.expose() == "a/b"));
}

#[test]
fn the_cutoff_is_not_before_else_time_else_the_receipt_and_never_far_ahead() {
    let cutoff_of = |mut event: Value, time: Value, not_before: Value| {
        event["data"]["not_before"] = not_before;
        event["time"] = time;
        accepted(&event).not_before
    };
    let cutoff = |time, not_before| {
        cutoff_of(logout(json!({ "provider": "main", "targets": [{ "sub": "u" }] })), time, not_before)
    };
    let mass_cutoff = |time, not_before| cutoff_of(mass(json!({ "sub": "u" })), time, not_before);
    let past = json!("2026-11-20T20:00:00+01:00");
    assert_eq!(
        cutoff(past.clone(), json!("2026-11-20T10:00:00.123456789Z")),
        datetime!(2026-11-20 10:00:00.123456 UTC)
    );
    assert_eq!(cutoff(past.clone(), json!(null)), datetime!(2026-11-20 19:00:00 UTC));
    assert_eq!(cutoff(json!(null), json!(null)), NOW);
    assert_eq!(cutoff(json!("2036-01-01T00:00:00Z"), json!(null)), NOW);
    assert_eq!(mass_cutoff(past.clone(), json!("2026-11-20T22:35:05Z")), NOW + Duration::from_secs(300));
    for ahead in [
        "2026-11-20T22:30:05.000001Z",
        "2026-11-20T22:30:06Z",
        "2026-11-20T23:33:00+01:00",
        "2026-11-20T22:35:05Z",
    ] {
        assert_eq!(cutoff(past.clone(), json!(ahead)), NOW, "a logout's is held at the receipt: {ahead}");
        assert!(mass_cutoff(past.clone(), json!(ahead)) > NOW, "{ahead}");
    }
    assert_eq!(cutoff(past, json!("2026-11-20T22:30:04.999999Z")), NOW - Duration::from_micros(1));
}

#[test]
fn a_wide_denial_ends_with_the_token_ttl_wherever_its_cutoff_lies() {
    for target in
        [json!({ "sid": "s" }), json!({ "sub": "u" }), json!({ "client_id": "c" }), json!({ "iss": "i" })]
    {
        for not_before in
            ["1970-01-01T00:00:00Z", "2026-11-20T10:00:00Z", "2026-11-20T22:30:05Z", "2026-11-20T22:35:05Z"]
        {
            let mut event = mass(target.clone());
            event["data"]["not_before"] = json!(not_before);
            assert_eq!(accepted(&event).targets[0].deny_until, NOW + TTL, "{target} {not_before}");
        }
    }
}

#[test]
fn an_endless_token_ttl_ends_with_the_calendar() {
    let mut rules = rules();
    rules.providers[0].token_ttl = Duration::MAX;
    let event = parse_value(&logout(json!({ "provider": "main", "targets": [{ "token": "a" }] })), &rules)
        .expect("valid");
    assert_eq!(event.targets[0].deny_until.year(), 9999);
}

#[test]
fn an_expired_token_keeps_its_own_end() {
    let target = only(json!({ "token": jwt(&json!({ "exp": 1_000_000_000 })) }));
    assert_eq!(target.deny_until.unix_timestamp(), 1_000_000_000);
}

#[test]
fn providers_are_found_by_name_then_issuer_then_claim_then_default() {
    let (main, other, twin) =
        ("https://id.example.com", "https://other.example.com", "https://twin.example.com");
    let provider_of = |named: Option<&str>, iss: Option<&str>, claim: Option<&str>, default: Option<&str>| {
        let rules = Rules { default_provider: default.map(Into::into), ..rules() };
        let token = jwt(&json!({ "iss": claim }));
        let event = parse_value(
            &logout(json!({ "provider": named, "targets": [{ "token": token, "iss": iss }] })),
            &rules,
        );
        event.map(|event| event.targets[0].provider.to_string()).map_err(|refusal| refusal.code)
    };
    let found = |name: &str| Ok(name.to_owned());
    assert_eq!(provider_of(Some("twin-a"), Some(main), Some(other), Some("twin-b")), found("twin-a"));
    assert_eq!(provider_of(None, Some(main), Some(other), Some("twin-b")), found("main"));
    assert_eq!(provider_of(None, None, Some(other), Some("twin-b")), found("other"));
    assert_eq!(provider_of(None, Some("https://unheard.of"), Some(other), Some("twin-b")), found("other"));
    assert_eq!(
        provider_of(None, Some(twin), None, Some("twin-b")),
        found("twin-b"),
        "an issuer of two providers decides nothing"
    );
    assert_eq!(
        provider_of(None, Some("https://id.example.com/"), None, Some("twin-b")),
        found("twin-b"),
        "issuers match to the byte"
    );
    assert_eq!(provider_of(None, Some(twin), None, None), Err(RefusalCode::UnknownProvider));
    assert_eq!(provider_of(None, None, None, Some("gone")), Err(RefusalCode::UnknownProvider));
}

#[test]
fn every_accepted_content_type_is_accepted() {
    let body = logout(json!({ "provider": "main", "targets": [{ "sid": "s" }] })).to_string();
    let types = [
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/cloudevents+json",
        "application/cloudevents+json;x=y",
    ];
    for content_type in types {
        let origin = Origin { content_type: Some(content_type.to_owned()), ..origin() };
        assert!(parse(body.as_bytes(), &origin, &rules(), NOW).is_ok(), "{content_type}");
    }
}

#[test]
fn a_thousand_targets_are_an_event() {
    let targets: Vec<_> = (0..1000).map(|n| json!({ "token": format!("token-{n}") })).collect();
    assert_eq!(accepted(&logout(json!({ "provider": "main", "targets": targets }))).targets.len(), 1000);
}

#[test]
fn logout_users_are_held_to_the_list_where_there_is_one() {
    let event = logout(json!({ "provider": "main", "targets": [{ "sid": "s" }] })).to_string();
    let code = |users: Option<&str>, user: Option<&str>| {
        let authority =
            Authority { logout_users: users.map(|user| vec![user.to_owned()]), ..Authority::default() };
        let rules = Rules { authority, ..rules() };
        let origin = Origin { broker_user: user.map(str::to_owned), ..Origin::default() };
        parse(event.as_bytes(), &origin, &rules, NOW).err().map(|refusal| refusal.code)
    };
    assert_eq!(code(None, None), None);
    assert_eq!(code(Some("shop"), Some("shop")), None);
    assert_eq!(code(Some("shop"), Some("Shop")), Some(RefusalCode::NotAllowed));
    assert_eq!(code(Some("shop"), None), Some(RefusalCode::NotAllowed));
}

#[test]
fn a_mass_revocation_has_its_incident() {
    let mut event = mass(json!({ "iss": "https://id.example.com" }));
    event["data"]["incident_targets"] = json!(250_000);
    event["data"]["incident_kinds"] = json!({ "token": 249_999, "issuer": 1 });
    let event = accepted(&event);
    assert_eq!((event.incident.as_deref(), event.incident_targets), (Some("leak-7"), Some(250_000)));
    assert_eq!(event.incident_kinds, [(Kind::Issuer, 1), (Kind::Token, 249_999)]);
    let mut understated = mass(json!({ "iss": "https://id.example.com" }));
    understated["data"]["incident_kinds"] = json!({ "issuer": 9999 });
    assert_eq!(
        accepted(&understated).incident_targets,
        Some(9999),
        "what people approve is never less than what is announced by kind"
    );
}
