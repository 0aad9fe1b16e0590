//! The recipes of docs/http-kind.md, as they stand there, against a scripted provider.

use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::provider::Provider;
use revocation_worker::target::{Target, TokenTypeHint};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{TOKEN, calls, provider, session, subject, token};
use crate::written::providers;

const PAGE: &str = include_str!("../../docs/http-kind.md");
const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);
const DEAD: Verdict = Verdict::Done(Proof::AlreadyInvalid);

/// The TOML blocks of the page.
fn blocks() -> Vec<&'static str> {
    PAGE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The provider called `name` on the page, at `base` instead of the vendor, with secrets in place of files.
fn recipe(name: &str, base: &str) -> Provider {
    let section = format!("[providers.{name}]");
    let block = blocks().into_iter().find(|block| block.starts_with(&section)).expect("a recipe");
    let line = |line: &str| match line.split_once(" = \"") {
        Some((key @ ("url" | "token_endpoint"), url)) => {
            let path = url.splitn(4, '/').nth(3).unwrap();
            format!("{key} = \"{base}/{path}")
        }
        Some((key, _)) if key.ends_with("_file") => format!("{} = \"s3\"", key.trim_end_matches("_file")),
        _ => line.to_owned(),
    };
    let toml = block.lines().map(line).collect::<Vec<_>>().join("\n");
    provider(&providers(&toml).remove(0).1)
}

