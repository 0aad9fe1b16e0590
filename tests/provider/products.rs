//! The kinds of products whose wire contracts come from their vendors: a row a call, with its happy path, what is
//! dead already, wrong credentials, throttling and one odd answer.

use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::target::{Target, TokenTypeHint};
use serde_json::json;

use crate::keys::Keys;
use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{TOKEN, calls, provider, session, subject, token};
use crate::written;

const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);
const DEAD: Verdict = Verdict::Done(Proof::AlreadyInvalid);
const CLIENT: &str = "base_url = '{base}'\nclient_id = 'a'\nclient_secret = 's3'\n";
const CODE_401: (u16, &str, Verdict) = (401, r#"{"error":"invalid_client"}"#, Verdict::Doubted);
const FORBIDDEN: (u16, &str, Verdict) = (403, "", Verdict::Doubted);
const THROTTLED: (u16, &str, Verdict) = (429, "", Verdict::Transient);
const PAGE: (u16, &str, Verdict) = (200, "<html>sign in</html>", Verdict::Transient);

/// One call of a kind.
struct Row {
    kind: &'static str,
    /// Its settings; `{base}` is the scripted provider, `{key}` a private key, `{account}` a service account.
    lines: String,
    target: Target,
    calls: &'static [&'static str],
    /// Done, dead already, wrong credentials, throttled, odd.
    answers: [(u16, &'static str, Verdict); 5],
}

fn refresh() -> Target {
    token(TOKEN, Some(TokenTypeHint::RefreshToken))
}

fn access() -> Target {
    token(TOKEN, Some(TokenTypeHint::AccessToken))
}

fn row(
    kind: &'static str,
    lines: &str,
    target: Target,
    calls: &'static [&'static str],
    answers: [(u16, &'static str, Verdict); 5],
) -> Row {
    Row { kind, lines: lines.to_owned(), target, calls, answers }
}

fn of_tokens() -> Vec<Row> {
    const REFUSED: (u16, &str, Verdict) = (400, r#"{"error":"invalid_request"}"#, Verdict::Refused);
    const UNSUPPORTED: (u16, &str, Verdict) =
        (400, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported);
    let ok = (200, "", ACCEPTED);
    let github = [
        (204, "", ACCEPTED),
        (404, "{}", DEAD),
        (401, "", Verdict::Doubted),
        THROTTLED,
        (422, "{}", Verdict::Transient),
    ];
    let apple = "base_url = '{base}'\nclient_id = 'a'\nteam_id = 't'\nclient_key_id = 'k'\n\
        client_private_key = '''{key}'''\n";
    let slack = [
        (200, r#"{"ok":true,"revoked":true}"#, ACCEPTED),
        (200, r#"{"ok":false,"error":"token_revoked"}"#, DEAD),
        (200, r#"{"ok":false,"error":"access_denied"}"#, Verdict::Refused),
        (200, r#"{"ok":false,"error":"ratelimited"}"#, Verdict::Transient),
        (200, r#"{"ok":true,"revoked":false}"#, Verdict::Transient),
    ];
    let clerk = "base_url = '{base}'\napi_key = 's3'\noauth_application_id = 'o'\n";
    vec![
        row("auth0", CLIENT, refresh(), &["POST /oauth/revoke"], [ok, ok, CODE_401, THROTTLED, UNSUPPORTED]),
        row(
            "google",
            "base_url = '{base}'\n",
            access(),
            &["POST /revoke"],
            [
                ok,
                (400, r#"{"error":"invalid_token"}"#, DEAD),
                REFUSED,
                THROTTLED,
                (503, "", Verdict::Transient),
            ],
        ),
        row("github", CLIENT, access(), &["DELETE /applications/a/token"], github),
        row(
            "github",
            &format!("{CLIENT}github_revokes = 'grant'\n"),
            access(),
            &["DELETE /applications/a/grant"],
            github,
        ),
        row("slack", "base_url = '{base}'\n", access(), &["POST /api/auth.revoke"], slack),
        row(
            "apple",
            apple,
            refresh(),
            &["POST /auth/revoke"],
            [ok, ok, (400, r#"{"error":"invalid_client"}"#, Verdict::Doubted), THROTTLED, REFUSED],
        ),
        row(
            "cognito",
            CLIENT,
            refresh(),
            &["POST /oauth2/revoke"],
            [ok, ok, CODE_401, THROTTLED, UNSUPPORTED],
        ),
        row(
            "fusionauth",
            "base_url = '{base}'\napi_key = 's3'\n",
            refresh(),
            &["DELETE /api/jwt/refresh"],
            [ok, (404, "", Verdict::Refused), (401, "", Verdict::Doubted), THROTTLED, PAGE],
        ),
        row(
            "clerk",
            clerk,
            refresh(),
            &["POST /v1/oauth_applications/o/revoke_token"],
            [
                (204, "", ACCEPTED),
                (404, "{}", Verdict::Refused),
                (401, "", Verdict::Doubted),
                THROTTLED,
                (422, "{}", Verdict::Refused),
            ],
        ),
        row(
            "zitadel",
            CLIENT,
            refresh(),
            &["POST /oauth/v2/revoke"],
            [
                ok,
                ok,
                CODE_401,
                (500, r#"{"error":"server_error"}"#, Verdict::Transient),
                (
                    401,
                    r#"{"error":"invalid_client","error_description":"token was not issued for this client"}"#,
                    Verdict::Refused,
                ),
            ],
        ),
        row(
            "authentik",
            CLIENT,
            refresh(),
            &["POST /application/o/revoke/"],
            [(200, "{}", ACCEPTED), (200, "{}", ACCEPTED), CODE_401, (503, "", Verdict::Transient), PAGE],
        ),
        row(
            "supabase",
            "base_url = '{base}'\napi_key = 's3'\n",
            access(),
            &["POST /auth/v1/logout?scope=local"],
            [
                (204, "", ACCEPTED),
                (401, "", Verdict::Doubted),
                FORBIDDEN,
                THROTTLED,
                (400, "{}", Verdict::Refused),
            ],
        ),
    ]
}

fn of_sessions_and_users() -> Vec<Row> {
    let auth0 = "base_url = '{base}'\nmanagement_client_id = 'm'\nmanagement_client_secret = 's3'\n";
    let cognito = "region = 'eu-west-1'\nuser_pool_id = 'p'\naccess_key_id = 'i'\naccess_key_secret = 's3'\n\
        api_url = '{base}'\n";
    let entra = "tenant_id = 't'\nclient_id = 'a'\nclient_secret = 's3'\nlogin_url = '{base}'\n\
        graph_url = '{base}'\n";
    let firebase = "base_url = '{base}'\nservice_account = '''{account}'''\n";
    let gone = (404, r#"{"error":{"code":"ResourceNotFound"}}"#, Verdict::Refused);
    vec![
        row(
            "auth0",
            auth0,
            session("s/1"),
            &["POST /api/v2/sessions/s%2F1/revoke"],
            [(202, "", ACCEPTED), (404, "{}", DEAD), FORBIDDEN, THROTTLED, PAGE],
        ),
        row(
            "auth0",
            auth0,
            subject("auth0|u"),
            &["DELETE /api/v2/users/auth0%7Cu/sessions", "DELETE /api/v2/users/auth0%7Cu/refresh-tokens"],
            [(202, "", ACCEPTED), gone, FORBIDDEN, THROTTLED, PAGE],
        ),
        row(
            "cognito",
            cognito,
            subject("u"),
            &["POST /"],
            [
                (200, "{}", ACCEPTED),
                (400, r#"{"__type":"UserNotFoundException"}"#, Verdict::Refused),
                (400, r#"{"__type":"UnrecognizedClientException"}"#, Verdict::Doubted),
                (400, r#"{"__type":"TooManyRequestsException"}"#, Verdict::Transient),
                (500, r#"{"__type":"InternalErrorException"}"#, Verdict::Transient),
            ],
        ),
        row(
            "entra",
            entra,
            subject("u@example.com"),
            &["POST /v1.0/users/u%40example.com/revokeSignInSessions"],
            [
                (200, r#"{"value":true}"#, ACCEPTED),
                gone,
                FORBIDDEN,
                THROTTLED,
                (200, r#"{"value":false}"#, Verdict::Transient),
            ],
        ),
        row(
            "firebase",
            firebase,
            subject("u"),
            &["POST /v1/projects/p/accounts:update"],
            [
                (200, r#"{"localId":"u"}"#, ACCEPTED),
                (400, r#"{"error":{"message":"USER_NOT_FOUND"}}"#, Verdict::Refused),
                FORBIDDEN,
                THROTTLED,
                PAGE,
            ],
        ),
        row(
            "fusionauth",
            "base_url = '{base}'\napi_key = 's3'\n",
            subject("u"),
            &["DELETE /api/jwt/refresh"],
            [(200, "", ACCEPTED), (404, "", Verdict::Refused), (401, "", Verdict::Doubted), THROTTLED, PAGE],
        ),
        row(
            "clerk",
            "base_url = '{base}'\napi_key = 's3'\n",
            session("s"),
            &["POST /v1/sessions/s/revoke"],
            [
                (200, r#"{"id":"s","status":"revoked"}"#, ACCEPTED),
                (404, "{}", DEAD),
                (401, "", Verdict::Doubted),
                THROTTLED,
                PAGE,
            ],
        ),
        row(
            "workos",
            "base_url = '{base}'\napi_key = 's3'\n",
            session("s"),
            &["POST /user_management/sessions/revoke"],
            [
                (200, "", ACCEPTED),
                (400, "{}", Verdict::Transient),
                (401, "", Verdict::Doubted),
                THROTTLED,
                PAGE,
            ],
        ),
        row(
            "zitadel",
            "base_url = '{base}'\napi_token = 's3'\n",
            session("s"),
            &["DELETE /v2/sessions/s"],
            [
                (200, "{}", ACCEPTED),
                (404, r#"{"code":5}"#, DEAD),
                (401, "", Verdict::Doubted),
                THROTTLED,
                PAGE,
            ],
        ),
    ]
}

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
            ("auth0", "POST /oauth/revoke") => field("client_secret") == "s3" && field("token_type_hint").is_empty(),
            ("auth0" | "entra", _) => shown == "Bearer granted",
            ("firebase", _) => shown == "Bearer granted" && last.body.contains("\"validSince\":"),
            ("google", _) => shown.is_empty() && last.body == "token=tok%2B%2F%3D1",
            ("github", _) => {
                shown == "Basic YTpzMw==" && last.body == r#"{"access_token":"tok+/=1"}"#
                    && last.header("x-github-api-version") == Some("2022-11-28")
            }
            ("slack", _) => shown == "Bearer tok+/=1",
            ("apple", _) => field("client_secret").split('.').count() == 3 && field("client_id") == "a",
            ("cognito", "POST /") => {
                shown.starts_with("AWS4-HMAC-SHA256 Credential=i/")
                    && shown.contains("/eu-west-1/cognito-idp/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, ")
                    && last.header("content-type") == Some("application/x-amz-json-1.1")
                    && last.body == r#"{"UserPoolId":"p","Username":"u"}"#
            }
            ("cognito" | "zitadel" | "authentik", _) if row.target.token().is_some() => shown.starts_with("Basic "),
            ("fusionauth", _) => shown == "s3",
            ("clerk" | "workos" | "zitadel", _) => shown == "Bearer s3",
            ("supabase", _) => shown == "Bearer tok+/=1" && last.header("apikey") == Some("s3"),
            _ => false,
        };
        assert!(fits, "{} {:?}", row.kind, row.calls);
    }
}
