//! `kind = "baanx"`: the token to be ended is the bearer of the call that ends it.
//!
//! - An access token: `POST /v1/auth/logout`, which ends exactly the access token that it bears; the event
//!   named no other.
//! - A refresh token: `DELETE /v1/auth/oauth/revoke`, the only call that ends refresh tokens: all tokens of
//!   this client for the user.
//!
//! A token without a hint goes by its prefix (`refresh_token_…`), else as an access token. A refresh token is
//! never exchanged for an access token to revoke with: that would create a credential in order to end one.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::call::Call;
use super::client_auth::sensitive_header;
use super::dialect::{Attempt, Dialect};
use super::http::Http;
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BaanxConfig, Secret};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::{Kind, PresentedToken, TokenTypeHint};

const CLIENT_KEY: HeaderName = HeaderName::from_static("x-client-key");
const US_ENV: HeaderName = HeaderName::from_static("x-us-env");

/// A Baanx environment.
pub(super) struct Baanx {
    logout: Url,
    revoke: Url,
    client_key: Secret,
    client_key_header: HeaderValue,
    us_env: Option<HeaderValue>,
}

impl Baanx {
    /// The environment of `config`.
    pub(super) fn new(setup: &Setup<'_>, config: &BaanxConfig) -> Result<Self, ProviderSetupError> {
        let endpoint = |path| setup.url_under("base_url", &config.base_url, path);
        let header = sensitive_header(config.client_key.expose());
        Ok(Self {
            logout: endpoint("/v1/auth/logout")?,
            revoke: endpoint("/v1/auth/oauth/revoke")?,
            client_key: config.client_key.clone(),
            client_key_header: header
                .ok_or_else(|| setup.refuse("client_key", "cannot stand in an HTTP header"))?,
            us_env: config.us_env.map(|us| HeaderValue::from_static(if us { "true" } else { "false" })),
        })
    }

    async fn call(&self, http: &Http, token: &PresentedToken) -> Answer {
        let kind = kind_of(token);
        let bearer = Zeroizing::new(format!("Bearer {}", token.token.expose()));
        let Some(bearer) = sensitive_header(&bearer) else {
            return unpresentable();
        };
        let (method, url) = match kind {
            TokenTypeHint::AccessToken => (Method::POST, &self.logout),
            TokenTypeHint::RefreshToken => (Method::DELETE, &self.revoke),
        };
        let call = Call::new(method, url)
            .header(AUTHORIZATION, bearer)
            .header(CLIENT_KEY, self.client_key_header.clone());
        let call = self.us_env.iter().fold(call, |call, us| call.header(US_ENV, us.clone()));
        let call = call.secrets([token.token.expose(), self.client_key.expose()]);
        http.send(call).await.map_or_else(|failure| failure, |reply| classify(&reply, kind))
    }
}

impl Dialect for Baanx {
    fn calls(&self, kind: Kind) -> u32 {
        u32::from(kind == Kind::Token)
    }

    fn addresses(&self) -> Vec<&Url> {
        vec![&self.logout]
    }

    fn revoke<'a>(&'a self, http: &'a Http, token: &'a PresentedToken) -> Attempt<'a> {
        Some(Box::pin(self.call(http, token)))
    }
}

fn kind_of(token: &PresentedToken) -> TokenTypeHint {
    let prefixed = token.token.expose().starts_with("refresh_token_");
    token.hint.unwrap_or(if prefixed { TokenTypeHint::RefreshToken } else { TokenTypeHint::AccessToken })
}

/// What Baanx's answer means. 498 and 499 are its own: invalid and missing client key.
fn classify(reply: &Reply<'_>, kind: TokenTypeHint) -> Answer {
    if let Some(answer) = reply.status_answer() {
        return answer;
    }
    let success = reply.json().and_then(|body| body.get("success").and_then(Value::as_bool));
    match (reply.status, success, kind) {
        (200..=299, Some(true), _) => reply.accepted(),
        (200..=299, _, _) => reply.no_yes().unwrap_or_else(|| reply.transient()),
        // The bearer no longer opens anything, so the access token is dead. Whether its refresh token lives
        // on, nobody was asked.
        (401, _, TokenTypeHint::AccessToken) if !reply.is_from_between() => reply.fails(
            Verdict::Done(Proof::AlreadyInvalid),
            "the access token is dead, its refresh token's state is not proven",
        ),
        (401, _, TokenTypeHint::AccessToken) => reply.doubted(),
        // The bearer did not authenticate the call: that proves nothing about a refresh token, which may live
        // for months.
        (401, _, TokenTypeHint::RefreshToken) => reply
            .fails(Verdict::Refused, "the refresh token may still live: end it at the provider, then cancel"),
        (402 | 403 | 498 | 499, _, _) => reply.doubted(),
        _ => reply
            .fails(Verdict::Refused, "the provider refuses this token: see its log, then retry or cancel"),
    }
}

fn unpresentable() -> Answer {
    let error = Some(
        "the token holds control characters and cannot stand in an Authorization header: it is no token \
            of this provider"
            .to_owned(),
    );
    Answer { verdict: Verdict::Refused, http_status: None, error, retry_after: None }
}

#[cfg(test)]
mod tests {
    use TokenTypeHint::{AccessToken, RefreshToken};

    use super::super::reply::tests::reply;
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            (200, r#"{"success":true}"#, Verdict::Done(Proof::Accepted)),
            (200, r#"{"success":false}"#, Verdict::Transient),
            (200, r#"{"success":"true"}"#, Verdict::Transient),
            (200, r#"{"success":true,"success":false}"#, Verdict::Transient),
            (200, r#"{"success":true,"error":"x"}"#, Verdict::Transient),
            (200, r#"{"success":true"#, Verdict::Transient),
            (200, "success=true", Verdict::Transient),
            (200, "", Verdict::Transient),
            (200, "<html>", Verdict::Transient),
            (204, "", Verdict::Transient),
            (400, r#"{"message":"Bad request"}"#, Verdict::Refused),
            (403, r#"{"message":"Not authorized"}"#, Verdict::Doubted),
            (404, "", Verdict::Doubted),
            (307, "", Verdict::Misconfigured),
            (429, "", Verdict::Transient),
            (498, r#"{"message":"Invalid client key"}"#, Verdict::Doubted),
            (499, r#"{"message":"Missing client key"}"#, Verdict::Doubted),
            (500, r#"{"message":"Internal server error"}"#, Verdict::Transient),
            (503, r#"{"success":true}"#, Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            for kind in [AccessToken, RefreshToken] {
                assert_eq!(classify(&reply(status, body), kind).verdict, verdict, "{status} {body}");
            }
        }
    }

    #[test]
    fn a_401_ends_an_access_token_and_proves_nothing_of_a_refresh_token() {
        let denied = reply(401, r#"{"message":"Not authenticated"}"#);
        let access = classify(&denied, AccessToken);
        assert_eq!(access.verdict, Verdict::Done(Proof::AlreadyInvalid));
        assert!(access.error.unwrap().contains("refresh token's state is not proven"));
        assert_eq!(classify(&denied, RefreshToken).verdict, Verdict::Refused);
        for page in ["<html>Log in to the proxy</html>", "<!-- x --><h1>401</h1>", "Denied. <body>"] {
            assert_eq!(classify(&reply(401, page), AccessToken).verdict, Verdict::Doubted, "{page}");
        }
    }
}
