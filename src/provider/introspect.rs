//! `verify = "introspect"`: whether an accepted revocation took effect (RFC 7662).

use url::Url;

use super::client_auth::Client;
use super::http::Http;
use super::reply::Reply;
use super::scrub::limit;
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::PresentedToken;

/// What the introspection endpoint's answer makes of `accepted`, the provider's yes:
///
/// - `active:false`: `Done(Verified)`; `active:true`: `Contradicted`;
/// - refused for good (4xx): `accepted` stands, because asking again would bring the same;
/// - no answer, or none that can be read: `Transient`. Revocation is idempotent, so all of it is tried again.
pub(super) async fn verify(
    http: &Http,
    client: &Client,
    endpoint: Result<Url, Answer>,
    token: &PresentedToken,
    accepted: Answer,
) -> Answer {
    let url = match endpoint {
        Ok(url) => url,
        Err(failure) => return unproven(failure, accepted),
    };
    match http.send(client.call(&url, token, token.hint)).await {
        Ok(reply) => classify(&reply, accepted),
        Err(failure) => again(failure),
    }
}

fn classify(reply: &Reply<'_>, accepted: Answer) -> Answer {
    let active = reply.json().and_then(|body| body.get("active")?.as_bool());
    match (reply.status, active) {
        (200..=299, Some(false)) => Answer { verdict: Verdict::Done(Proof::Verified), ..accepted },
        (200..=299, Some(true)) => {
            reply.fails(Verdict::Contradicted, "active after an accepted revocation: is the token another client's?")
        }
        (408 | 425 | 429, _) => again(reply.transient()),
        (400..=499, _) => accepted,
        _ => again(reply.transient()),
    }
}

/// Metadata that names no usable endpoint stays so; a metadata call that failed may work later.
fn unproven(failure: Answer, accepted: Answer) -> Answer {
    if failure.verdict == Verdict::Transient { again(failure) } else { accepted }
}

fn again(failure: Answer) -> Answer {
    let error = failure.error.map(|error| limit(&format!("revocation accepted, not verified: {error}")));
    Answer { verdict: Verdict::Transient, error, ..failure }
}

/// Whether the endpoint refuses the client or does not answer, shown with a token that nobody holds. `None` where it lets the client in, and where it
/// is missing or refuses for another reason: revocations are accepted without it.
pub(super) async fn try_client(http: &Http, client: &Client, endpoint: Result<Url, Answer>, unknown: &PresentedToken) -> Option<Answer> {
    let url = match endpoint {
        Ok(url) => url,
        Err(failure) => return (failure.verdict == Verdict::Transient).then_some(failure),
    };
    match http.send(client.call(&url, unknown, unknown.hint)).await {
        Ok(reply) if reply.status == 401 || reply.oauth_error().as_deref() == Some("invalid_client") => Some(reply.doubted()),
        Ok(reply) => reply.status_answer().filter(|answer| answer.verdict == Verdict::Transient),
        Err(failure) => Some(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;

    #[test]
    fn only_an_inactive_token_is_verified() {
        let rows = [
            (200, r#"{"active":false}"#, Verdict::Done(Proof::Verified)),
            (200, r#"{"active":true,"sub":"user-1"}"#, Verdict::Contradicted),
            (200, r#"{"active":"false"}"#, Verdict::Transient),
            (200, "", Verdict::Transient),
            (200, "<html>", Verdict::Transient),
            (302, "", Verdict::Transient),
            (400, r#"{"error":"invalid_request"}"#, Verdict::Done(Proof::Accepted)),
            (401, r#"{"error":"invalid_client"}"#, Verdict::Done(Proof::Accepted)),
            (403, r#"{"active":false}"#, Verdict::Done(Proof::Accepted)),
            (404, "", Verdict::Done(Proof::Accepted)),
            (408, "", Verdict::Transient),
            (429, "", Verdict::Transient),
            (500, r#"{"active":false}"#, Verdict::Transient),
            (503, "", Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            let accepted = reply(200, "").done(Proof::Accepted);
            assert_eq!(classify(&reply(status, body), accepted).verdict, verdict, "{status} {body}");
        }
    }
}
