use super::super::reply::tests::reply;
use super::*;

const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);
const ALREADY_INVALID: Verdict = Verdict::Done(Proof::AlreadyInvalid);

#[test]
fn every_row_of_the_table() {
    let rows = [
        (200, "", ACCEPTED),
        (200, "{}", ACCEPTED),
        (200, "revoked", ACCEPTED),
        (200, r#"{"status":"ok"}"#, ACCEPTED),
        (200, "<html>anything</html>", Verdict::Transient),
        (200, r#"{"error":{"code":401}}"#, Verdict::Transient),
        (200, r#"{"errors":[{"message":"no"}]}"#, Verdict::Transient),
        (200, r#"{"success":false}"#, Verdict::Transient),
        (200, r#"{"status":"error"}"#, Verdict::Transient),
        (200, r#"{"error":"blocked_by_policy"}"#, Verdict::Transient),
        (200, r#"{"error":"invalid_token","error":null}"#, Verdict::Transient),
        (200, r#"{"error":"invalid_request"}"#, Verdict::Refused),
        (200, r#"{"error":"invalid_token""#, Verdict::Transient),
        (400, r#"{"error":"invalid_token""#, Verdict::Refused),
        (200, "error=invalid_token", ALREADY_INVALID),
        (400, "error=unsupported_token_type&error_description=x", Verdict::Unsupported),
        (400, r#"[{"error":"unsupported_token_type"}]"#, Verdict::Unsupported),
        (400, r#"[{"errorCode":"INVALID_SESSION_ID","message":"x"}]"#, Verdict::Refused),
        (400, r#"{"error":"invalid_token","load":NaN}"#, ALREADY_INVALID),
        (400, "<OAuth><error>unsupported_token_type</error></OAuth>", Verdict::Unsupported),
        (400, "error=invalid_token&error=server_error", Verdict::Refused),
        (204, "", ACCEPTED),
        (200, r#"{"error":"invalid_token"}"#, ALREADY_INVALID),
        (400, r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#, ALREADY_INVALID),
        (200, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
        (400, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
        (401, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
        (400, r#"{"error":"invalid_request"}"#, Verdict::Refused),
        (400, r#"{"error":"invalid_grant"}"#, Verdict::Refused),
        (400, "", Verdict::Refused),
        (413, "", Verdict::Refused),
        (422, r#"{"message":"no"}"#, Verdict::Refused),
        (
            401,
            r#"{"error":"invalid_client","error_description":"token was not issued for this client"}"#,
            Verdict::Refused,
        ),
        (401, r#"{"error":"invalid_client"}"#, Verdict::Doubted),
        (401, r#"{"error":"invalid_token"}"#, Verdict::Doubted),
        (401, "", Verdict::Doubted),
        (403, r#"{"error":"unauthorized_client"}"#, Verdict::Doubted),
        (403, "<html>blocked</html>", Verdict::Doubted),
        (400, r#"{"error":"invalid_client"}"#, Verdict::Doubted),
        (400, r#"{"error":"unauthorized_client"}"#, Verdict::Doubted),
        (400, r#"{"error":"temporarily_unavailable"}"#, Verdict::Transient),
        (200, r#"{"error":"server_error"}"#, Verdict::Transient),
    ];
    for (status, body, verdict) in rows {
        assert_eq!(classify(&reply(status, body)).verdict, verdict, "{status} {body}");
    }
}

#[test]
fn statuses_that_decide_alone() {
    let rows = [
        (Verdict::Transient, [408, 425, 429, 500, 501, 502, 503, 504, 599].as_slice()),
        (Verdict::Misconfigured, &[301, 302, 303, 304, 307, 308]),
        (Verdict::Doubted, &[404, 405, 407, 410]),
    ];
    for (verdict, statuses) in rows {
        for status in statuses {
            // The body must not be able to change it.
            let answer = classify(&reply(*status, r#"{"error":"invalid_token"}"#));
            assert_eq!((answer.verdict, answer.http_status), (verdict, Some(*status)));
        }
    }
}

#[test]
fn success_carries_no_error_and_failure_does() {
    assert_eq!(classify(&reply(200, "")).error, None);
    assert!(classify(&reply(400, "")).error.is_some());
}
