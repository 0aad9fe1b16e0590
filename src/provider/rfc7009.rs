//! `kind = "rfc7009"`: OAuth 2.0 Token Revocation, as any OAuth server speaks it.

use url::Url;

use super::client_auth::Client;
use super::discovery::{Discovery, Endpoint};
use super::http::Http;
use super::introspect::{self, Look};
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{Rfc7009Config, Verify};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::PresentedToken;

/// An OAuth server.
pub(super) struct Rfc7009 {
    client: Client,
    revocation: Option<Url>,
    introspection: Option<Url>,
    discovery: Option<Discovery>,
}

impl Rfc7009 {
    /// The server of `config`. Endpoints that are needed and not given come from `issuer`.
    pub(super) fn new(setup: &Setup<'_>, config: &Rfc7009Config) -> Result<Self, ProviderSetupError> {
        let given = |endpoint: Endpoint, text: &Option<String>| {
            text.as_deref().map(|text| setup.url(endpoint.as_str(), text)).transpose()
        };
        let revocation = given(Endpoint::Revocation, &config.revocation_endpoint)?;
        let introspection = given(Endpoint::Introspection, &config.introspection_endpoint)?;
        let wanted = match (&revocation, &introspection, setup.config.verify) {
            (None, _, _) => Some(Endpoint::Revocation),
            (Some(_), None, Verify::Introspect) => Some(Endpoint::Introspection),
            _ => None,
        };
        let discovery = wanted.map(|endpoint| Discovery::new(setup, endpoint)).transpose()?;
        let client = Client::new(setup, &config.client, config.basic_encoding)?;
        Ok(Self { client, revocation, introspection, discovery })
    }

    /// The server of a product whose endpoints are known.
    pub(super) fn at(client: Client, revocation: Url, introspection: Option<Url>) -> Self {
        Self { client, revocation: Some(revocation), introspection, discovery: None }
    }

    /// One revocation request. Metadata that led to a failure a person has to mend is read again next time:
    /// the endpoint may have moved.
    pub(super) async fn revoke(&self, http: &Http, token: &PresentedToken) -> Answer {
        let url = match self.endpoint(http, Endpoint::Revocation).await {
            Ok(url) => url,
            Err(answer) => return self.reconsidered(answer),
        };
        let reply = http.send(self.client.call(&url, token, token.hint)).await;
        self.reconsidered(reply.map_or_else(|failure| failure, |reply| classify(&reply)))
    }

    /// See [`introspect::look`]. Metadata that names no endpoint to look at proves nothing; one that lies
    /// where it may not needs a person.
    pub(super) async fn look(&self, http: &Http, token: &PresentedToken) -> Look {
        match self.endpoint(http, Endpoint::Introspection).await {
            Ok(url) => introspect::look(http, &self.client, &url, token).await,
            Err(failure) if failure.verdict != Verdict::Misconfigured => Look::Failed(failure),
            Err(failure) => {
                let is_refused = self
                    .discovery
                    .as_ref()
                    .is_some_and(|discovery| discovery.refuses(Endpoint::Introspection));
                let failure = self.reconsidered(failure);
                if is_refused { Look::Denied(failure) } else { Look::Nothing }
            }
        }
    }

    /// Shows the client with a token that nobody holds; `verify`: at the introspection endpoint too.
    ///
    /// Metadata that led to a refusal is read again next time, as in [`Self::revoke`]: here no target can
    /// have been the reason.
    pub(super) async fn try_client(&self, http: &Http, verify: Verify, unknown: &PresentedToken) -> Answer {
        let answer = self.revoke(http, unknown).await;
        if let (Verdict::Doubted, Some(discovery)) = (answer.verdict, &self.discovery) {
            discovery.forget();
        }
        introspect::try_client(answer, verify, self.look(http, unknown)).await
    }

    /// Whether there is an introspection endpoint, or metadata that may name one.
    pub(super) fn can_introspect(&self) -> bool {
        self.introspection.is_some() || self.discovery.is_some()
    }

