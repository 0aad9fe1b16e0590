//! A row a call: its happy path, what is dead already, wrong credentials, throttling and one odd answer.

use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::target::{Target, TokenTypeHint};

use crate::settings::{TOKEN, client_of, session, subject, token};

const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);
const DEAD: Verdict = Verdict::Done(Proof::AlreadyInvalid);
const CLIENT: &str = "base_url = '{base}'\nclient_id = 'a'\nclient_secret = 's3'\n";
const CODE_401: (u16, &str, Verdict) = (401, r#"{"error":"invalid_client"}"#, Verdict::Doubted);
const FORBIDDEN: (u16, &str, Verdict) = (403, "", Verdict::Doubted);
const THROTTLED: (u16, &str, Verdict) = (429, "", Verdict::Transient);
const PAGE: (u16, &str, Verdict) = (200, "<html>sign in</html>", Verdict::Transient);

/// One call of a kind.
pub(super) struct Row {
    pub(super) kind: &'static str,
    /// Its settings; `{base}` is the scripted provider, `{key}` a private key, `{account}` a service account.
    pub(super) lines: String,
    pub(super) target: Target,
    pub(super) calls: &'static [&'static str],
    /// Done, dead already, wrong credentials, throttled, odd.
    pub(super) answers: [(u16, &'static str, Verdict); 5],
}

fn refresh() -> Target {
    token(TOKEN, Some(TokenTypeHint::RefreshToken))
}

pub(super) fn access() -> Target {
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

pub(super) fn of_tokens() -> Vec<Row> {
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
                    r#"{"error":"invalid_client","error_description":"not issued for this client"}"#,
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

pub(super) fn of_sessions_and_users() -> Vec<Row> {
    let auth0 = "base_url = '{base}'\nmanagement_client_id = 'm'\nmanagement_client_secret = 's3'\n";
    let cognito = "region = 'eu-west-1'\nuser_pool_id = 'p'\naccess_key_id = 'i'\naccess_key_secret = 's3'\n\
        api_url = '{base}'\n";
    let entra = "tenant_id = 't'\nclient_id = 'a'\nclient_secret = 's3'\nlogin_url = '{base}'\n\
        graph_url = '{base}'\n";
    let firebase = "base_url = '{base}'\nservice_account = '''{account}'''\n";
    let workspace = "directory_url = '{base}'\nservice_account = '''{account}'''\n\
        workspace_administrator = 'admin@example.com'\n";
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
            "google",
            workspace,
            subject("1/2"),
            &["POST /admin/directory/v1/users/1%2F2/signOut"],
            [
                (204, "", ACCEPTED),
                (404, r#"{"error":{"errors":[{"reason":"notFound"}]}}"#, Verdict::Refused),
                (403, r#"{"error":{"errors":[{"reason":"forbidden"}]}}"#, Verdict::Doubted),
                (403, r#"{"error":{"errors":[{"reason":"quotaExceeded"}]}}"#, Verdict::Transient),
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
            "fusionauth",
            "base_url = '{base}'\napi_key = 's3'\n",
            client_of("c"),
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
            "base_url = '{base}'\napi_token = 's3'\nlist_sessions = true\n",
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
