//! The other ways of writing an event down: each becomes what structured CloudEvents would have been.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::macros::datetime;

use super::tests::{NOW, logout, origin, rules};
use super::*;
use crate::target::Kind;

/// An event as the attributes of a message's headers, and its data.
fn binary(event: &Value, media: &str) -> (Origin, Vec<u8>) {
    let attributes = ["specversion", "id", "source", "type", "time", "traceparent"];
    let given = attributes.into_iter().filter_map(|name| Some((name, event[name].as_str()?.to_owned())));
    let content_type = Some(media.to_owned()).filter(|media| !media.is_empty());
    (Origin { attributes: given.collect(), content_type, ..origin() }, event["data"].to_string().into_bytes())
}

fn session() -> Value {
    logout(json!({ "provider": "main", "targets": [{ "sid": "s-1", "sub": "u-1" }] }))
}

fn plain(event: &Value) -> LogoutEvent {
    parse(event.to_string().as_bytes(), &origin(), &rules(), NOW).expect("valid")
}

#[test]
fn binary_mode_and_base64_are_the_same_event() {
    let wanted = plain(&session());
    for media in ["application/json", "application/json; charset=utf-8", "", "application/problem+json"] {
        let (origin, body) = binary(&session(), media);
        let event = parse(&body, &origin, &rules(), NOW).expect("valid");
        assert_eq!((&event.source, &event.id), (&wanted.source, &wanted.id));
        assert_eq!(content(&event), content(&wanted), "{media}");
    }
    let mut encoded = session();
    encoded["data_base64"] = STANDARD.encode(encoded["data"].to_string()).into();
    encoded.as_object_mut().unwrap().remove("data");
    assert_eq!(content(&plain(&encoded)), content(&wanted));
}

#[test]
fn what_is_half_one_mode_and_half_another_is_refused_by_name() {
    let refusal = |origin: &Origin, body: &[u8]| {
        let refusal = parse(body, origin, &rules(), NOW).err().expect("refused");
        (refusal.code, refusal.detail)
    };
    let (origin, body) = binary(&session(), "text/xml");
    assert_eq!(refusal(&origin, &body).0, RefusalCode::UnknownType);
    let (mut origin, body) = binary(&session(), "application/json");
    origin.attributes.push(("id", "e-2".to_owned()));
    assert_eq!(refusal(&origin, &body), (RefusalCode::InvalidField, "id is given twice".to_owned()));
    origin.attributes.retain(|(name, _)| *name != "id");
    assert_eq!(refusal(&origin, &body).0, RefusalCode::MissingField);
    assert_eq!(refusal(&origin, b"no json").0, RefusalCode::NotJson);
    let with = |member: &str, value: Value| {
        let mut event = session();
        event[member] = value;
        event.to_string()
    };
    for value in [json!("e30="), json!(1)] {
        assert_eq!(
            refusal(&super::tests::origin(), with("data_base64", value).as_bytes()).0,
            RefusalCode::InvalidField
        );
    }
    let mut other = session();
    other.as_object_mut().unwrap().remove("data");
    for value in ["!", "W10="] {
        other["data_base64"] = value.into();
        let code = refusal(&super::tests::origin(), other.to_string().as_bytes()).0;
        assert_eq!(code, RefusalCode::InvalidField, "{value}");
    }
    // Structured mode says everything in the body; the headers are copies.
    let (mut origin, _) = binary(&session(), "application/cloudevents+json");
    origin.attributes.iter_mut().for_each(|(_, value)| value.push('x'));
    assert!(parse(session().to_string().as_bytes(), &origin, &rules(), NOW).is_ok());
}

/// As the listener writes it.
fn user_event(kind: &str, error: Value) -> Value {
    json!({
        "@class": "com.github.aznamier.keycloak.event.provider.EventClientNotificationMqMsg",
        "time": 1_795_300_000_123_i64, "type": kind, "realmId": "realm-1", "clientId": "shop",
        "userId": "u-1", "sessionId": "s-1", "ipAddress": "192.0.2.1", "error": error,
        "details": { "a": "b" },
    })
}

fn admin_event(resource: &str, operation: &str, path: &str, representation: Value) -> Value {
    json!({
        "@class": "com.github.aznamier.keycloak.event.provider.EventAdminNotificationMqMsg",
        "time": 1_795_300_000_123_i64, "realmId": "realm-1",
        "authDetails": { "realmId": "master", "clientId": "cli", "userId": "admin" },
        "resourceType": resource, "operationType": operation, "resourcePath": path,
        "representation": representation, "error": null, "resourceTypeAsString": resource,
    })
}

fn keycloak(event: &Value) -> Result<Option<LogoutEvent>, Refusal> {
    let origin = Origin { content_type: Some("application/json".to_owned()), ..Origin::default() };
    let (body, rules) = (event.to_string(), rules());
    let form = Form::of(body.as_bytes(), &origin, &rules)?;
    match read(form, body.as_bytes(), &origin, &rules, NOW)? {
        Said::Event(event) => Ok(Some(*event)),
        Said::Nothing | Said::RefusedInput(_) => Ok(None),
    }
}

