//! `[receive]` and `[keycloak_events]`.

use super::*;
use crate::config::{Orderable, ReceiveSettings};

const OP: &str = "[receive.senders.op]\nissuer = \"https://id.example.com\"\n";

#[test]
fn a_sender_may_order_what_is_said_and_needs_no_database() {
    let variables = [
        ("AMQP_URL", "amqp://b"),
        ("REVOCATION__DEFAULT_PROVIDER", "main"),
        ("REVOCATION__RECEIVE__SENDERS__OP__ISSUER", "https://id.example.com"),
        ("REVOCATION__RECEIVE__SENDERS__OP__CLIENT_ID", "shop"),
    ];
    let load = |more: &[(&'static str, &'static str)]| {
        let variables = variables.into_iter().chain(more.iter().copied());
        ReceiveSettings::load(None, &Environment::new(variables)).unwrap_or_else(|error| panic!("{error}"))
    };
    let settings = load(&[]);
    let sender = &settings.receive.senders["op"];
    assert_eq!(sender.may_order, [Orderable::Sub, Orderable::Sid]);
    assert!(!sender.email_is_sub && sender.orders_per_minute == 600 && sender.subject_claim == "sub");
    assert!(settings.receive.listen.ip().is_loopback() && settings.receive.health_listen.ip().is_loopback());
    let settings = load(&[("REVOCATION__RECEIVE__SENDERS__OP__MAY_ORDER", "sid")]);
    assert_eq!(settings.receive.senders["op"].may_order, [Orderable::Sid]);
    let nobody = ReceiveSettings::load(None, &Environment::new([("AMQP_URL", "amqp://b")]));
    assert!(nobody.is_err_and(|error| error.to_string().starts_with("receive.senders: not set")));
}

#[test]
fn a_sender_that_could_order_too_much_is_refused() {
    let of = |more: &str| format!("{OP}client_id = \"shop\"\nprovider = \"main\"\n{more}");
    for (text, refusal) in [
        (
            "[receive.senders.op]\nclient_id = \"a\"\nprovider = \"main\"",
            "receive.senders.op.issuer: not set",
        ),
        (&format!("{OP}provider = \"main\""), "receive.senders.op.client_id: not set; give it, or audience"),
        (&format!("{OP}client_id = \"shop\""), "receive.senders.op.provider: not set"),
        (
            &format!("{OP}client_id = \"shop\"\nprovider = \"other\""),
            "receive.senders.op.provider: no provider has this name; configured: main",
        ),
        (&of("may_order = [\"sub\", \"client_id\"]"), "receive.senders.op.may_order: must list"),
        (&of("may_order = []"), "receive.senders.op.may_order: must list"),
        (&of("audience = [\"\"]"), "receive.senders.op.audience: must not be empty"),
        (
            &of("jwks_uri = \"http://id.example.com/keys\""),
            "receive.senders.op.jwks_uri: must start with https",
        ),
        (&of("poll_authorization = \"Bearer a\""), "receive.senders.op.poll_endpoint: not set"),
        (&of("issuers = [\"a\"]"), "receive.senders.op.issuers: unknown setting"),
        (
            "[receive.senders.\"a/b\"]\nissuer = \"i\"\nclient_id = \"a\"\nprovider = \"main\"",
            "receive.senders.a/b: a sender's name has",
        ),
        ("[keycloak_events]\nrealms = { other = [\"r\"] }", "keycloak_events.realms.other: no provider has"),
        (
            "[keycloak_events]\nrealms = { main = [\"r\", \"r\"] }",
            "keycloak_events.realms.main: lists a realm",
        ),
    ] {
        let error = load_with(&format!("{BASE}{MAIN}\n{text}"), &[]).err();
        let said = error.unwrap_or_else(|| panic!("{text} must be refused")).to_string();
        assert!(said.starts_with(refusal), "{text}: {said}");
    }
}
