//! `kind = "genauth"`: GenAuth, formerly Authing. The wire contract is that of its official SDKs.
//!
//! No `token_type_hint` is sent to the revocation endpoint: no SDK sends one, one vendor page names the field
//! `hint`, and whether the endpoint accepts either is not documented. RFC 7009 section 2.1 has the server
//! search all token types without it.

mod access_key;
mod kick_users;

use serde_json::Value;
use url::Url;

use super::body::Body;
use super::client_auth::Client;
use super::dialect::{Attempt, Dialect};
use super::http::Http;
use super::oauth::Rfc7009;
use super::probe::{self, Probed};
use super::reply::Reply;
use super::rfc7009;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, GenauthConfig, GenauthProtocol};
use crate::outcome::{Answer, Verdict};
use crate::target::Kind;

pub(super) use self::access_key::AccessKey;
use self::kick_users::KickUsers;

/// A GenAuth application.
pub(super) struct Genauth {
    tokens: Rfc7009,
    kick_users: Option<KickUsers>,
}

impl Genauth {
    /// The application of `config`. Basic credentials go raw, as the SDKs send them. The introspection
    /// endpoint documents `token_type_hint`, so it gets one.
    pub(super) fn new(setup: &Setup<'_>, config: &GenauthConfig) -> Result<Self, ProviderSetupError> {
        let protocol = match config.protocol {
            GenauthProtocol::Oidc => "oidc",
            GenauthProtocol::Oauth => "oauth",
        };
        let endpoint =
            |call: &str| setup.url_under("app_host", &config.app_host, &format!("/{protocol}/token/{call}"));
        let (revocation, introspection) = (endpoint("revocation")?, endpoint("introspection")?);
        let client = Client::new(setup, &config.client, BasicEncoding::Raw)?;
        let tokens = Rfc7009::at(client, revocation, Some(introspection)).unhinted(classify);
        let kick_users =
            config.management.as_ref().map(|config| KickUsers::new(setup, config)).transpose()?;
        Ok(Self { tokens, kick_users })
    }
}

impl Dialect for Genauth {
    fn calls(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Token => 1,
            Kind::Subject => u32::from(self.kick_users.is_some()),
            _ => 0,
        }
    }

    fn addresses(&self) -> Vec<&Url> {
        self.tokens
            .configured()
            .into_iter()
            .chain(self.kick_users.as_ref().map(KickUsers::endpoint))
            .collect()
    }

    fn tokens(&self) -> Option<&Rfc7009> {
        Some(&self.tokens)
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, _: Option<&'a str>) -> Attempt<'a> {
        Some(Box::pin(self.kick_users.as_ref()?.log_out(http, sub)))
    }

    fn knows_unknown_tokens(&self) -> bool {
        false
    }

    fn read_admin(&self, answer: Answer) -> Probed {
        probe::read(answer, "check the access key and app_ids", true, probe::is_no_user)
    }
}

/// What GenAuth's answer means: the body's `statusCode` speaks where the HTTP status says 2xx, and its
/// throttling where it says 4xx.
fn classify(reply: &Reply<'_>) -> Answer {
    let body = reply.json();
    let number = |name: &str| body.as_ref().and_then(|body| body.get(name)?.as_u64());
    match (reply.is_success(), number("statusCode")) {
        (true, Some(code)) => coded(reply, code, number("apiCode"), body.as_ref()),
        (true, None) if matches!(reply.body, Body::Empty) || body.as_ref().is_some_and(Value::is_object) => {
            rfc7009::classify(reply)
        }
        (true, None) => reply.fails(
            Verdict::Transient,
            "neither an empty body nor a statusCode: is app_host the application's host?",
        ),
        (false, Some(code)) if is_transient(code) => reply.transient(),
        (false, _) => rfc7009::classify(reply),
    }
}

fn coded(reply: &Reply<'_>, code: u64, api_code: Option<u64>, body: Option<&Value>) -> Answer {
    let denied = body.and_then(|body| body.pointer("/data/success")) == Some(&Value::Bool(false));
    match (code, api_code) {
        (200, _) if denied => reply.transient(),
        (200, _) => reply.accepted(),
        // Signature, clock and nonce faults of the credentials; unknown application; unknown user pool.
        (_, Some(1300..=1306 | 2011 | 2224)) | (401..=405, _) => reply.doubted(),
        (501, _) => reply.fails(Verdict::Unsupported, "the provider has no such call"),
        (code, _) if is_transient(code) => reply.transient(),
        _ => reply
            .fails(Verdict::Refused, "the provider refuses this token: see its log, then retry or cancel"),
    }
}

/// Throttling, server faults, and 601 to 603: faults of third parties and pipelines behind it.
fn is_transient(code: u64) -> bool {
    matches!(code, 408 | 425 | 429 | 500 | 502..=504 | 601..=603)
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;
    use crate::outcome::Proof;

    #[test]
    fn every_row_of_the_table() {
        let accepted = Verdict::Done(Proof::Accepted);
        let rows = [
            (200, "", accepted),
            (200, " \n", accepted),
            (200, "{}", accepted),
            (200, r#"{"statusCode":200,"message":"ok","data":{"success":true}}"#, accepted),
            (200, r#"{"statusCode":200}"#, accepted),
            (201, r#"{"statusCode":200,"data":{"success":true}}"#, accepted),
            (200, r#"{"statusCode":200,"data":{"success":false}}"#, Verdict::Transient),
            (200, "<!DOCTYPE html>", Verdict::Transient),
            (200, r#"{"statusCode":200,"data":{"success":"false"}}"#, Verdict::Transient),
            (200, r#"{"statusCode":200,"error":{"code":1}}"#, Verdict::Transient),
            (200, r#"{"statusCode":"500"}"#, Verdict::Transient),
            (200, r#"{"success":false}"#, Verdict::Transient),
            (200, "true", Verdict::Transient),
            (200, r#"{"statusCode":429,"message":"ThrottleError"}"#, Verdict::Transient),
            (200, r#"{"statusCode":500}"#, Verdict::Transient),
            (200, r#"{"statusCode":502}"#, Verdict::Transient),
            (200, r#"{"statusCode":503}"#, Verdict::Transient),
            (200, r#"{"statusCode":602}"#, Verdict::Transient),
            (400, r#"{"statusCode":429}"#, Verdict::Transient),
            (200, r#"{"statusCode":400}"#, Verdict::Refused),
            (200, r#"{"statusCode":422}"#, Verdict::Refused),
            (200, r#"{"statusCode":499}"#, Verdict::Refused),
            (200, r#"{"statusCode":501}"#, Verdict::Unsupported),
            (200, r#"{"statusCode":401}"#, Verdict::Doubted),
            (200, r#"{"statusCode":402}"#, Verdict::Doubted),
            (200, r#"{"statusCode":403}"#, Verdict::Doubted),
            (200, r#"{"statusCode":404,"apiCode":2011}"#, Verdict::Doubted),
            (200, r#"{"statusCode":400,"apiCode":1305}"#, Verdict::Doubted),
            (200, r#"{"error":"invalid_token"}"#, Verdict::Done(Proof::AlreadyInvalid)),
            (400, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
            (400, r#"{"error":"invalid_request"}"#, Verdict::Refused),
            (401, r#"{"error":"invalid_client"}"#, Verdict::Doubted),
            (404, "", Verdict::Doubted),
            (302, "", Verdict::Misconfigured),
            (429, "", Verdict::Transient),
            (503, r#"{"statusCode":400}"#, Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).verdict, verdict, "{status} {body}");
        }
    }
}