    /// Where metadata is needed: one sentence on what it says.
    pub(super) async fn describe(&self, http: &Http, verify: Verify) -> Option<Result<String, Answer>> {
        let discovery = self.discovery.as_ref()?;
        let needs_introspection = verify == Verify::Introspect && self.introspection.is_none();
        let revocation = match &self.revocation {
            None => Some(discovery.describe(http, Endpoint::Revocation).await),
            Some(_) => None,
        };
        match revocation {
            Some(Ok(_)) | None if needs_introspection => {
                Some(discovery.describe(http, Endpoint::Introspection).await)
            }
            other => other,
        }
    }

    /// The configured revocation endpoint, if there is one.
    pub(super) fn configured(&self) -> Option<&Url> {
        self.revocation.as_ref()
    }

    async fn endpoint(&self, http: &Http, endpoint: Endpoint) -> Result<Url, Answer> {
        let given = match endpoint {
            Endpoint::Revocation => &self.revocation,
            Endpoint::Introspection => &self.introspection,
            Endpoint::GlobalTokenRevocation => &None,
        };
        match (given, &self.discovery) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(discovery)) => discovery.endpoint(http, endpoint).await,
            (None, None) => Err(unconfigured(endpoint)),
        }
    }

    fn reconsidered(&self, answer: Answer) -> Answer {
        if let (Verdict::Misconfigured, Some(discovery)) = (answer.verdict, &self.discovery) {
            discovery.forget();
        }
        answer
    }
}

fn unconfigured(endpoint: Endpoint) -> Answer {
    let error = Some(format!("{} is neither set nor discovered", endpoint.as_str()));
    Answer { verdict: Verdict::Misconfigured, http_status: None, error, retry_after: None }
}

