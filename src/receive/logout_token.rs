//! OpenID Connect Back-Channel Logout 1.0: a form with a `logout_token` (sections 2.4 to 2.8).

use time::OffsetDateTime;
use url::form_urlencoded;

use super::claims::{Ends, check_audience, check_issuer, check_times, jti};
use super::jws::Compact;
use super::keys::KeySet;
use super::order::Order;
use super::refused::{Code, Refused};
use super::sender::{Sender, Whose};

/// The type of a logout token, which older servers leave out.
const TYPES: [&str; 3] = ["logout+jwt", "jwt", ""];
/// The event that makes a token one of logout.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const REASON: &str = "backchannel_logout";

/// The `logout_token` of a form.
pub fn of_form(body: &[u8]) -> Result<String, Refused> {
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Ok(token.into_owned()),
        (None, _) => Err(Refused::new(Code::BadRequest, "the form has no logout_token")),
        (Some(_), Some(_)) => Err(Refused::new(Code::BadRequest, "the form has logout_token twice")),
    }
}

/// Reads a token's outside.
pub fn read(token: &str) -> Result<Compact<'_>, Refused> {
    Compact::read(token, &TYPES)
}

/// What a token orders, at `now`. `exp` may be missing, as Keycloak leaves it out.
pub fn order(
    token: &Compact<'_>,
    keys: &KeySet,
    sender: &Sender,
    now: OffsetDateTime,
) -> Result<Order, Refused> {
    let claims = token.verified_by(keys)?;
    check_issuer(&claims, &sender.issuer)?;
    check_audience(&claims, sender.audiences())?;
    let issued = check_times(&claims, Ends::Usually, now)?;
    let event = claims.object("events").map_err(Refused::claim)?;
    let event = event.map(|events| events.object(EVENT)).transpose().map_err(Refused::claim)?.flatten();
    if event.is_none() {
        return Err(Refused::absent(format!("events has no member {EVENT}: it is no logout token")));
    }
    if claims.has("nonce") {
        return Err(Refused::claim("nonce must not be there: it makes an ID token"));
    }
    let name = |name: &str| Ok(claims.name(name).map_err(Refused::claim)?.map(str::to_owned));
    let whose = match (name("sid")?, name(&sender.subject_claim)?) {
        (Some(sid), sub) => Whose::Session { sid, sub },
        (None, Some(sub)) => Whose::Subject { sub },
        (None, None) => {
            return Err(Refused::absent(format!("neither sid nor {} is there", sender.subject_claim)));
        }
    };
    sender.check(&whose)?;
    Ok(Order::new(sender, jti(&claims)?, REASON, issued, whose))
}
