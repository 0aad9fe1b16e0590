//! Shared Signals 1.0: security event tokens (RFC 8417) with one event of CAEP or RISC, by push (RFC 8935) or
//! by poll (RFC 8936).

use time::OffsetDateTime;

use super::claims::{EARLIEST, Ends, check_audience, check_issuer, check_times, jti};
use super::jws::Compact;
use super::keys::KeySet;
use super::object::Object;
use super::order::Order;
use super::refused::{Code, Refused};
use super::sender::Sender;
use super::signals::{Asks, asks};
use super::subject::{identifier, whose};

const TYPES: [&str; 1] = ["secevent+jwt"];
/// Times above are in milliseconds, as Okta writes them: in seconds it would be the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Something has to end.
    Order(Order),
    /// There is nothing to do; why, as a word.
    Nothing(&'static str),
}

/// Reads a token's outside.
pub fn read(token: &str) -> Result<Compact<'_>, Refused> {
    Compact::read(token, &TYPES)
}

/// What a token says, at `now`.
pub fn signal(
    token: &Compact<'_>,
    keys: &KeySet,
    sender: &Sender,
    now: OffsetDateTime,
) -> Result<Signal, Refused> {
    let claims = token.verified_by(keys)?;
    check_issuer(&claims, &sender.issuer)?;
    check_audience(&claims, sender.audiences())?;
    // Shared Signals 1.0 section 4.1: neither may be there, so that it is taken for no access token.
    let issued = check_times(&claims, Ends::Never, now)?;
    if claims.has("sub") {
        return Err(Refused::claim("sub must not be there: the subject is in sub_id"));
    }
    let jti = jti(&claims)?;
    let events = claims.object("events").map_err(Refused::claim)?;
    let events = events.ok_or_else(|| Refused::absent("events is missing"))?;
    let (Some(event_type), 1) = (events.names().next(), events.names().count()) else {
        return Err(Refused::claim("events must have one event"));
    };
    let event = events.object(event_type).map_err(|_| Refused::claim("the event must be an object"))?;
    let event = event.unwrap_or_default();
    let (about, reason) = match asks(event_type, &event)? {
        Asks::Nothing(word) => return Ok(Signal::Nothing(word)),
        Asks::End(about, reason) => (about, reason),
    };
    // Senders of before have it inside of the event.
    let subject = identifier(&claims, &event)?.ok_or_else(|| Refused::absent("sub_id is missing"))?;
    let whose = whose(&subject, about, sender)?;
    sender.check(&whose)?;
    Ok(Signal::Order(Order::new(sender, jti, reason, happened(&claims, &event, issued)?, whose)))
}

/// When it happened: what was issued later is none of the event's. Never later than the token's own time.
fn happened(claims: &Object, event: &Object, issued: OffsetDateTime) -> Result<OffsetDateTime, Refused> {
    let given = event.seconds("event_timestamp").map_err(Refused::claim)?;
    let given = given.or(claims.seconds("toe").map_err(Refused::claim)?);
    let seconds = given.map(|given| if given > MILLISECONDS { given / 1000 } else { given });
    let seconds = seconds.filter(|seconds| *seconds >= EARLIEST);
    let at = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    Ok(at.unwrap_or(issued).min(issued))
}

/// The word of RFC 8935 section 2.4 for a refusal.
pub fn error_code(code: Code) -> &'static str {
    match code {
        Code::UnknownKey | Code::BadSignature => "invalid_key",
        Code::ForeignIssuer => "invalid_issuer",
        Code::ForeignAudience => "invalid_audience",
        Code::Unauthenticated => "authentication_failed",
        Code::NotAllowed => "access_denied",
        _ => "invalid_request",
    }
}
