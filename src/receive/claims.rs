//! The claims that every token here has: who issued it, for whom, when, and which one it is.

use serde_json::Value;
use time::OffsetDateTime;

use super::object::Object;
use super::refused::{Code, Refused};

/// How far a sender's clock may be from ours, seconds.
const SKEW: i64 = 60;
/// Longest time between `iat` and `exp`, seconds: one that is longer was written in milliseconds, or makes a
/// logout that can be ordered for ever.
const LONGEST: i64 = 24 * 60 * 60;
/// Times before, in the year 2001, are of clocks that were not set. What was issued by then has ended: such a
/// token would end nothing.
pub(super) const EARLIEST: i64 = 1_000_000_000;
/// Longest `jti`, bytes.
const MAX_JTI_BYTES: usize = 1024;

/// A token's time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// It must have an `exp`.
    Always,
    /// It may have one; without it, it ends [`LONGEST`] after its `iat`.
    Usually,
    /// It tells what has happened, and must not have one.
    Never,
}

/// Refuses a token of another issuer. Slash for slash: `https://id.example.com` and the same with a slash at
/// its end are two issuers.
pub(super) fn check_issuer(claims: &Object, issuer: &str) -> Result<(), Refused> {
    match claims.text("iss").map_err(Refused::claim)? {
        Some(given) if given == issuer => Ok(()),
        Some(_) => Err(Refused::new(Code::ForeignIssuer, "iss is not the issuer of this sender")),
        None => Err(Refused::new(Code::ForeignIssuer, "iss is missing")),
    }
}

/// Refuses a token for others: one of `ours` must be its `aud`, or among them.
pub(super) fn check_audience<'a>(
    claims: &Object,
    mut ours: impl Iterator<Item = &'a str>,
) -> Result<(), Refused> {
    let named: Vec<&str> = match claims.get("aud") {
        None => return Err(Refused::new(Code::ForeignAudience, "aud is missing")),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(some)) => {
            let texts: Option<Vec<_>> = some.iter().map(Value::as_str).collect();
            texts.ok_or_else(|| Refused::claim("aud must be a string, or a list of strings"))?
        }
        Some(_) => return Err(Refused::claim("aud must be a string, or a list of strings")),
    };
    if ours.any(|ours| named.contains(&ours)) {
        return Ok(());
    }
    Err(Refused::new(Code::ForeignAudience, "aud names neither this receiver nor its client"))
}

/// When a token was issued, if its time has come and is not over at `now`.
pub(super) fn check_times(
    claims: &Object,
    ends: Ends,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, Refused> {
    let now = now.unix_timestamp();
    let seconds = |name: &str| claims.seconds(name).map_err(Refused::claim);
    let (issued, begins, end) = (seconds("iat")?, seconds("nbf")?, seconds("exp")?);
    let issued = issued.ok_or_else(|| Refused::absent("iat is missing"))?;
    if issued < EARLIEST {
        return Err(Refused::claim("iat lies before 2001: is it in seconds?"));
    }
    if let Some((name, _)) =
        [("iat", Some(issued)), ("nbf", begins)].iter().find(|(_, time)| time.is_some_and(|t| t > now + SKEW))
    {
        return Err(Refused::new(Code::NotYet, format!("{name} lies in the future by more than {SKEW} s")));
    }
    match (end, ends) {
        (Some(_), Ends::Never) => return Err(Refused::claim("exp must not be there")),
        (None, Ends::Always) => return Err(Refused::absent("exp is missing")),
        (Some(end), _) if end < issued => return Err(Refused::new(Code::Expired, "exp lies before iat")),
        (Some(end), _) if end - issued > LONGEST => {
            let why = format!("exp lies more than {LONGEST} s behind iat: is it in seconds?");
            return Err(Refused::new(Code::NotYet, why));
        }
        (None, Ends::Never) => {}
        (end, _) if end.unwrap_or(issued + LONGEST) < now - SKEW => {
            return Err(Refused::new(Code::Expired, "its time is over: exp, or a day after iat"));
        }
        _ => {}
    }
    OffsetDateTime::from_unix_timestamp(issued).map_err(|_| Refused::claim("iat is no time"))
}

/// Which token it is.
pub(super) fn jti(claims: &Object) -> Result<&str, Refused> {
    match claims.text("jti").map_err(Refused::claim)? {
        None | Some("") => Err(Refused::absent("jti is missing: it tells a token from others")),
        Some(jti) if jti.len() > MAX_JTI_BYTES => {
            Err(Refused::claim(format!("jti is longer than {MAX_JTI_BYTES} bytes")))
        }
        Some(jti) => Ok(jti),
    }
}
