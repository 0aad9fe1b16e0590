//! GenAuth's management call kick-users, which logs one user out of the configured applications.
//!
//! HTTP says 200 whatever happened: the body's `statusCode` and `apiCode` tell.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::access_key::AccessKey;
use super::is_transient;
use crate::config::{GenauthManagementConfig, UserIdType};
use crate::outcome::{Answer, Verdict};
use crate::provider::bearer::Bearer;
use crate::provider::bearers::{Bearers, Source};
use crate::provider::call::Call;
use crate::provider::http::Http;
use crate::provider::reply::Reply;
use crate::provider::setup::{ProviderSetupError, Setup};

const USER_POOL: HeaderName = HeaderName::from_static("x-authing-userpool-id");

/// The call, with what it is made for every user with.
pub(super) struct KickUsers {
    endpoint: Url,
    app_ids: Vec<String>,
    user_id_type: UserIdType,
    bearers: Bearers,
}

impl KickUsers {
    /// The call of `config`.
    pub(super) fn new(
        setup: &Setup<'_>,
        config: &GenauthManagementConfig,
    ) -> Result<Self, ProviderSetupError> {
        Ok(Self {
            endpoint: setup.url_under("management_host", &config.host, "/api/v3/kick-users")?,
            app_ids: config.app_ids.clone(),
            user_id_type: config.user_id_type,
            bearers: Bearers::new(Source::AccessKey(AccessKey::new(setup, config)?)),
        })
    }

    /// Logs the user `sub` out.
    pub(super) async fn log_out(&self, http: &Http, sub: &str) -> Answer {
        self.bearers.lend(http, |bearer| async move { self.kick(http, &bearer, sub).await }).await
    }

    /// Where the call goes.
    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    async fn kick(&self, http: &Http, bearer: &Bearer, sub: &str) -> Result<Answer, Answer> {
        let options = json!({ "userIdType": self.user_id_type.as_str() });
        let body = json!({ "userId": sub, "appIds": self.app_ids, "options": options });
        let call = Call::new(Method::POST, &self.endpoint).json(&body).secrets([sub]);
        let call =
            user_pool(bearer.token()).into_iter().fold(call, |call, pool| call.header(USER_POOL, pool));
        let reply = bearer.send(http, call).await?;
        if refuses_bearer(&reply) {
            bearer.deny();
        }
        Ok(classify(&reply))
    }
}

/// The user pool that a management token is for, from its own claims; the server checks the token.
fn user_pool(token: &str) -> Option<HeaderValue> {
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()?;
    claims.get("scoped_userpool_id")?.as_str()?.parse().ok()
}

fn number(body: &Value, name: &str) -> Option<u64> {
    body.get(name).and_then(Value::as_u64)
}

/// 2020: not logged in.
fn refuses_bearer(reply: &Reply<'_>) -> bool {
    let body = reply.json().unwrap_or_default();
    reply.is_success() && (number(&body, "statusCode") == Some(401) || number(&body, "apiCode") == Some(2020))
}

