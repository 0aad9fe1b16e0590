//! `kind = "rfc7009"`: OAuth 2.0 Token Revocation, as any OAuth server speaks it.

use url::Url;

use super::client_auth::Client;
use super::dialect::{Description, Dialect};
use super::discovery::{Discovery, Endpoint};
use super::http::Http;
use super::oauth::Rfc7009;
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{Rfc7009Config, Verify};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::Kind;

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
        Ok(Self { client, revocation, introspection, discovery, sends_hints: true, classify })
    }

    /// The server of a product whose endpoints are known.
    pub(super) fn at(client: Client, revocation: Url, introspection: Option<Url>) -> Self {
        let revocation = Some(revocation);
        Self { client, revocation, introspection, discovery: None, sends_hints: true, classify }
    }

    /// The same for a product that wants no hints with revocations, and answers them in its own way.
    pub(super) fn unhinted(self, classify: fn(&Reply<'_>) -> Answer) -> Self {
        Self { sends_hints: false, classify, ..self }
    }
}

impl Dialect for Rfc7009 {
    fn calls(&self, kind: Kind) -> u32 {
        u32::from(kind == Kind::Token)
    }

    fn addresses(&self) -> Vec<&Url> {
        self.configured().into_iter().collect()
    }

    fn tokens(&self) -> Option<&Rfc7009> {
        Some(self)
    }

    fn describe<'a>(&'a self, http: &'a Http, verify: Verify) -> Description<'a> {
        Box::pin(self.metadata(http, verify))
    }

    fn knows_unknown_tokens(&self) -> bool {
        false
    }
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
mod tests;
