//! The token in a request's `Authorization` header.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// What the header holds. No `Debug`: it may be a token.
pub(super) enum Credentials<'a> {
    /// No header, or another scheme: the request did not try to authenticate with a bearer token.
    None,
    /// More than one header, or one that RFC 6750 section 2.1 does not allow.
    Malformed(&'static str),
    /// A token.
    Bearer(&'a str),
}

impl<'a> Credentials<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(value), None) => Self::parse(value.as_bytes()),
            (Some(_), Some(_)) => Self::Malformed("more than one Authorization header"),
        }
    }

    /// `auth-scheme 1*SP b64token`, the scheme in any case (RFC 9110 section 11.4).
    fn parse(value: &'a [u8]) -> Self {
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (scheme, rest) = value.split_at(end);
        if !scheme.eq_ignore_ascii_case(b"Bearer") {
            return Self::None;
        }
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        let token = rest.get(spaces..).unwrap_or_default();
        match str::from_utf8(token) {
            _ if token.is_empty() => Self::Malformed("the token is empty"),
            Ok(token) if is_b64token(token) => Self::Bearer(token),
            _ => Self::Malformed("the token has characters that no token has"),
        }
    }
}

/// RFC 6750 section 2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`. Some issuers pad
/// each part of a JWT: what they put at the end of the token may stand before a dot, too.
fn is_b64token(token: &str) -> bool {
    token.bytes().any(|byte| byte != b'=') && token.split('.').all(is_padded)
}

fn is_padded(part: &str) -> bool {
    let body = part.trim_end_matches('=');
    body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a header value"));
        }
        match Credentials::of(&headers) {
            Credentials::None => Ok(None),
            Credentials::Bearer(token) => Ok(Some(token.to_owned())),
            Credentials::Malformed(why) => Err(why),
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for value in ["Bearer a.B-9_~+/==", "bearer a.B-9_~+/==", "BEARER   a.B-9_~+/=="] {
            assert_eq!(read(&[value.as_bytes()]), Ok(Some("a.B-9_~+/==".to_owned())), "{value}");
        }
    }

    #[test]
    fn parts_may_be_padded() {
        for token in ["ey=.ey=.a", "ey==.ey==.a==", "ey.ey=.a", "a=.b", "a=.", "=.a"] {
            assert_eq!(read(&[format!("Bearer {token}").as_bytes()]), Ok(Some(token.to_owned())));
        }
    }

    #[test]
    fn other_schemes_are_no_bearer_token() {
        for value in ["", "Basic abc", "Bearerabc", "Bearer\tabc", "DPoP abc", "Basic x, Bearer y"] {
            assert_eq!(read(&[value.as_bytes()]), Ok(None), "{value}");
        }
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let malformed: [&[u8]; 14] = [
            b"Bearer",
            b"Bearer ",
            b"Bearer =",
            b"Bearer a b",
            b"Bearer a,Bearer b",
            b"Bearer a\tb",
            b"Bearer \ta",
            b"Bearer a=b",
            b"Bearer a=b.c",
            b"Bearer a.b=c.d",
            b"Bearer a=~.b",
            b"Bearer \"a\"",
            b"Bearer a%20",
            b"Bearer \xc3\xa9",
        ];
        for value in malformed {
            assert!(read(&[value]).is_err(), "{}", String::from_utf8_lossy(value));
        }
        assert!(read(&[b"Bearer a", b"Bearer a"]).is_err());
        assert!(read(&[b"Bearer a", b"Basic b"]).is_err());
    }

    proptest! {
        #[test]
        fn a_token_is_found_whole_or_not_at_all(
            token in "[A-Za-z0-9._~+/-]{1,200}={0,2}",
            spaces in 1..4_usize,
        ) {
            let value = format!("bEaReR{}{token}", " ".repeat(spaces));
            prop_assert_eq!(read(&[value.as_bytes()]), Ok(Some(token)));
        }

        #[test]
        fn whatever_a_token_is_taken_from_holds_nothing_else(
            value in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", &*value].concat())
                && let Ok(Some(token)) = read(&[value.as_bytes()])
            {
                let parts = value.to_str().expect("ASCII").split(' ').filter(|part| !part.is_empty());
                prop_assert_eq!(parts.collect::<Vec<_>>(), ["Bearer", &token]);
                prop_assert!(!token.contains(|c: char| c.is_whitespace() || c == ',' || c == '"'));
            }
        }
    }
}
