use super::super::reply::tests::reply;
use super::*;

const NO_SESSION: &str = r#"{"error":"Sesssion not found"}"#;
const NO_USER: &str = r#"{"error":"User not found"}"#;
const NO_REALM: &str = r#"{"error":"Realm not found."}"#;
const NO_CONSENT: &str = r#"{"error":"Consent nor offline token not found"}"#;

fn session(reply: &Reply<'_>) -> Result<Answer, Answer> {
    classify(Ask::Session, reply)
}

fn user(reply: &Reply<'_>) -> Result<Answer, Answer> {
    classify(Ask::User, reply)
}

fn consent(reply: &Reply<'_>) -> Result<Answer, Answer> {
    classify(Ask::Consent, reply)
}

fn verdict<T>(result: Result<T, Answer>) -> Verdict {
    result.err().expect("a failure").verdict
}

#[test]
fn what_every_call_has_in_common() {
    let rows = [
        (400, "", Verdict::Refused),
        (401, r#"{"error":"HTTP 401 Unauthorized"}"#, Verdict::Doubted),
        (403, r#"{"error":"HTTP 403 Forbidden"}"#, Verdict::Doubted),
        (404, NO_REALM, Verdict::Doubted),
        (404, "<html>Not Found</html>", Verdict::Doubted),
        (404, "", Verdict::Doubted),
        (405, "", Verdict::Doubted),
        (302, "", Verdict::Misconfigured),
        (429, "", Verdict::Transient),
        (500, NO_SESSION, Verdict::Transient),
        (503, NO_USER, Verdict::Transient),
    ];
    for (status, body, expected) in rows {
        let reply = reply(status, body);
        let verdicts = [
            verdict(session(&reply)),
            verdict(user(&reply)),
            verdict(offline_clients(&reply)),
            verdict(consent(&reply)),
        ];
        assert_eq!(verdicts, [expected; 4], "{status} {body}");
    }
}

#[test]
fn a_yes_that_says_no_is_none() {
    for body in [
        "<html>Sign in</html>",
        r#"{"error":"x"}"#,
        r#"[{"errorCode":"x"}]"#,
        r#"{"success":false}"#,
        "error=x",
    ] {
        let reply = reply(200, body);
        let verdicts = [
            verdict(session(&reply)),
            verdict(user(&reply)),
            verdict(offline_clients(&reply)),
            verdict(consent(&reply)),
        ];
        assert_eq!(verdicts, [Verdict::Transient; 4], "{body}");
    }
}

#[test]
fn only_keycloaks_own_word_makes_a_session_dead() {
    assert_eq!(session(&reply(204, "")).unwrap().verdict, Verdict::Done(Proof::Accepted));
    for body in [NO_SESSION, r#"{"error":"Session not found"}"#] {
        assert_eq!(session(&reply(404, body)).unwrap().verdict, Verdict::Done(Proof::AlreadyInvalid));
    }
    assert_eq!(verdict(session(&reply(404, NO_USER))), Verdict::Refused);
    assert_eq!(
        verdict(session(&reply(404, r#"{"error":"Session not found"#))),
        Verdict::Doubted,
        "it is broken off"
    );
}

#[test]
fn an_unknown_user_is_for_a_person() {
    assert_eq!(user(&reply(204, "")).unwrap().verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(
        [verdict(user(&reply(404, NO_USER))), verdict(offline_clients(&reply(404, NO_USER)))],
        [Verdict::Refused; 2]
    );
}

#[test]
fn clients_with_offline_tokens_are_found() {
    let body = r#"[
        {"clientId":"web","grantedClientScopes":["email"],"additionalGrants":[]},
        {"clientId":"app 1","grantedClientScopes":[],"createdDate":null,
         "additionalGrants":[{"client":"5f2c","key":"Offline Token"}]},
        {"clientId":"old"}
    ]"#;
    assert_eq!(offline_clients(&reply(200, body)).unwrap(), ["app 1"]);
    assert_eq!(offline_clients(&reply(200, "[]")).unwrap(), [""; 0]);
    for body in ["", "<html>", "{}", r#"[{"additionalGrants":[{"key":"Offline Token"}]}]"#] {
        assert_eq!(verdict(offline_clients(&reply(200, body))), Verdict::Transient, "{body}");
    }
}

#[test]
fn offline_tokens_that_are_gone_are_as_good_as_ended() {
    assert!(consent(&reply(204, "")).is_ok());
    assert!(consent(&reply(404, NO_CONSENT)).is_ok());
    assert!(consent(&reply(404, r#"{"error":"Client not found"}"#)).is_ok());
}
