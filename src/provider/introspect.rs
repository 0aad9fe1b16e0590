//! `verify = "introspect"`: whether a revocation took effect (RFC 7662), by a look before it and a look after
//! it.
//!
//! One look proves nothing: a server says `active:false` of every token that the asking client may not see,
//! and 200 to its revocation.

use std::time::Duration;

use url::Url;

use super::client_auth::Client;
use super::http::Http;
use super::reply::Reply;
use super::scrub::limit;
use crate::config::Verify;
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::PresentedToken;

/// Longest time that the first look takes: what proves a revocation must not hold it up.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// What introspection says of a token.
pub(super) enum Look {
    /// `active:true`, as the answer to a revocation that was accepted.
    Active(Answer),
    /// `active:false`; whether the answer names us as the token's client.
    Inactive { ours: bool },
    /// It seems that we may not ask. A probe that names no target finds out whether a person has to mend
    /// that.
    Denied(Answer),
    /// Refused for good (other 4xx): asking again would bring the same.
    Nothing,
    /// No answer, or none that can be read.
    Failed(Answer),
}

impl Look {
    /// Why it brought nothing, where a person or a later look may mend that.
    fn failure(self) -> Option<Answer> {
        match self {
            Self::Denied(answer) | Self::Failed(answer) => Some(answer),
            Self::Active(_) | Self::Inactive { .. } | Self::Nothing => None,
        }
    }
}

/// What showing the client with a token that nobody holds comes to: the answer to its revocation, or, where
/// proofs need looks, why a look fails.
pub(super) async fn try_client(revoked: Answer, verify: Verify, look: impl Future<Output = Look>) -> Answer {
    match (revoked.verdict, verify) {
        (Verdict::Done(_) | Verdict::Unsupported, Verify::Introspect) => {
            look.await.failure().unwrap_or(revoked)
        }
        _ => revoked,
    }
}

/// The look before a revocation. One that takes too long counts as none.
pub(super) async fn first(look: impl Future<Output = Look>) -> Look {
    tokio::time::timeout(FIRST_LOOK, look).await.unwrap_or(Look::Nothing)
}

/// One introspection.
pub(super) async fn look(http: &Http, client: &Client, endpoint: &Url, token: &PresentedToken) -> Look {
    let shown = match client.show(http, endpoint) {
        Ok(shown) => shown,
        Err(failure) => return Look::Denied(failure),
    };
    match http.send(client.call(endpoint, token, token.hint, &shown)).await {
        Ok(reply) => classify(&reply, client.id()),
        Err(failure) => Look::Failed(failure),
    }
}

/// What both looks make of `accepted`, the provider's yes between them. Revocation is idempotent: what is
/// `Transient` is tried again as a whole.
pub(super) fn conclude(accepted: Answer, before: Look, after: Look) -> Answer {
    match (before, after) {
        (_, Look::Active(contradiction)) => contradiction,
        (Look::Denied(denial), _) | (_, Look::Denied(denial)) => unverified(denial),
        (Look::Active(_) | Look::Inactive { ours: true }, Look::Inactive { .. }) => {
            Answer { verdict: Verdict::Done(Proof::Verified), ..accepted }
        }
        // If it never becomes readable, a person is told, as of any other call.
        (_, Look::Failed(failure)) if failure.verdict == Verdict::Unreadable => unverified(failure),
        (_, Look::Failed(failure)) => unverified(Answer { verdict: Verdict::Transient, ..failure }),
        (_, Look::Inactive { .. } | Look::Nothing) => accepted,
    }
}

fn unverified(failure: Answer) -> Answer {
    let error = failure.error.map(|error| limit(&format!("revocation accepted, not verified: {error}")));
    Answer { error, ..failure }
}

fn classify(reply: &Reply<'_>, us: &str) -> Look {
    let body = reply.json().unwrap_or_default();
    match (reply.status, body.get("active").and_then(serde_json::Value::as_bool)) {
        (401, _) => denied(reply),
        (200..=299 | 400, _) if reply.oauth_error().as_deref() == Some("invalid_client") => denied(reply),
        // It says that it could not look.
        (200..=299, Some(false)) if body.get("error").is_some_and(|error| !error.is_null()) => {
            Look::Failed(reply.transient())
        }
        (200..=299, Some(false)) => {
            Look::Inactive { ours: body.get("client_id").and_then(serde_json::Value::as_str) == Some(us) }
        }
        (200..=299, Some(true)) => Look::Active(reply.fails(
            Verdict::Contradicted,
            "active after an accepted revocation: is the token another client's?",
        )),
        (408 | 425 | 429, _) => Look::Failed(reply.transient()),
        (400..=499, _) => Look::Nothing,
        _ => Look::Failed(reply.transient()),
    }
}

fn denied(reply: &Reply<'_>) -> Look {
    Look::Denied(reply.doubted())
}

#[cfg(test)]
mod tests;
