use super::super::reply::tests::reply;
use super::*;

const ACTIVE: (u16, &str) = (200, r#"{"active":true,"sub":"user-1"}"#);
const INACTIVE: (u16, &str) = (200, r#"{"active":false}"#);

fn look((status, body): (u16, &str)) -> Look {
    classify(&reply(status, body), "shop")
}

fn verdict(before: (u16, &str), after: (u16, &str)) -> Verdict {
    conclude(reply(200, "").done(Proof::Accepted), look(before), look(after)).verdict
}

/// What proves nothing and stays so.
const NOTHING: [(u16, &str); 5] = [
    (400, r#"{"error":"invalid_request"}"#),
    (403, r#"{"active":false}"#),
    (404, ""),
    (405, "<html>"),
    (410, ""),
];
/// What cannot be read now.
const FAILED: [(u16, &str); 13] = [
    (200, r#"{"active":false,"error":"server_error"}"#),
    (200, r#"{"error":{"code":500},"active":false}"#),
    (200, ""),
    (200, "<html>"),
    (200, r#"{"active":"false"}"#),
    (200, r#"{"active":false"#),
    (200, r#"{"active":true,"active":false}"#),
    (200, "active=false"),
    (302, ""),
    (408, ""),
    (429, ""),
    (500, r#"{"active":false}"#),
    (503, ""),
];
/// What says that we may not ask.
const DENIED: [(u16, &str); 4] = [
    (401, ""),
    (401, r#"{"error":"invalid_client"}"#),
    (400, r#"{"error":"invalid_client"}"#),
    (401, r#"{"active":false}"#),
];

#[test]
fn verified_needs_two_looks() {
    assert_eq!(verdict(ACTIVE, INACTIVE), Verdict::Done(Proof::Verified));
    assert_eq!(
        verdict((200, r#"{"active":false,"client_id":"shop"}"#), INACTIVE),
        Verdict::Done(Proof::Verified)
    );
    assert_eq!(verdict(INACTIVE, INACTIVE), Verdict::Done(Proof::Accepted));
    assert_eq!(
        verdict((200, r#"{"active":false,"client_id":"other"}"#), INACTIVE),
        Verdict::Done(Proof::Accepted)
    );
    for before in NOTHING.into_iter().chain(FAILED) {
        assert_eq!(verdict(before, INACTIVE), Verdict::Done(Proof::Accepted), "{before:?}");
    }
}

#[test]
fn what_is_active_afterwards_is_contradicted_whatever_was_before() {
    for before in NOTHING.into_iter().chain(FAILED).chain(DENIED).chain([ACTIVE, INACTIVE]) {
        assert_eq!(verdict(before, ACTIVE), Verdict::Contradicted, "{before:?}");
    }
}

#[test]
fn a_refused_look_leaves_the_yes_and_a_failed_one_is_tried_again() {
    for before in [ACTIVE, INACTIVE].into_iter().chain(NOTHING).chain(FAILED) {
        for after in NOTHING {
            assert_eq!(verdict(before, after), Verdict::Done(Proof::Accepted), "{before:?} {after:?}");
        }
        for after in FAILED {
            assert_eq!(verdict(before, after), Verdict::Transient, "{before:?} {after:?}");
        }
    }
}

#[test]
fn wrong_credentials_at_either_look_are_for_the_probe_to_judge() {
    for denied in DENIED {
        for other in [ACTIVE, INACTIVE].into_iter().chain(NOTHING).chain(FAILED) {
            assert_eq!(verdict(other, denied), Verdict::Doubted, "{other:?} {denied:?}");
        }
        for after in [INACTIVE].into_iter().chain(NOTHING).chain(FAILED) {
            assert_eq!(verdict(denied, after), Verdict::Doubted, "{denied:?} {after:?}");
        }
    }
}
