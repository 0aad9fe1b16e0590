//! Who may order what, and what a refusal says to those who may not.

use serde_json::{Value, json};

use super::bad_input_tests::{MARKER, refused_bytes, with};
use super::tests::{NOW, logout, mass, rules};
use super::*;
use crate::authorization::Rights;

#[test]
fn mass_revocation_says_how_to_be_allowed() {
    let body = mass(json!({ "sub": "u" })).to_string();
    let detail = |broker_user: Option<&str>| {
        let refusal = refused_bytes(
            body.as_bytes(),
            &Origin { broker_user: broker_user.map(str::to_owned), ..Origin::default() },
        );
        assert_eq!((refusal.code, refusal.event_id.as_deref()), (RefusalCode::NotAllowed, Some("e-1")));
        refusal.detail
    };
    let unlisted = detail(Some("shop"));
    assert!(
        unlisted.contains("broker user \"shop\"") && unlisted.contains("authorization.mass_revocation_users"),
        "{unlisted}"
    );
    let unnamed = detail(None);
    assert!(
        unnamed.contains("user_id property") && unnamed.contains("authorization.mass_revocation_users"),
        "{unnamed}"
    );
}

#[test]
fn what_lies_outside_a_users_rights_is_named_with_what_the_user_may() {
    let rights = Rights {
        sources: Some(vec!["/apps/*".to_owned()]),
        kinds: Some(vec![Kind::Token, Kind::Session]),
        providers: Some(vec!["main".to_owned()]),
        wide_targets_per_minute: None,
    };
    let authority = Authority { users: [("shop".to_owned(), rights)].into(), ..Authority::default() };
    let rules = Rules { authority, ..rules() };
    let refused = |event: &Value, user: Option<&str>| {
        let origin = Origin { broker_user: user.map(str::to_owned), ..Origin::default() };
        parse(event.to_string().as_bytes(), &origin, &rules, NOW)
            .err()
            .map(|refusal| (refusal.code, refusal.detail))
    };
    let (token, twin) =
        (json!({ "token": MARKER }), json!({ "sid": "s", "iss": "https://other.example.com" }));
    let with_targets = |targets: Value| logout(json!({ "provider": "main", "targets": targets }));
    let rows = [
        (with_targets(json!([token, { "sid": "s" }])), None),
        (
            with_targets(json!([token, token, token, { "sub": "u" }])),
            Some("data.targets[3] is of kind subject"),
        ),
        (
            with_targets(json!([{ "sub": "u", "iss": "https://id.example.com" }, token])),
            Some("data.targets[0] is of kind subject"),
        ),
        (with("/source", Some(json!("/other"))), Some("source \"/other\" is refused")),
        (with("/data/provider", Some(json!("other"))), Some("data.targets[0] is of provider \"other\"")),
        (
            logout(json!({ "targets": [{ "sid": "s", "iss": "https://id.example.com" }, twin] })),
            Some("data.targets[1] is of provider \"other\""),
        ),
    ];
    for (event, wanted) in rows {
        for user in [Some("shop"), None] {
            let (code, detail) = refused(&event, user).unzip();
            assert_eq!(code, wanted.map(|_| RefusalCode::NotAllowed), "{event}");
            let detail = detail.unwrap_or_default();
            assert!(detail.starts_with(wanted.unwrap_or_default()) && !detail.contains(MARKER), "{detail}");
            assert!(wanted.is_none() || detail.contains("\"shop\" may"), "{detail}");
        }
        assert_eq!(refused(&event, Some("portal")), None, "{event}");
    }
}
