//! What a service knows of the token in front of it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A moment as JWTs write it (RFC 7519 section 2, NumericDate: seconds since 1970, perhaps with a fraction), kept in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(i64);

impl NumericDate {
    /// From whole seconds since 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// From milliseconds since 1970.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// A number of seconds; `None` for anything else. What is left of a millisecond is dropped: it makes a token older, never younger.
    fn from_json(value: &Value) -> Option<Self> {
        match value.as_i64() {
            Some(seconds) => Some(Self::from_seconds(seconds)),
            // The conversion saturates.
            None => value.as_f64().map(|seconds| Self((seconds * 1000.0).floor() as i64)),
        }
    }
}

/// The claims that a denial may name. Deserialises from a JWT's payload or an introspection answer.
///
/// Other members are ignored. One of these with a wrong type counts as missing, and of a repeated one the last counts (RFC 7519 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The token's own name (RFC 7519 section 4.1.7).
    pub jti: Option<String>,
    /// Issuer (RFC 7519 section 4.1.1).
    pub iss: Option<String>,
    /// Subject (RFC 7519 section 4.1.2).
    pub sub: Option<String>,
    /// Session (OpenID Connect Front-Channel Logout section 3).
    pub sid: Option<String>,
    /// OAuth client (RFC 9068 section 2.2).
    pub client_id: Option<String>,
    /// Authorized party, another name of the client (OpenID Connect Core section 2).
    pub azp: Option<String>,
    /// Issued at (RFC 7519 section 4.1.6).
    pub iat: Option<NumericDate>,
    /// Expires at (RFC 7519 section 4.1.4).
    pub exp: Option<NumericDate>,
}

impl Claims {
    /// The claims of a JWT, not verified; all unknown where `token` is no JWT. Harmless for a denylist: whoever holds a revoked token
    /// cannot change its claims without spoiling its signature, which the service verifies.
    pub fn peek(token: &str) -> Self {
        let mut parts = token.split('.');
        let (Some(_header), Some(payload), Some(_signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Self::default();
        };
        let decoded = URL_SAFE_NO_PAD.decode(payload).ok();
        decoded.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (jti, iss, sub, sid, client_id, azp) = (text("jti"), text("iss"), text("sub"), text("sid"), text("client_id"), text("azp"));
        let date = |name: &str| members.get(name).and_then(NumericDate::from_json);
        Ok(Self { jti, iss, sub, sid, client_id, azp, iat: date("iat"), exp: date("exp") })
    }
}

/// A token as a service sees it: its bytes, its claims, or both. No `Debug`: it holds the token.
pub struct TokenView<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) claims: Cow<'a, Claims>,
}

impl<'a> TokenView<'a> {
    /// The token as presented after `Authorization: Bearer `, with its claims where it is a JWT ([`Claims::peek`]).
    pub fn bearer(token: &'a str) -> Self {
        Self { token: Some(token), claims: Cow::Owned(Claims::peek(token)) }
    }

    /// The token with claims that are known already: verified ones, or those of an introspection answer.
    pub fn with_claims(token: &'a str, claims: &'a Claims) -> Self {
        Self { token: Some(token), claims: Cow::Borrowed(claims) }
    }

    /// Claims alone. A denial of the token by its digest is then not seen, unless it names the `jti` too.
    pub fn claims(claims: &'a Claims) -> Self {
        Self { token: None, claims: Cow::Borrowed(claims) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn reads_the_claims_of_a_jwt() {
        let token = jwt(r#"{"jti":"j","iss":"i","sub":"s","sid":"d","client_id":"c","azp":"a","iat":5,"exp":1800000000.25,"aud":["x"]}"#);
        let claims = TokenView::bearer(&token).claims.into_owned();
        let texts = [&claims.jti, &claims.iss, &claims.sub, &claims.sid, &claims.client_id, &claims.azp].map(Option::as_deref);
        assert_eq!(texts, ["j", "i", "s", "d", "c", "a"].map(Some));
        assert_eq!((claims.iat, claims.exp), (Some(NumericDate(5000)), Some(NumericDate(1_800_000_000_250))));
    }

    #[test]
    fn dates_never_make_a_token_younger() {
        let iat = |value: &str| Claims::peek(&jwt(&format!(r#"{{"iat":{value}}}"#))).iat.map(NumericDate::millis);
        assert_eq!(iat("1.0009"), Some(1000));
        assert_eq!(iat("1e300"), Some(i64::MAX));
        assert_eq!(iat("9223372036854775807"), Some(i64::MAX));
        assert_eq!(iat("-1"), Some(-1000));
        for missing in ["null", "\"5\"", "true", "[5]"] {
            assert_eq!(iat(missing), None, "{missing}");
        }
    }

    #[test]
    fn one_odd_claim_spoils_no_other() {
        let claims = Claims::peek(&jwt(r#"{"sub":7,"sid":"first","sid":"last","iat":"soon"}"#));
        assert!(claims.sub.is_none() && claims.iat.is_none());
        assert_eq!(claims.sid.as_deref(), Some("last"));
    }

    #[test]
    fn what_is_no_jwt_has_no_claims() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#);
        assert!(Claims::peek(&format!("h.{payload}.s")).sub.is_some());
        for token in ["", "opaque", "a.b.c", "..", &format!("h.{payload}"), &format!("h.{payload}.s.x"), "h.W10.s", "h.!.s"] {
            assert!(Claims::peek(token).sub.is_none(), "{token}");
        }
    }
}
