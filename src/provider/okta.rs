//! `kind = "okta"`: tokens by RFC 7009 as an application, whole users by the management API.
//!
//! `DELETE /api/v1/users/{id}/sessions?oauthTokens=true` ends the user's sessions at Okta and the OAuth
//! tokens issued to the user. `forgetDevices` is left to the organisation's default, which in Identity Engine
//! forgets the devices. Sessions that applications keep by themselves are not ended.

use std::sync::Arc;

use reqwest::Method;
use url::Url;

use super::address::{Address, segment};
use super::assertion::Assertion;
use super::bearer::Bearer;
use super::bearers::{Bearers, Source};
use super::call::Call;
use super::client_auth::Client;
use super::dialect::{Attempt, Dialect};
use super::grant::Grant;
use super::http::Http;
use super::oauth::Rfc7009;
use super::probe::{self, Probed};
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use super::signer::{Key, Signer};
use crate::config::{BasicEncoding, OktaConfig, OktaServiceConfig};
use crate::outcome::{Answer, Verdict};
use crate::target::Kind;

/// An Okta organisation.
pub(super) struct Okta {
    base: Url,
    tokens: Option<Rfc7009>,
    bearers: Option<Bearers>,
}

impl Okta {
    /// The organisation of `config`.
    pub(super) fn new(setup: &Setup<'_>, config: &OktaConfig) -> Result<Self, ProviderSetupError> {
        let base = setup.url_under("base_url", &config.base_url, "")?;
        let source = match (&config.api_token, &config.service) {
            (Some(token), _) => Some(Source::fixed(setup, "api_token", "SSWS", token)?),
            (None, Some(service)) => Some(granted(setup, config, service)?),
            (None, None) => None,
        };
        let bearers = source.map(Bearers::new);
        Ok(Self { base, tokens: tokens(setup, config)?, bearers })
    }

    async fn clear(&self, http: &Http, bearer: &Bearer, sub: &str) -> Result<Answer, Answer> {
        let address = Address::new(&self.base, "/api/v1/users/{}/sessions?oauthTokens=true", &[sub])?;
        Ok(classify(&bearer.send(http, Call::to(Method::DELETE, &address).secrets([sub])).await?))
    }
}

impl Dialect for Okta {
    fn calls(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Token => u32::from(self.tokens.is_some()),
            Kind::Subject => u32::from(self.bearers.is_some()),
            _ => 0,
        }
    }

    fn addresses(&self) -> Vec<&Url> {
        vec![&self.base]
    }

    fn tokens(&self) -> Option<&Rfc7009> {
        self.tokens.as_ref()
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, _: Option<&'a str>) -> Attempt<'a> {
        let bearers = self.bearers.as_ref()?;
        let clear = move |bearer: Arc<Bearer>| async move { self.clear(http, &bearer, sub).await };
        Some(Box::pin(bearers.lend(http, clear)))
    }

    fn read_admin(&self, answer: Answer) -> Probed {
        probe::read(
            answer,
            "check api_token or service_client_id, and network zones",
            true,
            probe::is_no_user,
        )
    }
}

/// The management API takes tokens of the organisation's own server alone, granted for a private key.
fn granted(
    setup: &Setup<'_>,
    config: &OktaConfig,
    service: &OktaServiceConfig,
) -> Result<Source, ProviderSetupError> {
    let endpoint = setup.url_under("base_url", &config.base_url, "/oauth2/v1/token")?;
    let (setting, id) = ("service_private_key", service.key_id.as_deref());
    let signer = Signer::private(setup, Key { id, ..Key::new(setting, &service.key) })?;
    let client = Client::with_assertion(&service.client_id, Assertion::of(signer, &service.client_id));
    Ok(Source::Grant(Grant::of(client, endpoint).with([("scope", "okta.users.manage".to_owned())])))
}

fn tokens(setup: &Setup<'_>, config: &OktaConfig) -> Result<Option<Rfc7009>, ProviderSetupError> {
    let Some(client) = &config.client else { return Ok(None) };
    let server = match &config.authorization_server_id {
        None => "/oauth2/v1".to_owned(),
        Some(id) => format!(
            "/oauth2/{}/v1",
            segment(id).ok_or_else(|| setup.refuse("authorization_server_id", "is no server's id"))?
        ),
    };
    let endpoint = |call: &str| setup.url_under("base_url", &config.base_url, &format!("{server}/{call}"));
    let client = Client::new(setup, client, BasicEncoding::Rfc6749)?;
    Ok(Some(Rfc7009::at(client, endpoint("revoke")?, Some(endpoint("introspect")?))))
}

/// What the management API's answer means. Okta's own errors have an `errorCode`; a 403 or 404 without one is
/// no word on the user.
///
/// Of its codes for 403 (<https://developer.okta.com/docs/reference/error-codes/>), E0000005 refuses the
/// session and E0000015 the feature, whoever the user is. E0000006 says "no permission" of an administrator
/// without any role and of a super administrator whom others may not log out alike.
fn classify(reply: &Reply<'_>) -> Answer {
    let code = reply.text("errorCode");
    match reply.status {
        200..=299 => reply.accepted(),
        401 => reply.doubted(),
        403 => match code.as_deref() {
            None | Some("E0000005" | "E0000015") => reply.doubted(),
            Some(_) => reply
                .fails(Verdict::Refused, "the administrator of api_token may not clear this user's sessions"),
        },
        404 if code.is_some() => {
            reply.fails(Verdict::Refused, "no such user: sub must be the user's id at Okta")
        }
        _ => reply
            .status_answer()
            .unwrap_or_else(|| reply.fails(Verdict::Refused, "see Okta's system log, then retry or cancel")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;
    use crate::outcome::Proof;

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            (204, "", Verdict::Done(Proof::Accepted)),
            (200, "{}", Verdict::Done(Proof::Accepted)),
            (200, "<html>Sign in</html>", Verdict::Transient),
            (200, r#"{"errorCode":"E0000009"}"#, Verdict::Transient),
            (200, r#"{"status":"fail"}"#, Verdict::Transient),
            (404, r#"[{"errorCode":"E0000007"}]"#, Verdict::Refused),
            (400, r#"{"errorCode":"E0000001"}"#, Verdict::Refused),
            (401, r#"{"errorCode":"E0000011"}"#, Verdict::Doubted),
            (403, r#"{"errorCode":"E0000005"}"#, Verdict::Doubted),
            (403, r#"{"errorCode":"E0000006"}"#, Verdict::Refused),
            (403, r#"{"errorCode":"E0000015"}"#, Verdict::Doubted),
            (403, r#"{"errorCode":"E0000999"}"#, Verdict::Refused),
            (403, "<html>Forbidden</html>", Verdict::Doubted),
            (
                404,
                r#"{"errorCode":"E0000007","errorSummary":"Not found: Resource not found: u (User)"}"#,
                Verdict::Refused,
            ),
            (404, "<html>", Verdict::Doubted),
            (405, "", Verdict::Doubted),
            (302, "", Verdict::Misconfigured),
            (429, r#"{"errorCode":"E0000047"}"#, Verdict::Transient),
            (500, r#"{"errorCode":"E0000009"}"#, Verdict::Transient),
            (503, "", Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).verdict, verdict, "{status} {body}");
        }
    }

    #[test]
    fn oktas_words_are_told() {
        let answer =
            classify(&reply(404, r#"{"errorCode":"E0000007","errorSummary":"Not found: tok/1 (User)"}"#));
        assert!(answer.error.unwrap().contains("404 E0000007: Not found: [redacted] (User); no such user"));
    }
}