#[test]
fn what_ends_credentials_at_keycloak_ends_them_here() {
    let disabled = json!({ "username": "ann", "enabled": false }).to_string();
    for (event, kind, reason) in [
        (user_event("LOGOUT", Value::Null), Kind::Session, "logout"),
        (user_event("REVOKE_GRANT", Value::Null), Kind::Subject, "revoke_grant"),
        (user_event("UPDATE_PASSWORD", Value::Null), Kind::Subject, "update_password"),
        (user_event("UPDATE_CREDENTIAL", json!("")), Kind::Subject, "update_credential"),
        (user_event("DELETE_ACCOUNT", Value::Null), Kind::Subject, "delete_account"),
        (admin_event("USER", "DELETE", "users/u-1", Value::Null), Kind::Subject, "user_deleted"),
        (admin_event("USER", "DELETE", "users/u-1/", Value::Null), Kind::Subject, "user_deleted"),
        (
            admin_event("USER", "ACTION", "users/u-1/logout", Value::Null),
            Kind::Subject,
            "logout_by_administrator",
        ),
        (admin_event("USER", "UPDATE", "users/u-1", json!(disabled)), Kind::Subject, "user_disabled"),
        (
            admin_event("USER", "ACTION", "users/u-1/reset-password", Value::Null),
            Kind::Subject,
            "password_reset_by_administrator",
        ),
        (
            admin_event("USER", "ACTION", "users/u-1/consents/shop", Value::Null),
            Kind::Subject,
            "grant_revoked_by_administrator",
        ),
        (
            admin_event("USER_SESSION", "DELETE", "sessions/s-1", Value::Null),
            Kind::Session,
            "logout_by_administrator",
        ),
    ] {
        let read = keycloak(&event).ok().flatten().unwrap_or_else(|| panic!("{event}"));
        let [target] = &read.targets[..] else { panic!("one target") };
        assert_eq!((target.selector.kind(), read.reason.as_deref()), (kind, Some(reason)));
        let is_unnamed = event["resourceType"] == "USER_SESSION";
        assert_eq!(target.sub.as_deref(), (!is_unnamed).then_some("u-1"));
        assert_eq!(target.sid.as_deref(), (kind == Kind::Session).then_some("s-1"));
        assert_eq!(target.iss.as_deref(), Some("https://id.example.com"), "the provider's tokens alone");
        assert_eq!((&*target.provider, read.source.as_str()), ("main", "keycloak:realm-1"));
        assert_eq!(read.occurred_at, Some(datetime!(2026-11-21 22:26:40.123 UTC)));
        let again = keycloak(&event).ok().flatten().unwrap();
        assert_eq!((&again.id, content(&again)), (&read.id, content(&read)), "the same again is the same");
    }
}

