//! Responses over the wire become the answers of the tables; the tables themselves are tested row by row
//! beside each `classify`.

use std::time::{Duration, SystemTime};

use revocation_worker::config::{ClientAuth, GenauthProtocol};
use revocation_worker::outcome::{Proof, Verdict};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{baanx, genauth, revoke, rfc7009};

#[tokio::test]
async fn each_kind_answers_by_its_own_table() {
    // Status and body; then the verdict of rfc7009, genauth and baanx.
    let rows = [
        (200, "", [Verdict::Done(Proof::Accepted), Verdict::Done(Proof::Accepted), Verdict::Transient]),
        (200, r#"{"success":true}"#, [Verdict::Done(Proof::Accepted); 3]),
        (200, r#"{"statusCode":429}"#, [Verdict::Transient; 3]),
        (200, "<html>blocked</html>", [Verdict::Transient; 3]),
        (200, r#"{"error":{"code":7}}"#, [Verdict::Transient; 3]),
        (200, r#"{"success":false}"#, [Verdict::Transient; 3]),
        (
            400,
            r#"{"error":"invalid_token"}"#,
            [Verdict::Done(Proof::AlreadyInvalid), Verdict::Done(Proof::AlreadyInvalid), Verdict::Refused],
        ),
        (
            400,
            r#"{"error":"unsupported_token_type"}"#,
            [Verdict::Unsupported, Verdict::Unsupported, Verdict::Refused],
        ),
        (400, r#"{"error":"invalid_request"}"#, [Verdict::Refused; 3]),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            [Verdict::Doubted, Verdict::Doubted, Verdict::Done(Proof::AlreadyInvalid)],
        ),
        (403, "", [Verdict::Doubted; 3]),
        (404, "", [Verdict::Doubted; 3]),
        (405, "", [Verdict::Doubted; 3]),
        (429, "", [Verdict::Transient; 3]),
        (500, "", [Verdict::Transient; 3]),
        (503, "", [Verdict::Transient; 3]),
    ];
    for (status, body, verdicts) in rows {
        let idp = ScriptedIdp::start(move |_| Reply::json(status, body)).await;
        let kinds = [
            rfc7009(idp.url()),
            genauth(idp.url(), GenauthProtocol::Oidc, ClientAuth::SecretPost),
            baanx(idp.url()),
        ];
        for (config, verdict) in kinds.iter().zip(verdicts) {
            let answer = revoke(config).await;
            assert_eq!((answer.verdict, answer.http_status), (verdict, Some(status)), "{status} {body}");
            assert_eq!(
                answer.error.is_none(),
                matches!(verdict, Verdict::Done(_)) && status != 401,
                "{status} {body}"
            );
        }
        assert_eq!(idp.ledger().len(), kinds.len());
    }
}

#[tokio::test]
async fn retry_after_comes_through_as_seconds_or_as_a_date() {
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    let rows = [("7", 7..=7), ("604800", 604_800..=604_800), (in_an_hour.as_str(), 3590..=3600)];
    for (value, seconds) in rows {
        let header = value.to_owned();
        let idp = ScriptedIdp::start(move |_| Reply::status(503).header("Retry-After", header.clone())).await;
        let answer = revoke(&rfc7009(idp.url())).await;
        assert_eq!(answer.verdict, Verdict::Transient);
        assert!(
            seconds.contains(&answer.retry_after.unwrap().as_secs()),
            "{value}: {:?}",
            answer.retry_after
        );
    }
}

#[tokio::test]
async fn garbage_in_retry_after_is_as_if_it_were_absent() {
    for value in ["soon", "-1", "1.5", ""] {
        let idp = ScriptedIdp::start(move |_| Reply::status(429).header("Retry-After", value)).await;
        let answer = revoke(&rfc7009(idp.url())).await;
        assert_eq!((answer.verdict, answer.retry_after), (Verdict::Transient, None), "{value}");
    }
}
