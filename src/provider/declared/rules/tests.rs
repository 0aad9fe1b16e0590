use std::time::Duration;

use super::*;
use crate::provider::reply::tests::reply;

fn rules(lists: &[(&'static str, Meaning, &[&str])]) -> Rules {
    let mut rules = Vec::new();
    for (_, meaning, texts) in lists {
        rules.extend(texts.iter().map(|text| (Condition::parse(text).unwrap(), *meaning)));
    }
    Rules(rules)
}

fn slack_like() -> Rules {
    rules(&[
        ("revoked", Meaning::Revoked, &["200 ok=true", "204"]),
        ("already_invalid", Meaning::AlreadyInvalid, &["200 error=token_revoked", "404"]),
        ("rejected", Meaning::Rejected, &["4xx"]),
        ("misconfigured", Meaning::Misconfigured, &["4xx error.code=7"]),
        ("retry", Meaning::Retry, &["error=ratelimited", "400"]),
    ])
}

#[test]
fn the_rule_that_says_most_decides() {
    let rules = slack_like();
    let rows = [
        (200, r#"{"ok":true}"#, Verdict::Done(Proof::Accepted)),
        (204, "", Verdict::Done(Proof::Accepted)),
        (200, r#"{"ok":false,"error":"token_revoked"}"#, Verdict::Done(Proof::AlreadyInvalid)),
        // Both fit and say as much: the more careful one.
        (200, r#"{"ok":true,"error":"ratelimited"}"#, Verdict::Done(Proof::Accepted)),
        (200, r#"{"ok":true,"error":"token_revoked"}"#, Verdict::Done(Proof::AlreadyInvalid)),
        (404, "", Verdict::Done(Proof::AlreadyInvalid)),
        (400, "", Verdict::Transient),
        (409, "", Verdict::Refused),
        (409, r#"{"error":{"code":7}}"#, Verdict::Doubted),
        (429, r#"{"error":"ratelimited"}"#, Verdict::Transient),
    ];
    for (status, body, verdict) in rows {
        assert_eq!(rules.judge(&reply(status, body)).verdict, verdict, "{status} {body}");
    }
}

#[test]
fn what_no_rule_names_is_no_success() {
    let rules = rules(&[("revoked", Meaning::Revoked, &["200 ok=true"])]);
    let rows = [
        (200, "", Verdict::Transient),
        (200, r#"{"ok":false}"#, Verdict::Transient),
        (200, r#"{"ok":"tru"}"#, Verdict::Transient),
        (202, r#"{"ok":true}"#, Verdict::Transient),
        (400, r#"{"ok":true}"#, Verdict::Transient),
        (200, r#"{"ok":true"#, Verdict::Transient),
        (401, "", Verdict::Doubted),
        (403, "", Verdict::Doubted),
        (404, "", Verdict::Doubted),
        (302, "", Verdict::Misconfigured),
        (418, "", Verdict::Transient),
        (503, r#"{"ok":true}"#, Verdict::Transient),
    ];
    for (status, body, verdict) in rows {
        assert_eq!(rules.judge(&reply(status, body)).verdict, verdict, "{status} {body}");
    }
}

#[test]
fn a_page_of_html_says_nothing_and_a_body_that_says_no_is_no_yes() {
    let rules = rules(&[
        ("revoked", Meaning::Revoked, &["2xx"]),
        ("already_invalid", Meaning::AlreadyInvalid, &["404"]),
    ]);
    let rows = [
        (200, "<html>sign in</html>", Verdict::Transient),
        (404, "<html>no such page</html>", Verdict::Doubted),
        (404, r#"{"message":"gone"}"#, Verdict::Done(Proof::AlreadyInvalid)),
        (200, r#"{"success":false}"#, Verdict::Transient),
        (200, r#"{"error":"x"}"#, Verdict::Transient),
        (200, r#"{"id":1}"#, Verdict::Done(Proof::Accepted)),
    ];
    for (status, body, verdict) in rows {
        assert_eq!(rules.judge(&reply(status, body)).verdict, verdict, "{status} {body}");
    }
}

#[test]
fn throttling_by_403_says_how_long() {
    for status in [401, 403] {
        let limited = Reply { retry_after: Some(Duration::from_secs(7)), ..reply(status, "") };
        let answer = slack_like_without_4xx().judge(&limited);
        assert_eq!((answer.verdict, answer.retry_after), (Verdict::Transient, Some(Duration::from_secs(7))));
    }
}

fn slack_like_without_4xx() -> Rules {
    rules(&[("revoked", Meaning::Revoked, &["204"])])
}

#[test]
fn members_are_found_by_their_path() {
    let value = serde_json::json!({ "a": { "b": [ { "c": 7 } ] }, "t": true, "n": null, "s": "x" });
    for rule in ["a.b.0.c=7", "t=true", "n=null", "s=x", "t=true s=x", "=", "x y"] {
        let found = Condition::parse(rule).map(|condition| condition.holds_in(Some(&value)));
        assert_eq!(found.ok(), if rule.starts_with(['=', 'x']) { None } else { Some(true) }, "{rule}");
    }
    for rule in ["a.b.1.c=7", "t=false", "z=null", "s=X", "a=", "t=true s=y"] {
        assert!(!Condition::parse(rule).unwrap().holds_in(Some(&value)), "{rule}");
    }
}

#[test]
fn a_rule_that_means_nothing_is_refused() {
    for text in ["", "  ", "20", "6xx", "99", "600", "ok", "200 ok", "200 =true", "1xx"] {
        assert!(Condition::parse(text).is_err(), "{text:?}");
    }
}
