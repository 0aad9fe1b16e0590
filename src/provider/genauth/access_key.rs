//! A token for GenAuth's management API, by access key.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::config::{GenauthManagementConfig, Secret};
use crate::outcome::{Answer, Verdict};
use crate::provider::bearer::{Bearer, lifetime, unpresentable};
use crate::provider::call::Call;
use crate::provider::http::Http;
use crate::provider::reply::Reply;
use crate::provider::setup::{ProviderSetupError, Setup};

/// An access key at the endpoint that gives tokens for it.
pub(in crate::provider) struct AccessKey {
    endpoint: Url,
    id: String,
    secret: Secret,
}

impl AccessKey {
    /// The access key of `config`.
    pub(super) fn new(
        setup: &Setup<'_>,
        config: &GenauthManagementConfig,
    ) -> Result<Self, ProviderSetupError> {
        let endpoint = setup.url_under("management_host", &config.host, "/api/v3/get-management-token")?;
        Ok(Self { endpoint, id: config.access_key_id.clone(), secret: config.access_key_secret.clone() })
    }

    /// One request for a token.
    pub(in crate::provider) async fn ask(&self, http: &Http) -> Result<Bearer, Answer> {
        let body = json!({ "accessKeyId": self.id, "accessKeySecret": self.secret.expose() });
        let reply = http
            .send(Call::new(Method::POST, &self.endpoint).json(&body).secrets([self.secret.expose()]))
            .await?;
        let (token, expires_in) = classify(&reply)?;
        Bearer::new("Bearer", token, Some(lifetime(expires_in))).ok_or_else(|| unpresentable(&reply))
    }
}

/// The token and its lifetime in seconds. HTTP says 200 whatever happened, `statusCode` tells.
fn classify(reply: &Reply<'_>) -> Result<(String, Option<u64>), Answer> {
    if let Some(answer) = reply.status_answer() {
        return Err(answer.undoubted());
    }
    let body = reply.json().unwrap_or_default();
    let token = body.pointer("/data/access_token").and_then(Value::as_str);
    match (body.get("statusCode").and_then(Value::as_u64), token) {
        (Some(200), Some(token)) => {
            Ok((token.to_owned(), body.pointer("/data/expires_in").and_then(Value::as_u64)))
        }
        (Some(429 | 500 | 502 | 503), _) => Err(reply.transient()),
        (Some(200) | None, _) => {
            Err(reply.fails_silently(Verdict::Misconfigured, "no token in it: check management_host"))
        }
        _ => Err(reply
            .fails(Verdict::Misconfigured, "no token is given: check access_key_id and access_key_secret")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::reply::tests::reply;

    #[test]
    fn every_refusal_is_the_keys_or_passes() {
        let rows = [
            (200, r#"{"statusCode":401,"apiCode":1300,"message":"no"}"#, Verdict::Misconfigured),
            (200, r#"{"statusCode":403}"#, Verdict::Misconfigured),
            (200, r#"{"statusCode":200,"data":{}}"#, Verdict::Misconfigured),
            (200, "<html>", Verdict::Misconfigured),
            (401, "", Verdict::Misconfigured),
            (404, "", Verdict::Misconfigured),
            (200, r#"{"statusCode":429}"#, Verdict::Transient),
            (200, r#"{"statusCode":500}"#, Verdict::Transient),
            (503, "", Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).err().unwrap().verdict, verdict, "{status} {body}");
        }
    }

    #[test]
    fn a_token_comes_with_its_lifetime() {
        let given =
            classify(&reply(200, r#"{"statusCode":200,"data":{"access_token":"t","expires_in":7200}}"#));
        assert_eq!(given.ok(), Some(("t".to_owned(), Some(7200))));
    }
}
