//! The column `jti_iss`: whose the `jti` beside it is.
//!
//! A null is a row of a worker that did not look yet. A token that names no issuer has the empty text there,
//! which no `iss` claim is.

use crate::target::TokenIssuer;

/// What the column holds.
pub(super) fn stored(issuer: &TokenIssuer) -> Option<&str> {
    match issuer {
        TokenIssuer::NotSaid => None,
        TokenIssuer::None => Some(""),
        TokenIssuer::Named(iss) => Some(iss),
    }
}

/// What the column says.
pub fn read(column: Option<&str>) -> TokenIssuer {
    match column {
        None => TokenIssuer::NotSaid,
        Some("") => TokenIssuer::None,
        Some(iss) => TokenIssuer::Named(iss.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_cases_come_back_as_they_went() {
        for issuer in
            [TokenIssuer::NotSaid, TokenIssuer::None, TokenIssuer::Named("https://id.example.com".to_owned())]
        {
            assert_eq!(read(stored(&issuer)), issuer);
        }
    }
}
