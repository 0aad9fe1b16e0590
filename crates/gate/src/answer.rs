//! What the proxy is told about a request's token, in the words of RFC 6750 section 3.

use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use revocation_http_server::Reply;
use revocation_verifier::{Denylist, TokenView, Verdict};

use crate::credentials::Credentials;

const VERDICT: HeaderName = HeaderName::from_static("x-revocation-verdict");
const UNVERIFIABLE: &str = "revocation cannot be checked at the moment";

/// The realm of challenges: printable ASCII without `"` and `\`, so that it needs no quoting of its own.
#[derive(Clone)]
pub(super) struct Realm(String);

impl Realm {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
        text.chars().all(is_plain).then(|| Self(text.to_owned()))
    }
}

/// An answer to `/check`.
pub(super) struct Answer {
    verdict: &'static str,
    refusal: Option<Refusal>,
}

/// The `error` of a challenge, and what it says; none where the request did not authenticate at all.
struct Refusal(Option<(&'static str, String)>);

impl Answer {
    /// Looks up the token of a request.
    pub(super) fn to(headers: &HeaderMap, denylist: &Denylist) -> Self {
        match Credentials::of(headers) {
            Credentials::None => Self { verdict: "unauthenticated", refusal: Some(Refusal(None)) },
            Credentials::Malformed(why) => {
                Self::refused("unauthenticated", "invalid_request", why.to_owned())
            }
            Credentials::Bearer(token) => Self::of(denylist.check(&TokenView::bearer(token))),
        }
    }

    fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed => Self { verdict: "allowed", refusal: None },
            Verdict::Denied(denial) => Self::refused("denied", "invalid_token", denial.to_string()),
            Verdict::Stale { accepted: true, .. } => Self { verdict: "stale_accepted", refusal: None },
            Verdict::Stale { accepted: false, .. } => {
                Self::refused("stale_refused", "invalid_token", UNVERIFIABLE.to_owned())
            }
        }
    }

    fn refused(verdict: &'static str, error: &'static str, description: String) -> Self {
        Self { verdict, refusal: Some(Refusal(Some((error, description)))) }
    }

    /// `accepted`, or else 401: nginx makes a 500 of any other refusal but 403.
    pub(super) fn response(self, accepted: StatusCode, realm: Option<&Realm>) -> Reply {
        let mut response = Reply::default();
        let headers = response.headers_mut();
        headers.insert(VERDICT, HeaderValue::from_static(self.verdict));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.refusal {
            None => *response.status_mut() = accepted,
            Some(refusal) => {
                headers.insert(WWW_AUTHENTICATE, refusal.challenge(realm));
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
        }
        response
    }
}

impl Refusal {
    fn challenge(self, realm: Option<&Realm>) -> HeaderValue {
        let realm = realm.map(|Realm(realm)| format!("realm=\"{realm}\""));
        let error = self
            .0
            .map(|(error, description)| format!("error=\"{error}\", error_description=\"{description}\""));
        let parameters = [realm, error].into_iter().flatten().collect::<Vec<_>>().join(", ");
        // Realm and descriptions are printable ASCII, which a header holds.
        HeaderValue::try_from(format!("Bearer {parameters}").trim_end())
            .unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

#[cfg(test)]
mod tests {
    use revocation_verifier::message::Kind;
    use revocation_verifier::{Denial, Staleness};

    use super::*;

    fn headers(answer: Answer, realm: Option<&str>) -> (u16, String, Option<String>) {
        let response = answer.response(StatusCode::NO_CONTENT, realm.and_then(Realm::parse).as_ref());
        let text = |name| {
            response.headers().get(name).map(|value: &HeaderValue| value.to_str().expect("ASCII").to_owned())
        };
        assert_eq!(text(CACHE_CONTROL).as_deref(), Some("no-store"));
        (response.status().as_u16(), text(VERDICT).unwrap_or_default(), text(WWW_AUTHENTICATE))
    }

    #[test]
    fn each_verdict_has_its_answer() {
        let why = Staleness::Silent;
        let stale =
            r#"Bearer error="invalid_token", error_description="revocation cannot be checked at the moment""#;
        let revoked = r#"Bearer error="invalid_token", error_description="the token was revoked""#;
        for (verdict, status, name, challenge) in [
            (Verdict::Allowed, 204, "allowed", None),
            (Verdict::Denied(Denial::Revoked(Kind::Token)), 401, "denied", Some(revoked)),
            (Verdict::Stale { accepted: true, why }, 204, "stale_accepted", None),
            (Verdict::Stale { accepted: false, why }, 401, "stale_refused", Some(stale)),
        ] {
            assert_eq!(
                headers(Answer::of(verdict), None),
                (status, name.to_owned(), challenge.map(str::to_owned))
            );
        }
    }

    #[test]
    fn a_challenge_without_credentials_has_no_error() {
        let bare = || Answer { verdict: "unauthenticated", refusal: Some(Refusal(None)) };
        assert_eq!(headers(bare(), None).2.as_deref(), Some("Bearer"));
        assert_eq!(headers(bare(), Some("the shop")).2.as_deref(), Some(r#"Bearer realm="the shop""#));
        let malformed = Answer::refused("unauthenticated", "invalid_request", "why".to_owned());
        let challenge = headers(malformed, Some("shop")).2;
        assert_eq!(
            challenge.as_deref(),
            Some(r#"Bearer realm="shop", error="invalid_request", error_description="why""#)
        );
    }

    #[test]
    fn a_realm_that_needs_quoting_is_none() {
        for text in ["a\"b", "a\\b", "a\nb", "é", "\t"] {
            assert!(Realm::parse(text).is_none(), "{text:?}");
        }
    }
}