/// What the answer means.
fn classify(reply: &Reply<'_>) -> Answer {
    if let Some(answer) = reply.status_answer() {
        return answer;
    }
    let body = reply.json().unwrap_or_default();
    let stated = number(&body, "statusCode");
    match (stated.unwrap_or(u64::from(reply.status)), number(&body, "apiCode")) {
        (200, _) if body.pointer("/data/success") == Some(&Value::Bool(false)) => reply.transient(),
        (200, _) if stated.is_some() => reply.accepted(),
        (200..=299, _) => reply.fails(
            Verdict::Transient,
            "it says neither yes nor no: is management_host the management API's host?",
        ),
        (_, Some(2004)) => reply.fails(Verdict::Refused, "no such user: check user_id_type"),
        // Signature, clock and nonce faults of the access key; unknown application; not logged in; unknown
        // user pool.
        (_, Some(1300..=1306 | 2011 | 2020 | 2224)) | (401..=403, _) => reply.doubted(),
        (501, _) => reply.fails(Verdict::Unsupported, "the provider has no such call"),
        (code, _) if is_transient(code) => reply.transient(),
        _ => reply.fails(
            Verdict::Refused,
            "the provider refuses to log this user out: check user_id_type and app_ids",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Proof;
    use crate::provider::reply::tests::reply;

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            (
                200,
                r#"{"statusCode":200,"message":"ok","data":{"success":true}}"#,
                Verdict::Done(Proof::Accepted),
            ),
            (200, r#"{"statusCode":200,"data":{"success":false}}"#, Verdict::Transient),
            (200, r#"{"statusCode":200,"data":{"exists":true}}"#, Verdict::Done(Proof::Accepted)),
            (200, r#"{"statusCode":200}"#, Verdict::Done(Proof::Accepted)),
            (200, r#"{"success":true}"#, Verdict::Transient),
            (200, r#"{"statusCode":200,"errors":["x"]}"#, Verdict::Transient),
            (200, r#"{"statusCode":200,"data":{"success":0}}"#, Verdict::Transient),
            (200, r#"{"statusCode":200"#, Verdict::Transient),
            (204, "", Verdict::Transient),
            (200, "", Verdict::Transient),
            (200, "<html>", Verdict::Transient),
            (200, r#"{"statusCode":429}"#, Verdict::Transient),
            (200, r#"{"statusCode":500}"#, Verdict::Transient),
            (200, r#"{"statusCode":503}"#, Verdict::Transient),
            (200, r#"{"statusCode":602}"#, Verdict::Transient),
            (200, r#"{"statusCode":404,"apiCode":2004}"#, Verdict::Refused),
            (200, r#"{"statusCode":404}"#, Verdict::Refused),
            (200, r#"{"statusCode":400}"#, Verdict::Refused),
            (200, r#"{"statusCode":422}"#, Verdict::Refused),
            (200, r#"{"statusCode":499}"#, Verdict::Refused),
            (200, r#"{"statusCode":404,"apiCode":2011}"#, Verdict::Doubted),
            (200, r#"{"statusCode":404,"apiCode":2224}"#, Verdict::Doubted),
            (200, r#"{"statusCode":401}"#, Verdict::Doubted),
            (200, r#"{"statusCode":400,"apiCode":2020}"#, Verdict::Doubted),
            (200, r#"{"statusCode":402}"#, Verdict::Doubted),
            (200, r#"{"statusCode":403}"#, Verdict::Doubted),
            (200, r#"{"statusCode":400,"apiCode":1305}"#, Verdict::Doubted),
            (200, r#"{"statusCode":501}"#, Verdict::Unsupported),
            (400, r#"{"message":"bad"}"#, Verdict::Refused),
            (401, "", Verdict::Doubted),
            (403, "", Verdict::Doubted),
            (404, "", Verdict::Doubted),
            (302, "", Verdict::Misconfigured),
            (429, "", Verdict::Transient),
            (503, r#"{"statusCode":200,"data":{"success":true}}"#, Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).verdict, verdict, "{status} {body}");
        }
    }

    #[test]
    fn a_refused_bearer_is_known_by_its_code() {
        for (body, refused) in [
            (r#"{"statusCode":401}"#, true),
            (r#"{"statusCode":400,"apiCode":2020}"#, true),
            (r#"{"statusCode":403}"#, false),
        ] {
            assert_eq!(refuses_bearer(&reply(200, body)), refused, "{body}");
        }
    }

    #[test]
    fn the_user_pool_stands_in_the_token() {
        let token = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(user_pool(&token(r#"{"scoped_userpool_id":"pool-1"}"#)).unwrap(), "pool-1");
        for token in [token("{}"), token(r#"{"scoped_userpool_id":7}"#), "opaque".to_owned(), String::new()] {
            assert!(user_pool(&token).is_none(), "{token}");
        }
    }
}
