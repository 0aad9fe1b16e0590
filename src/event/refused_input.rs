//! What `receive` says of requests that it refused, for the record: it has no database, and of a request
//! nothing may be kept but its digest.

use revocation_evidence::Hash;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json::Json;
use super::members::{MAX_NAME_BYTES, Members};
use super::receipt::Receipt;
use super::{EventType, Refusal, RefusalCode};

/// Its media type: no event has it.
pub const REFUSED_INPUT: &str = "application/vnd.revocation.refused-input+json";
/// The routing key that it is published with.
pub const REFUSED_INPUT_KEY: &str = "auth.logout.refused-input";

/// Longest sentence.
const MAX_DETAIL_BYTES: usize = 1024;

/// A refused request, or the sum of several.
pub struct RefusedInput {
    /// Why.
    pub refusal: Refusal,
    /// When.
    pub at: OffsetDateTime,
    /// SHA-256 of its body.
    pub body_sha256: Hash,
    /// Size of its body; of several, of all of theirs.
    pub body_bytes: u64,
}

impl RefusedInput {
    /// As it is published.
    pub fn written(&self) -> Vec<u8> {
        let at = self.at.format(&Rfc3339).unwrap_or_default();
        let refused = json!({
            "time": at, "code": self.refusal.code.as_str(), "detail": self.refusal.detail,
            "body_sha256": self.body_sha256.to_string(), "body_bytes": self.body_bytes,
        });
        refused.to_string().into_bytes()
    }

    /// Reads one. Whoever may order logouts may have such a row written.
    pub(super) fn read(body: &[u8], receipt: &Receipt<'_>) -> Result<Self, Refusal> {
        let Receipt { origin, rules, at } = *receipt;
        if let Some(why) = rules.authority.refuse_type(origin, EventType::Logout) {
            return Err(Refusal::new(RefusalCode::NotAllowed, why));
        }
        let mut members = Members::event(Json::read(body)?)?;
        let code = members.required_word("code", MAX_NAME_BYTES)?;
        let code = RefusalCode::parse(&code).ok_or_else(|| members.invalid("code", "is none of refusals"))?;
        let detail = members.required_word("detail", MAX_DETAIL_BYTES)?;
        let time = members.time("time")?.ok_or_else(|| members.missing("time"))?;
        let digest = members.required_word("body_sha256", MAX_NAME_BYTES)?;
        let body_sha256 =
            Hash::parse(&digest).ok_or_else(|| members.invalid("body_sha256", "is no SHA-256"))?;
        let body_bytes = match members.take("body_bytes")? {
            Some(Json::Integer(bytes)) => u64::try_from(bytes).ok(),
            _ => None,
        };
        let body_bytes = body_bytes.ok_or_else(|| members.invalid("body_bytes", "must be a size"))?;
        // Of a clock that is ahead: on record is no time that has not come.
        Ok(Self { refusal: Refusal::new(code, detail), at: time.min(at), body_sha256, body_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, origin, rules};
    use super::super::{Origin, Rules};
    use super::*;
    use crate::authorization::Authority;

    fn read(body: &str) -> Result<RefusedInput, Refusal> {
        RefusedInput::read(body.as_bytes(), &Receipt { origin: &origin(), rules: &rules(), at: NOW })
    }

    fn told(refusal: Refusal) -> RefusedInput {
        let body_sha256 = Hash::parse(&"07".repeat(32)).unwrap();
        RefusedInput { refusal, at: NOW, body_sha256, body_bytes: 12 }
    }

    #[test]
    fn what_is_written_is_read_and_never_lies_ahead() {
        let refusal = Refusal::new(RefusalCode::BadSignature, "sender op: unknown_key: …");
        let at = NOW + time::Duration::HOUR;
        let told = RefusedInput { at, ..told(refusal.clone()) };
        let read = read(std::str::from_utf8(&told.written()).unwrap()).unwrap();
        assert_eq!((read.refusal, read.at), (refusal, NOW));
        assert_eq!((<[u8; 32]>::from(read.body_sha256), read.body_bytes), ([7; 32], 12));
    }

    #[test]
    fn what_is_none_is_refused_by_name() {
        let good = told(Refusal::new(RefusalCode::BadSignature, "why"));
        let good: serde_json::Value = serde_json::from_slice(&good.written()).unwrap();
        for (member, value) in [
            ("code", json!("other")),
            ("detail", json!("x".repeat(1025))),
            ("time", json!("yesterday")),
            ("body_sha256", json!("07")),
            ("body_sha256", json!("+7".repeat(32))),
            ("body_bytes", json!(-1)),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            let refusal = read(&bad.to_string()).err().expect(member);
            assert!(refusal.detail.contains(member), "{refusal}");
            bad.as_object_mut().unwrap().remove(member);
            assert!(read(&bad.to_string()).is_err(), "{member}");
        }
    }

    #[test]
    fn whoever_may_not_log_out_has_nothing_written() {
        let written = told(Refusal::new(RefusalCode::BadSignature, "why")).written();
        let authority = Authority { logout_users: Some(vec!["inbox".to_owned()]), ..Authority::default() };
        let rules = Rules { authority, ..rules() };
        let read = |user: &str| {
            let origin = Origin { broker_user: Some(user.to_owned()), ..Origin::default() };
            RefusedInput::read(&written, &Receipt { origin: &origin, rules: &rules, at: NOW })
        };
        assert!(read("inbox").is_ok());
        assert_eq!(read("shop").err().map(|refusal| refusal.code), Some(RefusalCode::NotAllowed));
    }
}
