//! Subject identifiers (RFC 9493, Shared Signals 1.0 section 3), and the forms of before that senders still
//! use. Only what leads to a `sub` or a `sid` of the provider's tokens means anything here.

use super::object::Object;
use super::refused::{Code, Refused};
use super::sender::{Sender, Whose};

/// Deepest nesting that is followed: an alias in a user in a complex subject.
const DEEPEST: usize = 4;

/// What an event is about, where its subject names both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The session, not its user.
    Session,
    /// The user, whatever the session.
    User,
}

/// The identifier of `sub_id` in `newer` or, as senders of before write it, of `subject` in `older`.
pub(super) fn identifier(newer: &Object, older: &Object) -> Result<Option<Object>, Refused> {
    let (sub_id, subject) = (newer.object("sub_id"), older.object("subject"));
    sub_id.and_then(|sub_id| Ok(sub_id.or(subject?))).map_err(Refused::claim)
}

/// Whose credentials an identifier means.
pub(super) fn whose(identifier: &Object, about: About, sender: &Sender) -> Result<Whose, Refused> {
    read(identifier, about, sender, DEEPEST)
}

fn read(identifier: &Object, about: About, sender: &Sender, depth: usize) -> Result<Whose, Refused> {
    let depth = depth.checked_sub(1).ok_or_else(|| Refused::claim("the subject is nested too deep"))?;
    match format(identifier)? {
        "iss_sub" | "iss-sub" => iss_sub(identifier, sender),
        // Google's, with an email beside.
        "id_token_claims" if identifier.has("sub") => iss_sub(identifier, sender),
        "email" | "id_token_claims" => email(identifier, sender),
        "complex" => complex(identifier, about, sender, depth),
        "aliases" => aliases(identifier, about, sender, depth),
        _ => Err(unknown("its format names no sub and no sid")),
    }
}

/// Of one that says none, what its members show: Okta leaves out `complex`.
fn format(identifier: &Object) -> Result<&str, Refused> {
    let text = |name| identifier.text(name).map_err(Refused::claim);
    if let Some(format) = text("format")?.or(text("subject_type")?) {
        return Ok(format);
    }
    let is_complex = ["user", "session"].iter().any(|part| identifier.has(part));
    if is_complex { Ok("complex") } else { Err(Refused::claim("the subject has no format")) }
}

fn iss_sub(identifier: &Object, sender: &Sender) -> Result<Whose, Refused> {
    let name = |name| identifier.required_name(name).map_err(Refused::claim);
    if !sender.speaks_for(name("iss")?) {
        let why = "the subject's iss is not this sender's; subject_issuers may list it";
        return Err(Refused::new(Code::NotAllowed, why));
    }
    Ok(Whose::Subject { sub: name("sub")?.to_owned() })
}

/// An email is nobody's `sub`, unless the settings say so: it may change hands.
fn email(identifier: &Object, sender: &Sender) -> Result<Whose, Refused> {
    let email = identifier.required_name("email").map_err(Refused::claim)?;
    if !sender.email_is_sub {
        let why = "the subject is named by its email: send iss_sub, or set email_is_sub where the provider's \
            tokens have the email as sub";
        return Err(Refused::new(Code::EmailNotMapped, why));
    }
    Ok(Whose::Subject { sub: email.to_owned() })
}

/// Its members name one thing together.
fn complex(identifier: &Object, about: About, sender: &Sender, depth: usize) -> Result<Whose, Refused> {
    let part = |name| identifier.object(name).map_err(Refused::claim);
    let (user, session) = (part("user")?, part("session")?);
    let user = user.map(|user| read(&user, About::User, sender, depth)).transpose();
    let Some(session) = session.filter(|_| about == About::Session) else {
        return user?.ok_or_else(|| unknown("it names no user"));
    };
    match session.text("format").map_err(Refused::claim)? {
        Some("opaque") => {
            let sid = session.required_name("id").map_err(Refused::claim)?.to_owned();
            // The session is enough: its user may be named in a way that leads nowhere.
            let sub = user.ok().flatten().and_then(|user| match user {
                Whose::Subject { sub } => Some(sub),
                Whose::Session { .. } => None,
            });
            Ok(Whose::Session { sid, sub })
        }
        // Never wider than it says.
        _ => Err(unknown("its session is not named by an opaque id")),
    }
}

/// Names of one subject: the first that leads to it counts.
fn aliases(identifier: &Object, about: About, sender: &Sender, depth: usize) -> Result<Whose, Refused> {
    let mut first = None;
    for alias in identifier.objects("identifiers").map_err(Refused::claim)? {
        match read(&alias, about, sender, depth) {
            Ok(whose) => return Ok(whose),
            Err(refused) => first = first.or(Some(refused)),
        }
    }
    Err(first.unwrap_or_else(|| Refused::claim("identifiers must not be empty")))
}

fn unknown(why: &str) -> Refused {
    Refused::new(Code::UnknownSubject, format!("the subject leads to nobody: {why}"))
}
