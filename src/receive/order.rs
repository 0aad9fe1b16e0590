//! What a verified request orders, and the event that says so (docs/contract.md, section 2).

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::sender::{Sender, Whose};
use crate::event::EventType;
use crate::visible::hex;

/// Longest id of an event, bytes: with the source it is the key of the index that finds duplicates.
const MAX_ID_BYTES: usize = 255;

/// A logout to be published. The same request makes the same one again, to the byte, so that it is the same
/// event however often it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// CloudEvents `id`.
    pub id: String,
    /// Why, as a short machine word.
    pub reason: String,
    /// CloudEvents `time`: what was issued at or before it is denied.
    pub(super) at: OffsetDateTime,
    pub(super) whose: Whose,
}

impl Order {
    /// The order of the token `jti`.
    pub(super) fn new(sender: &Sender, jti: &str, reason: &str, at: OffsetDateTime, whose: Whose) -> Self {
        Self { id: id(&sender.name, jti), reason: reason.to_owned(), at, whose }
    }

    /// The event.
    pub fn event(&self, sender: &Sender) -> Vec<u8> {
        let target = match &self.whose {
            Whose::Session { sid, sub: Some(sub) } => {
                json!({ "sid": sid, "sub": sub, "iss": sender.token_issuer })
            }
            Whose::Session { sid, sub: None } => json!({ "sid": sid, "iss": sender.token_issuer }),
            Whose::Subject { sub } => json!({ "sub": sub, "iss": sender.token_issuer }),
        };
        // A time that has an offset of zero can always be written.
        let time = self.at.format(&Rfc3339).map_or(Value::Null, Value::String);
        let event = json!({
            "specversion": "1.0", "id": self.id, "source": sender.issuer,
            "type": EventType::Logout.as_str(), "time": time,
            "data": {
                "provider": &*sender.provider, "reason": self.reason, "actor": &*sender.name,
                "targets": [target],
            },
        });
        event.to_string().into_bytes()
    }
}

/// `<sender>/<jti>`, so that the sender's own log leads here; a digest stands for a `jti` that is too long or
/// does not print. A sender's name has no slash.
fn id(sender: &str, jti: &str) -> String {
    let plain = format!("{sender}/{jti}");
    if plain.len() <= MAX_ID_BYTES && jti.bytes().all(|byte| byte.is_ascii_graphic()) {
        return plain;
    }
    format!("{sender}/sha256-{}", hex(digest(&SHA256, jti.as_bytes()).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_token_and_fits() {
        assert_eq!(id("kc", "0197-ab"), "kc/0197-ab");
        let long = "x".repeat(1024);
        for odd in [long.as_str(), "a b", "a\nb", "ü", "\u{202e}"] {
            let id = id("kc", odd);
            assert!(id.starts_with("kc/sha256-") && id.len() == 74, "{id}");
        }
        assert_ne!(id("kc", "ü"), id("kc", "ö"));
        assert_ne!(id("kc", "1"), id("kc2", "1"));
    }
}
