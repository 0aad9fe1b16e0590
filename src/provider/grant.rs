//! A token of the client's own (RFC 6749 section 4.4, `client_credentials`).

use serde_json::Value;
use url::Url;

use super::bearer::{Bearer, lifetime, unpresentable};
use super::client_auth::Client;
use super::http::Http;
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, GrantConfig};
use crate::outcome::{Answer, Verdict};

/// An OAuth client at the endpoint that grants it tokens.
pub(super) struct Grant {
    endpoint: Url,
    client: Client,
    /// What the request holds beside the client: `scope`, and what a product asks for.
    fields: Vec<(&'static str, String)>,
}

impl Grant {
    /// The client of `config`.
    pub(super) fn new(setup: &Setup<'_>, config: &GrantConfig) -> Result<Self, ProviderSetupError> {
        let endpoint = setup.url("token_endpoint", &config.token_endpoint)?;
        let client = Client::new(setup, &config.client, BasicEncoding::Rfc6749)?;
        Ok(Self::of(client, endpoint).with(config.scope.iter().map(|scope| ("scope", scope.clone()))))
    }

    /// A client that is granted tokens at `endpoint`.
    pub(super) fn of(client: Client, endpoint: Url) -> Self {
        Self { endpoint, client, fields: Vec::new() }
    }

    /// The same, with fields that its requests hold besides.
    pub(super) fn with(self, fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { fields: self.fields.into_iter().chain(fields).collect(), ..self }
    }

    /// One request for a token.
    pub(super) async fn ask(&self, http: &Http) -> Result<Bearer, Answer> {
        let shown = self.client.show(http, &self.endpoint)?;
        let fields = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        bearer(&http.send(self.client.grant(&self.endpoint, fields, &shown)).await?)
    }

    /// Where the token is asked for.
    pub(super) fn endpoint(&self) -> &Url {
        &self.endpoint
    }
}

/// The bearer that a token endpoint's answer grants.
pub(super) fn bearer(reply: &Reply<'_>) -> Result<Bearer, Answer> {
    let (token, expires_in) = classify(reply)?;
    Bearer::new("Bearer", token, Some(lifetime(expires_in))).ok_or_else(|| unpresentable(reply))
}

/// The token and its lifetime in seconds (RFC 6749 sections 5.1 and 5.2). What is refused here is no fault of
/// any target.
fn classify(reply: &Reply<'_>) -> Result<(String, Option<u64>), Answer> {
    if let Some(answer) = reply.status_answer() {
        return Err(answer.undoubted());
    }
    if reply.is_success() {
        return granted(&reply.json().unwrap_or_default()).ok_or_else(|| {
            reply.fails_silently(Verdict::Misconfigured, "no access_token in it: check the token endpoint")
        });
    }
    Err(match reply.oauth_error().as_deref() {
        Some("temporarily_unavailable" | "server_error") => reply.transient(),
        _ => reply.fails(
            Verdict::Misconfigured,
            "no token is granted: check client_id, client_secret, client_auth and scope",
        ),
    })
}

fn granted(body: &Value) -> Option<(String, Option<u64>)> {
    let token = body.get("access_token")?.as_str()?.to_owned();
    // Some servers write the number as a string.
    let expires_in = body
        .get("expires_in")
        .and_then(|seconds| seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok()));
    Some((token, expires_in))
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;

    #[test]
    fn every_refusal_is_the_clients_or_passes() {
        let rows = [
            (400, r#"{"error":"invalid_scope"}"#, Verdict::Misconfigured),
            (400, r#"{"error":"unauthorized_client"}"#, Verdict::Misconfigured),
            (400, r#"{"error":"temporarily_unavailable"}"#, Verdict::Transient),
            (401, r#"{"error":"invalid_client"}"#, Verdict::Misconfigured),
            (403, "", Verdict::Misconfigured),
            (404, "", Verdict::Misconfigured),
            (302, "", Verdict::Misconfigured),
            (200, "", Verdict::Misconfigured),
            (200, r#"{"access_token":7}"#, Verdict::Misconfigured),
            (429, "", Verdict::Transient),
            (503, r#"{"access_token":"t"}"#, Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).err().unwrap().verdict, verdict, "{status} {body}");
        }
    }

    #[test]
    fn a_token_comes_with_or_without_its_lifetime() {
        let lifetime = |body| classify(&reply(200, body)).ok().unwrap().1;
        assert_eq!(lifetime(r#"{"access_token":"t","token_type":"Bearer","expires_in":300}"#), Some(300));
        assert_eq!(lifetime(r#"{"access_token":"t","expires_in":"300"}"#), Some(300));
        assert_eq!(lifetime(r#"{"access_token":"t"}"#), None);
    }

    #[test]
    fn a_token_in_a_body_of_another_shape_is_not_repeated() {
        let failure = classify(&reply(200, "access_token=short1")).err().unwrap();
        assert!(!failure.error.unwrap().contains("short1"));
    }
}
