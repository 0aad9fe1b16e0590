//! What a service knows of the token in front of it.

use crate::claims::Claims;

/// A token as a service sees it: its bytes, its claims, or both. No `Debug`: it holds the token.
pub struct TokenView<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) claims: Option<&'a Claims>,
}

impl<'a> TokenView<'a> {
    /// The token as presented after `Authorization: Bearer `. Its claims are read from it where it is a JWT
    /// ([`Claims::peek`]).
    pub fn bearer(token: &'a str) -> Self {
        Self { token: Some(token), claims: None }
    }

    /// The token with claims that are known already: verified ones, or those of an introspection answer.
    pub fn with_claims(token: &'a str, claims: &'a Claims) -> Self {
        Self { token: Some(token), claims: Some(claims) }
    }

    /// Claims alone. A denial of the token by its digest is then not seen, unless it names the `jti` too.
    pub fn claims(claims: &'a Claims) -> Self {
        Self { token: None, claims: Some(claims) }
    }
}
