//! `kind = "cognito"`: refresh tokens at the user pool's domain, users by `AdminUserGlobalSignOut`.
//!
//! Signing a user out ends the refresh tokens, and the access tokens for Cognito's own API alone: JWTs that
//! are verified locally and the browser's session at the managed login live on. Faults come with status 400,
//! throttling among them; `__type` tells which.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;
use url::Url;

use super::call::Call;
use super::client_auth::{Client, sensitive_header};
use super::dialect::{Attempt, Dialect};
use super::http::Http;
use super::oauth::Rfc7009;
use super::probe::{self, Probed};
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use super::sigv4::{Request, Signature, date};
use crate::config::{BasicEncoding, CognitoConfig, CognitoUsersConfig, Secret};
use crate::outcome::{Answer, Verdict};
use crate::target::Kind;

const CONTENT: &str = "application/x-amz-json-1.1";
const TARGET: &str = "AWSCognitoIdentityProviderService.AdminUserGlobalSignOut";

/// A user pool.
pub(super) struct Cognito {
    tokens: Option<Rfc7009>,
    users: Option<Users>,
}

/// Its users.
struct Users {
    endpoint: Url,
    host: String,
    pool: String,
    signature: Signature,
    session_token: Option<Secret>,
}

impl Cognito {
    /// The user pool of `config`.
    pub(super) fn new(setup: &Setup<'_>, config: &CognitoConfig) -> Result<Self, ProviderSetupError> {
        let tokens = match (&config.client, &config.base_url) {
            (Some(client), Some(base)) => {
                let client = Client::new(setup, client, BasicEncoding::Rfc6749)?;
                Some(Rfc7009::at(client, setup.url_under("base_url", base, "/oauth2/revoke")?, None))
            }
            _ => None,
        };
        let users = config.users.as_ref().map(|users| Users::new(setup, config, users)).transpose()?;
        Ok(Self { tokens, users })
    }
}

impl Users {
    fn new(
        setup: &Setup<'_>,
        config: &CognitoConfig,
        users: &CognitoUsersConfig,
    ) -> Result<Self, ProviderSetupError> {
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !users.region.chars().all(is_region) {
            return Err(setup.refuse("region", "is no region's name; write it as eu-west-1"));
        }
        let aws = format!("https://cognito-idp.{}.amazonaws.com", users.region);
        let endpoint = setup.url_under("api_url", config.api_url.as_deref().unwrap_or(&aws), "/")?;
        let host = endpoint.host_str().unwrap_or_default();
        let host = endpoint.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let signature = Signature {
            access_key_id: users.access_key_id.clone(),
            access_key_secret: users.access_key_secret.clone(),
            region: users.region.clone(),
            service: "cognito-idp",
        };
        let (pool, session_token) = (users.user_pool_id.clone(), users.session_token.clone());
        Ok(Self { endpoint, host, pool, signature, session_token })
    }

    async fn sign_out(&self, http: &Http, sub: &str) -> Answer {
        let body = json!({ "UserPoolId": self.pool, "Username": sub });
        match self.call(http, &body, sub) {
            Ok(call) => http.send(call).await.map_or_else(|failure| failure, |reply| classify(&reply)),
            Err(failure) => failure,
        }
    }

