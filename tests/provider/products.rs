//! The kinds of products whose wire contracts come from their vendors: each row of [`rows`] is called and
//! answered.

mod rows;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use revocation_worker::outcome::Verdict;
use serde_json::json;

use crate::keys::Keys;
use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{calls, provider, session, subject};
use crate::written;

use self::rows::{Row, access, of_sessions_and_users, of_tokens};

/// Grants bearers; `status` and `body` for the rest.
fn answering(status: u16, body: &'static str) -> impl Fn(&Request) -> Reply {
    move |request| match request.path.ends_with("/token") && request.method == "POST" {
        true => Reply::json(200, r#"{"access_token":"granted","expires_in":3600}"#),
        false => Reply::status(status).body(body),
    }
}

/// The settings of a row, with the keys in place.
fn written_out(row: &Row, base: &str, key: &str, rsa: &str) -> String {
    let account = json!({
        "client_email": "a@p.iam.gserviceaccount.com", "private_key": rsa, "private_key_id": "k",
        "token_uri": format!("{base}/token"), "project_id": "p",
    });
    let lines = row.lines.replace("{base}", base).replace("{key}", key);
    format!("kind = '{}'\n{}", row.kind, lines.replace("{account}", &account.to_string()))
}

#[tokio::test]
async fn every_call_is_made_as_its_vendor_has_it_and_its_answers_are_read() {
    let keys = Keys::new();
    let (key, rsa) = (keys.p256("key"), keys.rsa("rsa"));
    for row in of_tokens().into_iter().chain(of_sessions_and_users()) {
        for (place, (status, body, verdict)) in row.answers.into_iter().enumerate() {
            let idp = ScriptedIdp::start(answering(status, body)).await;
            let provider = provider(&written::provider(&written_out(&row, idp.url(), &key, &rsa)));
            let answer = provider.revoke(&row.target).await;
            let what = format!("{} {:?}: {status} {body}", row.kind, row.calls);
            assert_eq!(answer.verdict, verdict, "{what}: {:?}", answer.error);
            let made: Vec<_> = calls(&idp)
                .into_iter()
                .filter(|call| !call.ends_with("/token") || row.calls.contains(&call.as_str()))
                .collect();
            let expected = if place == 0 { row.calls } else { &row.calls[..made.len()] };
            assert_eq!(made, expected, "{what}");
            let error = answer.error.unwrap_or_default();
            assert!(!error.contains("s3") && !error.contains("tok+") && !error.contains("granted"), "{what}");
        }
    }
}

/// What gateways, sign-in pages and other calls of the same products answer: nothing has ended by it.
#[tokio::test]
async fn no_kind_takes_an_answer_for_a_yes_that_is_none() {
    const ODD: [(u16, &str); 18] = [
        (200, "<!doctype html><title>Sign in</title>"),
        (200, r#"{"error":"invalid_client","error_description":"x"}"#),
        (200, r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}"#),
        (200, r#"{"errors":[{"code":"rate_limit_exceeded","message":"slow down"}]}"#),
        (200, r#"{"ok":false,"error":"ratelimited"}"#),
        (200, r#"{"ok":"true"#),
        (200, r#"{"success":false,"message":"Too many requests"}"#),
        (200, r#"{"statusCode":503,"message":"Service Unavailable"}"#),
        (200, r#"{"__type":"TooManyRequestsException"}"#),
        (200, "false"),
        (201, "<html>"),
        (202, r#"{"status":"failed"}"#),
        (206, r#"{"result":"error"}"#),
        (302, ""),
        (429, r#"{"ok":true,"revoked":true}"#),
        (500, r#"{"success":true}"#),
        (503, "<html>maintenance</html>"),
        (451, "{}"),
    ];
    let keys = Keys::new();
    let (key, rsa) = (keys.p256("key"), keys.rsa("rsa"));
    for row in of_tokens().into_iter().chain(of_sessions_and_users()) {
        for (status, body) in ODD {
            let idp = ScriptedIdp::start(answering(status, body)).await;
            let answer = provider(&written::provider(&written_out(&row, idp.url(), &key, &rsa)));
            let answer = answer.revoke(&row.target).await;
            let what = format!("{} {:?}: {status} {body}", row.kind, row.calls);
            assert!(!matches!(answer.verdict, Verdict::Done(_)), "{what}: {:?}", answer.verdict);
            assert!(answer.error.is_some_and(|error| error.len() > 20), "{what}");
        }
    }
}

/// Whether the request for a bearer is a service account's that acts for `user`.
fn acts_for(request: &Request, user: &str) -> bool {
    let assertion = request.field("assertion").unwrap();
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let scope = "https://www.googleapis.com/auth/admin.directory.user.security";
    claims["sub"] == user && claims["scope"] == scope && claims["iss"] == "a@p.iam.gserviceaccount.com"
}

/// What docs/providers.md has a call for is what there is a call for.
#[tokio::test]
async fn the_page_of_providers_says_what_there_is_a_call_for() {
    let page = include_str!("../../docs/providers.md");
    let keys = Keys::new();
    let (key, rsa) = (keys.p256("key"), keys.rsa("rsa"));
    let mut calls = std::collections::BTreeMap::<&str, [bool; 3]>::new();
    for row in of_tokens().into_iter().chain(of_sessions_and_users()) {
        let lines = written_out(&row, "https://id.example.com", &key, &rsa);
        let provider = provider(&written::provider(&lines));
        let supported = [access(), session("s"), subject("u")].map(|target| provider.supports(&target));
        let known = calls.entry(row.kind).or_default();
        *known = [0, 1, 2].map(|place| known[place] || supported[place]);
    }
    assert!(calls.len() >= 14, "the kinds were found");
    for (kind, supported) in calls {
        let line = page.lines().find(|line| line.starts_with(&format!("| `{kind}`"))).expect("a row");
        let cells: Vec<bool> = line.split(" | ").skip(1).take(3).map(|cell| cell != "–").collect();
        assert_eq!(cells, supported, "{kind}");
    }
}

#[tokio::test]
async fn what_is_shown_is_what_each_product_asks_for() {
    let keys = Keys::new();
    let (key, rsa) = (keys.p256("key"), keys.rsa("rsa"));
    for row in of_tokens().into_iter().chain(of_sessions_and_users()) {
        let idp = ScriptedIdp::start(answering(200, r#"{"ok":true,"revoked":true}"#)).await;
        provider(&written::provider(&written_out(&row, idp.url(), &key, &rsa))).revoke(&row.target).await;
        let sent = idp.ledger();
        let last = sent.last().unwrap();
        let shown = last.header("authorization").unwrap_or_default();
        let field = |name: &str| last.field(name).unwrap_or_default();
        let fits = match (row.kind, row.calls[0]) {
            ("auth0", "POST /oauth/revoke") => {
                field("client_secret") == "s3" && field("token_type_hint").is_empty()
            }
            ("auth0" | "entra", _) => shown == "Bearer granted",
            ("google", _) if row.target.token().is_none() => {
                shown == "Bearer granted" && last.body.is_empty() && acts_for(&sent[0], "admin@example.com")
            }
            ("firebase", _) => shown == "Bearer granted" && last.body.contains("\"validSince\":"),
            ("google", _) => shown.is_empty() && last.body == "token=tok%2B%2F%3D1",
            ("github", _) => {
                shown == "Basic YTpzMw=="
                    && last.body == r#"{"access_token":"tok+/=1"}"#
                    && last.header("x-github-api-version") == Some("2022-11-28")
            }
            ("slack", _) => shown == "Bearer tok+/=1",
            ("apple", _) => field("client_secret").split('.').count() == 3 && field("client_id") == "a",
            ("cognito", "POST /") => {
                shown.starts_with("AWS4-HMAC-SHA256 Credential=i/")
                    && shown.contains("/eu-west-1/cognito-idp/aws4_request, ")
                    && shown.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target, ")
                    && last.header("content-type") == Some("application/x-amz-json-1.1")
                    && last.body == r#"{"UserPoolId":"p","Username":"u"}"#
            }
            ("cognito" | "zitadel" | "authentik", _) if row.target.token().is_some() => {
                shown.starts_with("Basic ")
            }
            ("fusionauth", _) => {
                let named = match (row.target.token(), &row.target.sub) {
                    (Some(_), _) => r#"{"token":"tok+/=1"}"#,
                    (None, Some(_)) => r#"{"userId":"u"}"#,
                    (None, None) => r#"{"applicationId":"c"}"#,
                };
                shown == "s3" && last.body == named
            }
            ("clerk" | "workos" | "zitadel", _) => shown == "Bearer s3",
            ("supabase", _) => shown == "Bearer tok+/=1" && last.header("apikey") == Some("s3"),
            _ => false,
        };
        assert!(fits, "{} {:?}", row.kind, row.calls);
    }
}
