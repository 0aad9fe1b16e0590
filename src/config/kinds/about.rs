//! What each kind ends and what it leaves alive: `docs/providers.md`, which a test holds to this table.

use super::KINDS;
use crate::config::reference::wrap;

/// What there is no call for.
const NONE: &str = "–";

/// One kind, in the words of the page.
struct About {
    kind: &'static str,
    /// What its calls are authorized by.
    auth: &'static str,
    /// The call for tokens, for sessions, for subjects.
    calls: [&'static str; 3],
    /// What lives on after them.
    alive: &'static str,
}

const JWTS: &str = "access JWTs until their end: only verifiers keep them out";

/// Every kind, in the order of [`KINDS`].
const ABOUT: &[About] = &[
    About {
        kind: "rfc7009",
        auth: "a client, by its `client_auth`: `client_secret_basic`, `client_secret_post`, \
            `client_secret_jwt`, `private_key_jwt`, `tls_client_auth`, `self_signed_tls_client_auth`, \
            `none`",
        calls: ["`POST` to the revocation endpoint", NONE, NONE],
        alive: "depends on the server: JWTs that are verified locally always, and often the other token of a \
            pair",
    },
    About {
        kind: "genauth",
        auth: "tokens: a client; users: `access_key_id`, `access_key_secret`",
        calls: ["`POST /oidc/token/revocation`", NONE, "kick-users, out of `app_ids`"],
        alive: "access JWTs until their end; logins to applications that `app_ids` does not name",
    },
    About {
        kind: "baanx",
        auth: "the token itself, and `client_key`",
        calls: ["logout (access), oauth revoke (refresh)", NONE, NONE],
        alive: "the refresh token, where only the access token is given",
    },
    About {
        kind: "global_token_revocation",
        auth: "`bearer_token`, a client with `token_endpoint`, or `caller_private_key`",
        calls: [NONE, NONE, "`POST` of `sub_id`"],
        alive: "what the server leaves: it must end refresh tokens and sessions, it should end access tokens",
    },
    About {
        kind: "keycloak",
        auth: "a client",
        calls: [
            "RFC 7009",
            "`DELETE /sessions/{id}`, offline ones too",
            "logout, then consents with offline tokens",
        ],
        alive: JWTS,
    },
    About {
        kind: "okta",
        auth: "tokens: a client; users: `api_token` of an administrator, or a service application's \
            `service_private_key`",
        calls: ["RFC 7009", NONE, "`DELETE /users/{id}/sessions?oauthTokens=true`"],
        alive: "sessions that applications keep themselves; access JWTs until their end",
    },
    About {
        kind: "hydra",
        auth: "tokens, at `base_url`: a client; subjects, at `admin_url`: nothing, the network guards \
            that port",
        calls: ["RFC 7009", NONE, "`DELETE` of consent and login sessions"],
        alive: "access JWTs until their end, where Hydra issues such; opaque tokens die",
    },
    About {
        kind: "auth0",
        auth: "tokens: a client; sessions, users: `management_client_id`",
        calls: [
            "`POST /oauth/revoke`, refresh tokens alone",
            "`POST /api/v2/sessions/{id}/revoke`",
            "`DELETE` of the user's sessions and refresh tokens",
        ],
        alive: "access JWTs until their end; the calls are carried out soon after they are accepted",
    },
    About {
        kind: "google",
        auth: "tokens: nothing; users of a Workspace: `service_account`, `workspace_administrator`",
        calls: ["`POST /revoke`", NONE, "`POST /users/{id}/signOut`"],
        alive: "of a token nothing of that grant, after a minute; ID tokens until their end. Of a user the \
            tokens of apps",
    },
    About {
        kind: "github",
        auth: "a client",
        calls: ["`DELETE /applications/{client_id}/token` or `/grant`", NONE, NONE],
        alive: "with `token` the user's authorization of the app and its other tokens; with `grant` nothing",
    },
    About {
        kind: "slack",
        auth: "the token itself",
        calls: ["`auth.revoke` by the token itself", NONE, NONE],
        alive: "the app's installation; whether a refresh token dies with its access token is not \
            established",
    },
    About {
        kind: "apple",
        auth: "`client_private_key`, `team_id`",
        calls: ["`POST /auth/revoke`", NONE, NONE],
        alive: "sessions of your own; identity tokens until their end. The user's consent for the app ends",
    },
    About {
        kind: "cognito",
        auth: "tokens: a client; users: an IAM access key",
        calls: ["`POST /oauth2/revoke`, refresh tokens alone", NONE, "`AdminUserGlobalSignOut`"],
        alive: "access and ID JWTs that are verified locally until their end; the managed login's cookie",
    },
    About {
        kind: "entra",
        auth: "a client",
        calls: [NONE, NONE, "`POST /users/{id}/revokeSignInSessions`"],
        alive: "access JWTs until their end (about an hour), refresh tokens for some minutes; guests \
            altogether",
    },
    About {
        kind: "firebase",
        auth: "`service_account`",
        calls: [NONE, NONE, "`accounts:update` with `validSince`"],
        alive: "ID tokens for an hour at most, unless the verifier asks Firebase; logins of the same second \
            die, too",
    },
    About {
        kind: "fusionauth",
        auth: "`api_key`",
        calls: [
            "`DELETE /api/jwt/refresh`, refresh tokens alone",
            NONE,
            "the same by `userId`; clients by `applicationId`",
        ],
        alive: JWTS,
    },
    About {
        kind: "clerk",
        auth: "`api_key`",
        calls: [
            "`POST /oauth_applications/{id}/revoke_token`",
            "`POST /sessions/{id}/revoke`",
            "the sessions that are listed, until none is",
        ],
        alive: "session JWTs until their end (about a minute); JWT access tokens of OAuth applications",
    },
    About {
        kind: "workos",
        auth: "`api_key`",
        calls: [NONE, "`POST /sessions/revoke`", "the sessions that are listed, until none is"],
        alive: JWTS,
    },
    About {
        kind: "zitadel",
        auth: "tokens: a client; sessions and users: `api_token`",
        calls: [
            "RFC 7009",
            "`DELETE /v2/sessions/{id}`",
            "with `list_sessions` the sessions that are listed, until none is",
        ],
        alive: "tokens of a session that was ended, and access JWTs until their end",
    },
    About {
        kind: "authentik",
        auth: "a client",
        calls: ["RFC 7009", NONE, NONE],
        alive: "the user's session, and access JWTs until their end",
    },
    About {
        kind: "supabase",
        auth: "the token itself, and `api_key`",
        calls: ["`POST /auth/v1/logout` by the access token itself", NONE, NONE],
        alive: "the access JWT until its end; with `logout_scope = \"local\"` the user's other sessions",
    },
    About {
        kind: "http",
        auth: "what you declare",
        calls: ["what the settings declare", "what the settings declare", "what the settings declare"],
        alive: "what the product leaves: its documentation says so",
    },
];

const HEAD: &str = "# Providers

<!-- Made from src/config/kinds/about.rs and about/notes.md. Renew it: RENEW_DOCS=1 cargo test --lib \
providers_reference -->

What each `kind` calls, by which credentials, and what is still alive after the call. Whatever lives on at \
the provider is denied by every service that verifies with the denylist, until its end; a service that \
looks at signatures alone goes on taking it. A cell with – means that there is no such call: the target is \
denied locally and recorded as `unsupported`. Which settings a kind has stands in \
[settings.md](settings.md), and how to declare a provider that is not here in \
[http-kind.md](http-kind.md).
";

const TAIL: &str = "
The calls of `auth0`, `google`, `github`, `slack`, `apple`, `cognito`, `entra`, `firebase`, `fusionauth`, \
`clerk`, `workos`, `zitadel`, `authentik` and `supabase` follow the vendors' documentation and the source of \
their SDKs; none of these services was called to try them.

What is not established, so that such an answer waits for a person or is tried again: what Apple, \
FusionAuth, Supabase and WorkOS answer to what is dead already, and by which codes they throttle.

Not built, because its calls are not established well enough: sessions of authentik.
";

/// The page.
pub fn providers_reference() -> String {
    let mut page = String::new();
    paragraphs(HEAD, &mut page);
    page.push_str(
        "\n| `kind` | tokens | sessions | subjects | authenticates with | still alive afterwards |\n\
        |---|---|---|---|---|---|\n",
    );
    for kind in KINDS {
        let Some(About { kind, auth, calls: [token, session, subject], alive }) =
            ABOUT.iter().find(|about| about.kind == kind.word)
        else {
            continue;
        };
        page.push_str(&format!("| `{kind}` | {token} | {session} | {subject} | {auth} | {alive} |\n"));
    }
    page.push('\n');
    paragraphs(TAIL.trim_start(), &mut page);
    page.push('\n');
    page.push_str(include_str!("about/notes.md"));
    page
}

fn paragraphs(text: &str, page: &mut String) {
    for (number, paragraph) in text.trim_end().split("\n\n").enumerate() {
        if number > 0 {
            page.push('\n');
        }
        wrap(paragraph, "", page);
    }
}

#[cfg(test)]
mod tests;