/// The other codes of RFC 6749 and RFC 8628, which no gateway uses for faults of its own.
const REFUSALS: [&str; 5] = [
    "invalid_request",
    "invalid_grant",
    "invalid_scope",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// What a server's answer means (RFC 7009 section 2.2, RFC 6749 section 5.2 and what servers do beside them).
pub(super) fn classify(reply: &Reply<'_>) -> Answer {
    if let Some(answer) = reply.status_answer() {
        return answer;
    }
    match (reply.status, reply.oauth_error().as_deref()) {
        // Any 2xx: RFC 9110 section 15 has the others treated as 200. RFC 7009 has the body ignored, but one
        // that says no is no yes.
        (200..=299, None) => reply.accepted(),
        // Keycloak says so with 200, Google with 400. What is broken off might have gone on otherwise.
        (200..=299 | 400, Some("invalid_token")) if !reply.body.is_broken() => {
            reply.done(Proof::AlreadyInvalid)
        }
        (_, Some("unsupported_token_type")) => {
            reply.fails(Verdict::Unsupported, "the provider does not revoke tokens of this type")
        }
        (_, Some("temporarily_unavailable" | "server_error")) => reply.transient(),
        // Zitadel blames the client for a token of another client; pausing the provider for it would stop
        // everybody's revocations.
        (401, Some("invalid_client")) if blames_the_token(reply) => {
            reply.fails(Verdict::Refused, "revoke it as the client that it was issued to")
        }
        // Ours or the token's: some servers say so of a token of another client.
        (401..=403, _) | (_, Some("invalid_client" | "unauthorized_client")) => reply.doubted(),
        // An error that OAuth does not know is somebody else's, who stands before the server.
        (200..=299, Some(code)) if !REFUSALS.contains(&code) => reply.accepted(),
        _ => reply
            .fails(Verdict::Refused, "the provider refuses this token: see its log, then retry or cancel"),
    }
}

fn blames_the_token(reply: &Reply<'_>) -> bool {
    reply
        .text("error_description")
        .is_some_and(|description| description.contains("not issued for this client"))
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;

    const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);
    const ALREADY_INVALID: Verdict = Verdict::Done(Proof::AlreadyInvalid);

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            (200, "", ACCEPTED),
            (200, "{}", ACCEPTED),
            (200, "revoked", ACCEPTED),
            (200, r#"{"status":"ok"}"#, ACCEPTED),
            (200, "<html>anything</html>", Verdict::Transient),
            (200, r#"{"error":{"code":401}}"#, Verdict::Transient),
            (200, r#"{"errors":[{"message":"no"}]}"#, Verdict::Transient),
            (200, r#"{"success":false}"#, Verdict::Transient),
            (200, r#"{"status":"error"}"#, Verdict::Transient),
            (200, r#"{"error":"blocked_by_policy"}"#, Verdict::Transient),
            (200, r#"{"error":"invalid_token","error":null}"#, Verdict::Transient),
            (200, r#"{"error":"invalid_request"}"#, Verdict::Refused),
            (200, r#"{"error":"invalid_token""#, Verdict::Transient),
            (400, r#"{"error":"invalid_token""#, Verdict::Refused),
            (200, "error=invalid_token", ALREADY_INVALID),
            (400, "error=unsupported_token_type&error_description=x", Verdict::Unsupported),
            (400, r#"[{"error":"unsupported_token_type"}]"#, Verdict::Unsupported),
            (400, r#"[{"errorCode":"INVALID_SESSION_ID","message":"x"}]"#, Verdict::Refused),
            (400, r#"{"error":"invalid_token","load":NaN}"#, ALREADY_INVALID),
            (400, "<OAuth><error>unsupported_token_type</error></OAuth>", Verdict::Unsupported),
            (400, "error=invalid_token&error=server_error", Verdict::Refused),
            (204, "", ACCEPTED),
            (200, r#"{"error":"invalid_token"}"#, ALREADY_INVALID),
            (
                400,
                r#"{"error":"invalid_token","error_description":"Token expired or revoked"}"#,
                ALREADY_INVALID,
            ),
            (200, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
            (400, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
            (401, r#"{"error":"unsupported_token_type"}"#, Verdict::Unsupported),
            (400, r#"{"error":"invalid_request"}"#, Verdict::Refused),
            (400, r#"{"error":"invalid_grant"}"#, Verdict::Refused),
            (400, "", Verdict::Refused),
            (413, "", Verdict::Refused),
            (422, r#"{"message":"no"}"#, Verdict::Refused),
            (
                401,
                r#"{"error":"invalid_client","error_description":"token was not issued for this client"}"#,
                Verdict::Refused,
            ),
            (401, r#"{"error":"invalid_client"}"#, Verdict::Doubted),
            (401, r#"{"error":"invalid_token"}"#, Verdict::Doubted),
            (401, "", Verdict::Doubted),
            (403, r#"{"error":"unauthorized_client"}"#, Verdict::Doubted),
            (403, "<html>blocked</html>", Verdict::Doubted),
            (400, r#"{"error":"invalid_client"}"#, Verdict::Doubted),
            (400, r#"{"error":"unauthorized_client"}"#, Verdict::Doubted),
            (400, r#"{"error":"temporarily_unavailable"}"#, Verdict::Transient),
            (200, r#"{"error":"server_error"}"#, Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).verdict, verdict, "{status} {body}");
        }
    }

    #[test]
    fn statuses_that_decide_alone() {
        let rows = [
            (Verdict::Transient, [408, 425, 429, 500, 501, 502, 503, 504, 599].as_slice()),
            (Verdict::Misconfigured, &[301, 302, 303, 304, 307, 308]),
            (Verdict::Doubted, &[404, 405, 407, 410]),
        ];
        for (verdict, statuses) in rows {
            for status in statuses {
                // The body must not be able to change it.
                let answer = classify(&reply(*status, r#"{"error":"invalid_token"}"#));
                assert_eq!((answer.verdict, answer.http_status), (verdict, Some(*status)));
            }
        }
    }

    #[test]
    fn success_carries_no_error_and_failure_does() {
        assert_eq!(classify(&reply(200, "")).error, None);
        assert!(classify(&reply(400, "")).error.is_some());
    }
}
