//! The events of Shared Signals that are worth acting on, by their type.

use super::object::Object;
use super::refused::Refused;
use super::subject::About;

/// What an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// An end, for this reason.
    End(About, &'static str),
    /// Nothing: it is about the stream, or good news.
    Nothing(&'static str),
}

use Asks::{End, Nothing};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const OAUTH: &str = "https://schemas.openid.net/secevent/oauth/event-type/";
/// Of the stream itself, under its name of now and of before.
const STREAM: [&str; 2] = [
    "https://schemas.openid.net/secevent/ssf/event-type/",
    "https://schemas.openid.net/secevent/sse/event-type/",
];

/// The types that may ask for an end, to be asked of a transmitter.
pub fn wanted() -> Vec<String> {
    let of = |prefix: &'static str, names: &'static [&'static str]| {
        names.iter().map(move |name| format!("{prefix}{name}"))
    };
    let caep = of(CAEP, &["session-revoked", "credential-change", "device-compliance-change"]);
    let risc = of(
        RISC,
        &[
            "sessions-revoked",
            "account-disabled",
            "account-purged",
            "credential-compromise",
            "account-credential-change-required",
        ],
    );
    caep.chain(risc).collect()
}

/// What an event of this type asks for; one that is not known asks for nothing, as a transmitter may send
/// more than was agreed on.
pub(super) fn asks(event_type: &str, event: &Object) -> Result<Asks, Refused> {
    if let Some(name) = STREAM.iter().find_map(|prefix| event_type.strip_prefix(prefix)) {
        return Ok(Nothing(if name == "verification" { "verification" } else { "stream" }));
    }
    if let Some(name) = event_type.strip_prefix(CAEP) {
        return caep(name, event);
    }
    if let Some(name) = event_type.strip_prefix(RISC) {
        return Ok(risc(name));
    }
    Ok(match event_type.strip_prefix(OAUTH) {
        Some("tokens-revoked") => End(About::User, "tokens_revoked"),
        // Named by a prefix or by a digest of another kind: it is no token that is known here.
        _ => Nothing("other"),
    })
}

/// CAEP 1.0 section 3.
fn caep(name: &str, event: &Object) -> Result<Asks, Refused> {
    let text = |member| event.text(member).map_err(Refused::claim);
    Ok(match name {
        "session-revoked" => End(About::Session, "session_revoked"),
        "credential-change" => match text("change_type")? {
            Some("revoke" | "update" | "delete") => End(About::User, "credential_change"),
            _ => Nothing("other"),
        },
        "device-compliance-change" => match text("current_status")? {
            Some("not-compliant") => End(About::User, "device_not_compliant"),
            _ => Nothing("other"),
        },
        _ => Nothing("other"),
    })
}

/// RISC 1.0 section 2.
fn risc(name: &str) -> Asks {
    let reason = match name {
        "sessions-revoked" => "sessions_revoked",
        "account-disabled" => "account_disabled",
        "account-purged" => "account_purged",
        "credential-compromise" => "credential_compromise",
        "account-credential-change-required" => "credential_change_required",
        _ => return Nothing("other"),
    };
    End(About::User, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_ends_something() {
        let words = br#"{"change_type":"revoke","current_status":"not-compliant"}"#;
        let words = Object::read(words).unwrap();
        let ends = |wanted: &String| matches!(asks(wanted, &words), Ok(End(..)));
        assert!(wanted().iter().all(ends) && wanted().len() == 8);
    }
}
