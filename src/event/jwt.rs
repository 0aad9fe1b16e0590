//! A look into a JWT's claims, without verification.
//!
//! The publisher is trusted to send real tokens: `iss` may choose the provider that the token is sent to, and an `exp` that has passed ends the
//! matter without a call. A forged token opens no door, so a lie in it harms only the denial of itself.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;

use super::json::Json;
use super::members::MAX_NAME_BYTES;

/// 9999-12-31T23:59:59Z, the last second that an [`OffsetDateTime`] holds.
const LAST_SECOND: i64 = 253_402_300_799;

/// What is known of a token from its own claims (RFC 7519 section 4.1; `client_id`: RFC 9068, `azp` and `sid`: OpenID Connect).
#[derive(Default)]
pub(super) struct Claims {
    pub(super) jti: Option<String>,
    pub(super) iss: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) sid: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) expires_at: Option<OffsetDateTime>,
}

/// The claims of `token`; all unknown where it is not a three-part token with a JSON object in the middle.
pub(super) fn peek(token: &str) -> Claims {
    let Some(payload) = payload(token) else { return Claims::default() };
    match serde_json::from_slice(&payload) {
        Ok(Json::Object(entries)) => collect(entries),
        _ => Claims::default(),
    }
}

fn payload(token: &str) -> Option<Vec<u8>> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    URL_SAFE_NO_PAD.decode(payload).ok()
}

/// The last one wins where a claim is repeated (RFC 7519 section 4).
fn collect(entries: super::json::Entries<'_>) -> Claims {
    let (mut claims, mut azp) = (Claims::default(), None);
    for (name, value) in entries {
        match &*name {
            "jti" => claims.jti = text(value),
            "iss" => claims.iss = text(value),
            "sub" => claims.sub = text(value),
            "sid" => claims.sid = text(value),
            "client_id" => claims.client_id = text(value),
            "azp" => azp = text(value),
            "exp" => claims.expires_at = numeric_date(&value),
            _ => {}
        }
    }
    claims.client_id = claims.client_id.or(azp);
    claims
}

/// A claim that can be stored; one that cannot is dropped, because the publisher of the event did not write it.
fn text(value: Json<'_>) -> Option<String> {
    match value {
        Json::Text(text) if !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains('\0') => Some(Cow::into_owned(text)),
        _ => None,
    }
}

/// RFC 7519 NumericDate: seconds, perhaps with a fraction, which is rounded up so that no denial ends before its token.
fn numeric_date(value: &Json<'_>) -> Option<OffsetDateTime> {
    let seconds = match value {
        Json::Integer(seconds) => *seconds,
        Json::Float(seconds) => seconds.ceil() as i64,
        _ => return None,
    };
    if seconds <= 0 {
        return None;
    }
    OffsetDateTime::from_unix_timestamp(seconds.min(LAST_SECOND)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_payload(payload: &str) -> Claims {
        peek(&format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)))
    }

    fn exp(value: &str) -> Option<i64> {
        with_payload(&format!(r#"{{"exp":{value}}}"#)).expires_at.map(OffsetDateTime::unix_timestamp)
    }

    #[test]
    fn reads_the_claims() {
        let claims = with_payload(r#"{"jti":"j","iss":"i","sub":"s","sid":"d","client_id":"c","azp":"a","exp":1800000000,"aud":["x"]}"#);
        let texts = [&claims.jti, &claims.iss, &claims.sub, &claims.sid, &claims.client_id].map(Option::as_deref);
        assert_eq!(texts, ["j", "i", "s", "d", "c"].map(Some));
        assert_eq!(claims.expires_at.map(OffsetDateTime::unix_timestamp), Some(1_800_000_000));
        assert_eq!(with_payload(r#"{"azp":"a"}"#).client_id.as_deref(), Some("a"));
    }

    #[test]
    fn odd_expiries_are_rounded_up_clamped_or_unknown() {
        assert_eq!(exp("1800000000.25"), Some(1_800_000_001));
        assert_eq!(exp("1.8e9"), Some(1_800_000_000));
        for huge in ["253402300800", "9223372036854775807", "18446744073709551615", "1e300"] {
            assert_eq!(exp(huge), Some(LAST_SECOND), "{huge}");
        }
        for unknown in ["0", "-1", "-1e300", "-0.5", "\"1800000000\"", "null", "true", "[1]", "1e999"] {
            assert_eq!(exp(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn claims_that_cannot_be_stored_are_dropped_alone() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let claims = with_payload(&format!(r#"{{"sub":"a\u0000b","sid":"{long}","jti":"","iss":7,"client_id":"kept"}}"#));
        assert!(claims.sub.is_none() && claims.sid.is_none() && claims.jti.is_none() && claims.iss.is_none());
        assert_eq!(claims.client_id.as_deref(), Some("kept"));
        assert!(with_payload(&format!(r#"{{"sub":"{}"}}"#, &long[1..])).sub.is_some());
    }

    #[test]
    fn what_is_not_a_jwt_has_no_claims() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#);
        assert!(peek(&format!("h.{payload}.")).sub.is_some());
        for token in [
            "",
            "opaque",
            "a.b",
            "a.b.c",
            "..",
            &format!("h.{payload}"),
            &format!("h.{payload}.s.x"),
            &format!("h.{payload}.s.x.y"),
            "h.W10.s",
        ] {
            assert!(peek(token).sub.is_none(), "{token}");
        }
    }
}
