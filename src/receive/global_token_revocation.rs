//! Global Token Revocation (draft-parecki-oauth-global-token-revocation), as Okta's Universal Logout sends
//! it: a JWT as bearer token, and a subject identifier as JSON.

use time::OffsetDateTime;

use super::claims::{Ends, check_audience, check_issuer, check_times, jti};
use super::jws::Compact;
use super::keys::KeySet;
use super::object::Object;
use super::order::Order;
use super::refused::{Code, Refused};
use super::sender::Sender;
use super::subject::{About, identifier, whose};

const TYPES: [&str; 1] = ["global-token-revocation+jwt"];
const REASON: &str = "global_token_revocation";

/// The token of an `Authorization` header (RFC 6750 section 2.1).
pub fn bearer(authorization: Option<&str>) -> Result<&str, Refused> {
    let token = authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.ok_or_else(|| Refused::new(Code::Unauthenticated, "Authorization: Bearer with a JWT is missing"))
}

/// Reads a token's outside.
pub fn read(token: &str) -> Result<Compact<'_>, Refused> {
    Compact::read(token, &TYPES)
}

/// What a request orders, at `now`: the end of all that its subject has.
///
/// The token does not cover the body: whoever has it may name another subject until it expires. Its `jti` is
/// the event's identity all the same, so that a second subject is on record beside the first, flagged.
pub fn order(
    token: &Compact<'_>,
    body: &[u8],
    keys: &KeySet,
    sender: &Sender,
    now: OffsetDateTime,
) -> Result<Order, Refused> {
    let claims = token.verified_by(keys)?;
    check_issuer(&claims, &sender.issuer)?;
    // The endpoint's address. The client's id is no audience here: other tokens have that.
    check_audience(&claims, sender.audience.iter().map(String::as_str))?;
    let issued = check_times(&claims, Ends::Always, now)?;
    if let Some(client_id) = &sender.client_id
        && claims.text("sub").map_err(Refused::claim)? != Some(client_id)
    {
        return Err(Refused::claim("sub is not our client's id at the sender"));
    }
    let jti = jti(&claims)?;
    let whose = subject(body).and_then(|subject| whose(&subject, About::User, sender));
    let whose = whose.map_err(|refused| match refused.code {
        // The token was good.
        Code::BadClaim => Refused::new(Code::BadRequest, refused.why),
        _ => refused,
    })?;
    sender.check(&whose)?;
    Ok(Order::new(sender, jti, REASON, issued, whose))
}

/// `sub_id`, which older senders call `subject`.
fn subject(body: &[u8]) -> Result<Object, Refused> {
    let body = Object::read(body).map_err(|why| Refused::new(Code::BadRequest, format!("the body {why}")))?;
    identifier(&body, &body)?.ok_or_else(|| Refused::new(Code::BadRequest, "sub_id is missing"))
}
