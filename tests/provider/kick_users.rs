//! `kind = "genauth"`: whole users, by the management API.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use revocation_worker::config::{KindConfig, UserIdType};
use revocation_worker::outcome::{Proof, Verdict};

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{TOKEN, calls, kicking, provider, session, subject, token};

const GRANT: &str = "POST /api/v3/get-management-token";
const KICK: &str = "POST /api/v3/kick-users";
const DONE: &str = r#"{"statusCode":200,"message":"ok","data":{"success":true}}"#;

fn management_token() -> String {
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"scoped_userpool_id":"pool-1"}"#))
}

/// A management API that gives tokens, and answers everything else as `kick` says.
async fn management(kick: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> ScriptedIdp {
    ScriptedIdp::start(move |request| match request.path.as_str() {
        "/api/v3/get-management-token" => {
            let body = format!(
                r#"{{"statusCode":200,"data":{{"access_token":"{}","expires_in":7200}}}}"#,
                management_token()
            );
            Reply::json(200, body)
        }
        _ => kick(request),
    })
    .await
}

#[tokio::test]
async fn a_user_is_kicked_out_of_the_applications() {
    let idp = management(|_| Reply::json(200, DONE)).await;
    let provider = provider(&kicking(idp.url()));
    for _ in 0..2 {
        assert_eq!(provider.revoke(&subject("user-1")).await.verdict, Verdict::Done(Proof::Accepted));
    }
    assert_eq!(calls(&idp), [GRANT, KICK, KICK]);
    let ledger = idp.ledger();
    assert_eq!(ledger[0].body, r#"{"accessKeyId":"key-1","accessKeySecret":"s%c:+/="}"#);
    assert_eq!(ledger[0].header("authorization"), None);
    assert_eq!(
        ledger[1].body,
        r#"{"appIds":["app-1","app-2"],"options":{"userIdType":"user_id"},"userId":"user-1"}"#
    );
    assert_eq!(ledger[1].header("authorization"), Some(format!("Bearer {}", management_token()).as_str()));
    assert_eq!(
        (ledger[1].header("x-authing-userpool-id"), ledger[1].header("content-type")),
        (Some("pool-1"), Some("application/json"))
    );
}

#[tokio::test]
async fn the_kind_of_user_id_is_told() {
    let idp = management(|_| Reply::json(200, DONE)).await;
    let mut config = kicking(idp.url());
    if let KindConfig::Genauth(kind) = &mut config.kind
        && let Some(management) = &mut kind.management
    {
        management.user_id_type = UserIdType::ExternalId;
    }
    provider(&config).revoke(&subject("u")).await;
    assert!(idp.ledger()[1].body.contains(r#""options":{"userIdType":"external_id"}"#));
}

#[tokio::test]
async fn a_refused_management_token_is_got_anew_once() {
    for refusal in [r#"{"statusCode":401,"message":"expired"}"#, r#"{"statusCode":400,"apiCode":2020}"#] {
        let idp = management(move |request| {
            Reply::json(200, if request.body.contains("first") { DONE } else { refusal })
        })
        .await;
        let provider = provider(&kicking(idp.url()));
        assert_eq!(provider.revoke(&subject("first")).await.verdict, Verdict::Done(Proof::Accepted));
        let answer = provider.revoke(&subject("second")).await;
        assert_eq!((answer.verdict, answer.http_status), (Verdict::Doubted, Some(200)));
        assert_eq!(calls(&idp), [GRANT, KICK, KICK, GRANT, KICK]);
    }
}

#[tokio::test]
async fn the_body_tells_what_http_does_not() {
    let rows = [
        (r#"{"statusCode":404,"apiCode":2004,"message":"user not found"}"#, Verdict::Refused),
        (r#"{"statusCode":429}"#, Verdict::Transient),
        (r#"{"statusCode":404,"apiCode":2011}"#, Verdict::Doubted),
    ];
    for (body, verdict) in rows {
        let idp = management(move |_| Reply::json(200, body)).await;
        assert_eq!(provider(&kicking(idp.url())).revoke(&subject("u")).await.verdict, verdict, "{body}");
    }
}

#[tokio::test]
async fn a_refused_access_key_is_for_a_person() {
    let idp =
        ScriptedIdp::start(|_| Reply::json(200, r#"{"statusCode":400,"apiCode":1300,"message":"bad key"}"#))
            .await;
    let answer = provider(&kicking(idp.url())).revoke(&subject("u")).await;
    assert_eq!(answer.verdict, Verdict::Misconfigured);
    assert!(answer.error.unwrap().contains("check access_key_id and access_key_secret"));
    assert_eq!(calls(&idp), [GRANT]);
}

#[tokio::test]
async fn tokens_are_revoked_as_before_and_sessions_unsupported() {
    let idp = management(|_| Reply::status(200)).await;
    let provider = provider(&kicking(idp.url()));
    assert_eq!(provider.revoke(&token(TOKEN, None)).await.verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(provider.revoke(&session("s")).await.verdict, Verdict::Unsupported);
    assert_eq!(calls(&idp), ["POST /oidc/token/revocation"]);
}
