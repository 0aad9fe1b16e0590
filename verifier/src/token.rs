//! What a service knows of the token in front of it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// A moment as JWTs write it (RFC 7519, NumericDate: seconds since 1970, perhaps with a fraction), kept in milliseconds.
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
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A conversion of floats saturates; what is left of a millisecond is dropped, which makes a token older, never younger.
        Ok(Self((f64::deserialize(deserializer)? * 1000.0).floor() as i64))
    }
}

/// The claims that a denial may name. Deserialises from a JWT's payload or an introspection answer; other members are ignored.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// RFC 7519 section 4.1.7.
    pub jti: Option<String>,
    /// RFC 7519 section 4.1.1.
    pub iss: Option<String>,
    /// RFC 7519 section 4.1.2.
    pub sub: Option<String>,
    /// OpenID Connect session.
    pub sid: Option<String>,
    /// RFC 9068 section 2.2.
    pub client_id: Option<String>,
    /// OpenID Connect authorized party: another name of the client.
    pub azp: Option<String>,
    /// RFC 7519 section 4.1.6.
    pub iat: Option<NumericDate>,
    /// RFC 7519 section 4.1.4.
    pub exp: Option<NumericDate>,
}
