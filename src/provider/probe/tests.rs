use super::super::reply::tests::reply;
use super::super::rfc7009::classify;
use super::*;

/// Of a server whose answer to an unknown token is not known.
fn by_code(answer: Answer, advice: &str) -> Probed {
    let plainly = blames_client(&answer);
    read(answer, advice, plainly, is_accepted)
}

#[test]
fn what_servers_answer_to_a_random_string() {
    let rows = [
        ("most", 200, "", "accepted"),
        ("GitLab", 200, "{}", "accepted"),
        ("Keycloak", 200, r#"{"error":"invalid_token"}"#, "accepted"),
        (
            "Google",
            400,
            r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#,
            "accepted",
        ),
        ("Cognito", 400, r#"{"error":"unsupported_token_type"}"#, "accepted"),
        ("a wrong secret", 401, r#"{"error":"invalid_client"}"#, "refused plainly"),
        ("GitLab, a wrong secret", 403, r#"{"error":"unauthorized_client"}"#, "refused plainly"),
        ("a wrong client", 400, r#"{"error":"unauthorized_client"}"#, "refused plainly"),
        ("rauthy", 401, r#"{"error":"Unauthorized","message":"Invalid token"}"#, "refused"),
        ("a firewall", 403, "<html>blocked</html>", "refused"),
        ("a moved endpoint", 404, "", "refused"),
        ("a moved endpoint", 405, "", "refused"),
        ("a moved endpoint", 410, "", "refused"),
        ("a proxy", 407, "", "refused"),
        ("a redirect", 302, "", "refused plainly"),
        ("a strict one", 400, r#"{"error":"invalid_request"}"#, "nothing"),
        ("a busy one", 429, "", "unanswered"),
        ("an ill one", 503, "", "unanswered"),
    ];
    for (server, status, body, meaning) in rows {
        let found = match by_code(classify(&reply(status, body)), CLIENT) {
            Probed::Accepted => "accepted",
            Probed::Refused { plainly: true, .. } => "refused plainly",
            Probed::Refused { plainly: false, .. } => "refused",
            Probed::Unanswered(_) => "unanswered",
            Probed::Nothing => "nothing",
        };
        assert_eq!(found, meaning, "{server}: {status} {body}");
    }
}

#[test]
fn a_refusal_says_what_to_check() {
    let Probed::Refused { answer, .. } =
        by_code(classify(&reply(401, r#"{"error":"invalid_client"}"#)), CLIENT)
    else {
        panic!("a refusal");
    };
    let sentence = "POST https://id.example.com/revoke answered 401 invalid_client; check the endpoint, \
        client_id, client_secret and client_auth";
    assert_eq!((answer.verdict, answer.error.as_deref()), (Verdict::Misconfigured, Some(sentence)));
}

#[test]
fn unknown_tokens_and_ids_differ() {
    let (one, other) = (unknown_token(), unknown_name());
    assert!(one.token.expose() != other && other.starts_with("probe-") && other.len() == 38, "{other}");
}