/// A recipe, a target, the call that it makes, and what its answers mean: done, dead already, wrong
/// credentials, throttled, odd.
struct Row {
    name: &'static str,
    target: fn() -> Target,
    call: &'static str,
    body: &'static str,
    authorization: Option<&'static str>,
    answers: [(u16, &'static str, Verdict); 5],
}

fn refresh() -> Target {
    token(TOKEN, Some(TokenTypeHint::RefreshToken))
}

fn access() -> Target {
    token(TOKEN, Some(TokenTypeHint::AccessToken))
}

const ROWS: [Row; 8] = [
    Row {
        name: "hubspot",
        target: refresh,
        call: "DELETE /oauth/v1/refresh-tokens/tok%2B%2F%3D1",
        body: "",
        authorization: None,
        answers: [
            (204, "", ACCEPTED),
            (404, r#"{"status":"error"}"#, DEAD),
            (403, "", Verdict::Doubted),
            (429, "", Verdict::Transient),
            (404, "<html>no such page</html>", Verdict::Doubted),
        ],
    },
    Row {
        name: "notion",
        target: access,
        call: "POST /v1/oauth/revoke",
        body: r#"{"token":"tok+/=1"}"#,
        authorization: Some("Basic c2hvcDpzMw=="),
        answers: [
            (200, "{}", ACCEPTED),
            (400, r#"{"error":"invalid_grant"}"#, DEAD),
            (401, r#"{"error":"invalid_client"}"#, Verdict::Doubted),
            (429, "", Verdict::Transient),
            (200, "<html>sign in</html>", Verdict::Transient),
        ],
    },
    Row {
        name: "dropbox",
        target: access,
        call: "POST /2/auth/token/revoke",
        body: "",
        authorization: Some("Bearer tok+/=1"),
        answers: [
            (200, "null", ACCEPTED),
            (401, r#"{"error_summary":"invalid_access_token/"}"#, DEAD),
            (403, "", Verdict::Doubted),
            (429, "", Verdict::Transient),
            (409, "", Verdict::Transient),
        ],
    },
    Row {
        name: "salesforce",
        target: refresh,
        call: "POST /services/oauth2/revoke",
        body: "token=tok%2B%2F%3D1",
        authorization: None,
        answers: [
            (200, "", ACCEPTED),
            (400, r#"{"error":"invalid_token"}"#, DEAD),
            (403, "", Verdict::Doubted),
            (503, "", Verdict::Transient),
            (400, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
        ],
    },
    Row {
        name: "linear",
        target: access,
        call: "POST /oauth/revoke",
        body: "token=tok%2B%2F%3D1",
        authorization: None,
        answers: [
            (200, r#"{"success":true}"#, ACCEPTED),
            (400, "", Verdict::Transient),
            (401, "", Verdict::Doubted),
            (429, "", Verdict::Transient),
            (200, r#"{"success":false}"#, Verdict::Transient),
        ],
    },
    Row {
        name: "workos",
        target: || session("s/1"),
        call: "POST /user_management/sessions/revoke",
        body: r#"{"session_id":"s/1"}"#,
        authorization: Some("Bearer s3"),
        answers: [
            (200, "", ACCEPTED),
            (400, "", Verdict::Transient),
            (401, "", Verdict::Doubted),
            (429, "", Verdict::Transient),
            (302, "", Verdict::Misconfigured),
        ],
    },
    Row {
        name: "stytch",
        target: || session("s/1"),
        call: "POST /v1/sessions/revoke",
        body: r#"{"session_id":"s/1"}"#,
        authorization: Some("Basic cHJvamVjdC1saXZlLTE6czM="),
        answers: [
            (200, r#"{"request_id":"r","status_code":200}"#, ACCEPTED),
            (404, r#"{"status_code":404,"error_type":"session_not_found"}"#, Verdict::Doubted),
            (401, "", Verdict::Doubted),
            (429, "", Verdict::Transient),
            (200, r#"{"status_code":500,"error_type":"internal_server_error"}"#, Verdict::Transient),
        ],
    },
    Row {
        name: "descope",
        target: || subject("u"),
        call: "POST /v1/mgmt/user/logout",
        body: r#"{"sessionTypes":[],"userId":"u"}"#,
        authorization: Some("Bearer <project id>:s3"),
        answers: [
            (200, "{}", ACCEPTED),
            (400, r#"{"errorCode":"E112102"}"#, Verdict::Transient),
            (401, "", Verdict::Doubted),
            (429, "", Verdict::Transient),
            (200, r#"{"errorCode":"E112102","errorDescription":"x"}"#, Verdict::Transient),
        ],
    },
];

#[tokio::test]
async fn every_recipe_makes_its_call_and_reads_its_answers() {
    for Row { name, target, call, body, authorization, answers } in ROWS {
        for (status, answer, verdict) in answers {
            let idp = ScriptedIdp::start(move |request| match request.path.ends_with("/access_token") {
                true => Reply::json(200, r#"{"access_token":"granted","expires_in":3600}"#),
                false => Reply::status(status).body(answer),
            })
            .await;
            let answered = recipe(name, idp.url()).revoke(&target()).await;
            assert_eq!(answered.verdict, verdict, "{name}: {status} {answer}: {:?}", answered.error);
            let made = calls(&idp).into_iter().filter(|call| !call.ends_with("/access_token"));
            assert_eq!(made.collect::<Vec<_>>(), [call], "{name}");
            let sent = &idp.ledger().pop().unwrap();
            assert_eq!((sent.body.as_str(), sent.header("authorization")), (body, authorization), "{name}");
            let told = answered.error.unwrap_or_default();
            assert!(!told.contains("tok+") && !told.contains("tok%2B"), "{name}: the token is told");
        }
    }
}

#[tokio::test]
async fn what_a_recipe_is_not_for_is_not_asked() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    for (name, target) in
        [("hubspot", access()), ("dropbox", refresh()), ("notion", session("s")), ("workos", access())]
    {
        assert_eq!(recipe(name, idp.url()).revoke(&target).await.verdict, Verdict::Unsupported, "{name}");
    }
    assert_eq!(calls(&idp), [""; 0]);
}

#[tokio::test]
async fn the_recipe_that_lists_ends_every_session() {
    let idp = ScriptedIdp::start(|request| match request.method.as_str() {
        "GET" => {
            Reply::json(200, r#"{"data":[{"id":"s1","status":"ended"}],"list_metadata":{"after":null}}"#)
        }
        _ => Reply::status(200),
    })
    .await;
    assert_eq!(recipe("workos", idp.url()).revoke(&subject("u")).await.verdict, DEAD, "none is active");
}

#[test]
fn every_block_of_the_page_is_a_configuration() {
    assert!(blocks().len() > ROWS.len(), "the blocks were found");
    for block in blocks() {
        let name = block.split(['.', ']']).nth(1).unwrap();
        recipe(name, "https://api.example.com");
    }
    for Row { name, .. } in &ROWS {
        assert!(PAGE.contains(&format!("[providers.{name}]")), "{name}");
    }
}