    fn call<'a>(&'a self, http: &Http, body: &serde_json::Value, sub: &'a str) -> Result<Call<'a>, Answer> {
        let (date, text) = (date(http.clock().now()), body.to_string());
        let session_token = self.session_token.as_ref().map(Secret::expose);
        let session = session_token.map(|token| ("x-amz-security-token", token));
        let headers: Vec<(&str, &str)> =
            [("content-type", CONTENT), ("host", &self.host), ("x-amz-date", &date)]
                .into_iter()
                .chain(session)
                .chain([("x-amz-target", TARGET)])
                .collect();
        let request = Request { method: "POST", query: "", headers: &headers, body: &text };
        let authorization = self.signature.authorization(&request, &date);
        let mut call = Call::new(Method::POST, &self.endpoint).json(body);
        call = call.header(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        for (name, value) in headers
            .iter()
            .filter(|(name, _)| name.starts_with("x-amz-"))
            .chain([&("authorization", authorization.as_str())])
        {
            let header = HeaderName::from_bytes(name.as_bytes()).unwrap_or(AUTHORIZATION);
            call = call.header(header, sensitive_header(value).ok_or_else(unpresentable)?);
        }
        Ok(call.secrets([sub, self.signature.access_key_secret.expose()]).secrets(session_token))
    }
}

fn unpresentable() -> Answer {
    let why = "access_key_id or access_key_session_token cannot stand in an HTTP header";
    Answer::failed(Verdict::Misconfigured, None, why)
}

impl Dialect for Cognito {
    fn calls(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Token => u32::from(self.tokens.is_some()),
            Kind::Subject => u32::from(self.users.is_some()),
            _ => 0,
        }
    }

    fn addresses(&self) -> Vec<&Url> {
        let tokens = self.tokens.iter().flat_map(Rfc7009::configured);
        tokens.chain(self.users.iter().map(|users| &users.endpoint)).collect()
    }

    fn tokens(&self) -> Option<&Rfc7009> {
        self.tokens.as_ref()
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, _: Option<&'a str>) -> Attempt<'a> {
        Some(Box::pin(self.users.as_ref()?.sign_out(http, sub)))
    }

    fn read_admin(&self, answer: Answer) -> Probed {
        const ADVICE: &str = "check region, user_pool_id and the access key's right \
            cognito-idp:AdminUserGlobalSignOut";
        probe::read(answer, ADVICE, true, |answer| {
            probe::is_accepted(answer) || answer.verdict == Verdict::Refused
        })
    }
}

/// What Cognito's API answers, by its reference: `AdminUserGlobalSignOut`, and the common errors.
fn classify(reply: &Reply<'_>) -> Answer {
    let kind = reply.text("__type").unwrap_or_default();
    match (reply.status, kind.rsplit('#').next().unwrap_or_default()) {
        (200..=299, _) => reply.accepted(),
        (_, "TooManyRequestsException" | "ThrottlingException" | "InternalErrorException") => {
            reply.transient()
        }
        (_, "UserNotFoundException") => {
            reply.fails(Verdict::Refused, "no such user: sub must be the user name in this user pool")
        }
        (_, "InvalidParameterException") => {
            reply.fails(Verdict::Refused, "Cognito does not take this user name")
        }
        (400 | 401 | 403, _) => reply.doubted(),
        _ => reply.status_answer().unwrap_or_else(|| reply.transient()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;
    use crate::outcome::Proof;

    #[test]
    fn every_row_of_the_table() {
        let fault = |kind: &str| format!(r#"{{"__type":"{kind}","message":"m"}}"#);
        let rows = [
            (200, "{}".to_owned(), Verdict::Done(Proof::Accepted)),
            (200, "<html>".to_owned(), Verdict::Transient),
            (400, fault("UserNotFoundException"), Verdict::Refused),
            (400, fault("com.amazonaws.cognito#UserNotFoundException"), Verdict::Refused),
            (400, fault("InvalidParameterException"), Verdict::Refused),
            (400, fault("TooManyRequestsException"), Verdict::Transient),
            (400, fault("NotAuthorizedException"), Verdict::Doubted),
            (400, fault("ResourceNotFoundException"), Verdict::Doubted),
            (400, fault("AccessDeniedException"), Verdict::Doubted),
            (400, fault("InvalidSignatureException"), Verdict::Doubted),
            (400, String::new(), Verdict::Doubted),
            (403, String::new(), Verdict::Doubted),
            (500, fault("InternalErrorException"), Verdict::Transient),
            (503, String::new(), Verdict::Transient),
            (302, String::new(), Verdict::Misconfigured),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, &body)).verdict, verdict, "{status} {body}");
        }
    }
}