#[test]
fn every_part_of_a_keycloak_event_tells_it_from_others() {
    let id = |change: &dyn Fn(&mut Value)| {
        let mut event = user_event("LOGOUT", Value::Null);
        change(&mut event);
        keycloak(&event).ok().flatten().unwrap().id
    };
    let mut ids = vec![id(&|_| {})];
    for (member, value) in [
        ("time", json!(1_795_300_000_124_i64)),
        ("type", json!("REVOKE_GRANT")),
        ("userId", json!("u-2")),
        ("sessionId", json!("s-2")),
        ("clientId", json!("cards")),
    ] {
        ids.push(id(&|event| event[member] = value.clone()));
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert_eq!(id(&|event| event["ipAddress"] = json!("192.0.2.2")), id(&|_| {}));
}

#[test]
fn what_ends_nothing_asks_for_nothing_and_an_unknown_realm_is_refused() {
    for nothing in [
        user_event("LOGIN", Value::Null),
        user_event("LOGOUT_ERROR", json!("session_expired")),
        user_event("LOGOUT", json!("session_expired")),
        admin_event("USER", "CREATE", "users/u-1", Value::Null),
        admin_event("USER", "UPDATE", "users/u-1", json!("{\"enabled\":true}")),
        admin_event("USER", "UPDATE", "users/u-1", json!("no json")),
        admin_event("USER", "DELETE", "users/u-1/role-mappings", Value::Null),
        admin_event("CLIENT", "DELETE", "clients/c-1", Value::Null),
        admin_event("CLIENT", "DELETE", "users/u-1", Value::Null),
        admin_event("USER", "DELETE", "users", Value::Null),
        admin_event("USER", "DELETE", "", Value::Null),
        admin_event("USER", "DELETE", "/users/u-1", Value::Null),
        admin_event("USER", "DELETE", "users/", Value::Null),
        admin_event("USER", "DELETE", "users/u-1//", Value::Null),
        admin_event("USER", "DELETE", "groups/users/u-1", Value::Null),
        admin_event("USER", "DELETE", "users/u-1/groups/g-1", Value::Null),
        admin_event("USER", "ACTION", "users/u-1/logout/now", Value::Null),
        admin_event("USER", "ACTION", "users/u-1/send-verify-email", Value::Null),
        admin_event("USER", "CREATE", "users/u-1/logout", Value::Null),
        admin_event("USER", "UPDATE", "users/u-1", json!("{\"enabled\":\"false\"}")),
        admin_event("USER", "UPDATE", "users/u-1", json!("[{\"enabled\":false}]")),
        admin_event("USER", "UPDATE", "users/u-1", Value::Null),
        admin_event("USER_SESSION", "CREATE", "sessions/s-1", Value::Null),
        admin_event("USER_SESSION", "DELETE", "users/u-1/sessions/s-1", Value::Null),
        admin_event("REALM", "ACTION", "logout-all", Value::Null),
        // What is not needed is not looked at, however long.
        admin_event("USER", "CREATE", "users/u-1", json!("x".repeat(300 * 1024))),
        admin_event("GROUP", "UPDATE", "groups/g-1", json!(7)),
        user_event("logout", Value::Null),
        user_event("", Value::Null),
    ] {
        assert!(matches!(keycloak(&nothing), Ok(None)), "{nothing}");
    }
    let mut foreign = user_event("LOGOUT", Value::Null);
    foreign["realmId"] = json!("realm-2");
    assert_eq!(keycloak(&foreign).err().map(|refusal| refusal.code), Some(RefusalCode::UnknownProvider));
    for (member, value) in [
        ("time", json!("now")),
        ("time", json!(-1)),
        ("time", json!(0)),
        // In seconds it would deny nothing.
        ("time", json!(1_795_300_000)),
        ("time", json!(1_795_300_000_123.5)),
        ("time", json!(i64::MAX)),
        ("userId", json!(7)),
        ("userId", json!(["u-1"])),
        ("userId", json!("u".repeat(1025))),
        ("type", json!({ "type": "LOGOUT" })),
    ] {
        let mut broken = user_event("DELETE_ACCOUNT", Value::Null);
        broken[member] = value;
        assert_eq!(keycloak(&broken).err().map(|refusal| refusal.code), Some(RefusalCode::InvalidField));
    }
    let mut nobody = user_event("LOGOUT", Value::Null);
    nobody["userId"] = Value::Null;
    nobody["sessionId"] = Value::Null;
    assert!(keycloak(&nobody).is_err(), "somebody has to be named");
    for (resource, operation, path) in [
        ("USER", "DELETE", "users//"),
        ("USER", "ACTION", "users//logout"),
        ("USER_SESSION", "DELETE", "sessions//"),
    ] {
        let nobody = admin_event(resource, operation, path, Value::Null);
        assert!(keycloak(&nobody).is_err(), "{path}: never wider than a user");
    }
    let twice = user_event("LOGOUT", Value::Null).to_string().replacen('{', "{\"userId\":\"u-2\",", 1);
    let origin = Origin { content_type: Some("application/json".to_owned()), ..Origin::default() };
    let said = Form::of(twice.as_bytes(), &origin, &rules())
        .and_then(|form| read(form, twice.as_bytes(), &origin, &rules(), NOW));
    assert!(said.is_err(), "two users are named");
}

/// Whose trace it is: the event's own, else that of the message.
#[test]
fn an_events_own_trace_wins_and_a_malformed_one_refuses_nothing() {
    const OWN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const HEADER: &str = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00";
    let header = Trace::parse(HEADER);
    assert!(header.is_some());
    for (own, of_message, wanted) in [
        (json!(OWN), None, Some(OWN)),
        (json!(OWN), header, Some(OWN)),
        (Value::Null, header, Some(HEADER)),
        (Value::Null, None, None),
        (json!(OWN.to_uppercase()), header, Some(HEADER)),
        (json!(""), None, None),
        (json!(["00"]), None, None),
        (json!({ "traceparent": OWN }), None, None),
        (json!(17), header, Some(HEADER)),
        (json!("\0"), None, None),
    ] {
        let mut event = session();
        event["traceparent"] = own;
        let (in_headers, data) = binary(&event, "application/json");
        for (origin, body) in [(origin(), event.to_string().into_bytes()), (in_headers, data)] {
            let read = parse(&body, &Origin { trace: of_message, ..origin }, &rules(), NOW).expect("valid");
            assert_eq!(read.trace.map(|trace| trace.to_string()).as_deref(), wanted, "{event}");
            assert_eq!(content(&read), content(&plain(&session())), "it is the same event");
        }
    }
    let twice = format!("{{\"traceparent\":\"{OWN}\",\"traceparent\":\"{OWN}\",");
    let twice = session().to_string().replacen('{', &twice, 1);
    assert!(parse(twice.as_bytes(), &origin(), &rules(), NOW).is_ok());
}
