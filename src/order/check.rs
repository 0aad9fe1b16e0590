//! One target, checked as the worker will check it: in an event of its own.

use std::iter::once;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::error::OrderError;
use super::event::{LONGEST_COUNTS, LONGEST_ID, Order, now};
use super::raw_target::{RawTarget, of_target};
use super::rules::LocalRules;
use crate::target::{Kind, Target};
use crate::visible::flaw;

/// What tells two targets apart: half of a SHA-256, as there may be millions.
pub(crate) type Fingerprint = [u8; 16];

/// A target that the worker will accept.
pub(crate) struct ValidTarget {
    pub(crate) kind: Kind,
    /// The provider that the event names for it.
    pub(crate) named: Option<String>,
    /// The provider as far as it is known here; empty: the worker finds it.
    pub(crate) provider: Arc<str>,
    pub(crate) fingerprint: Fingerprint,
    /// As the event will have it.
    pub(crate) json: Zeroizing<String>,
}

/// What of an order breaks a rule by itself: the member, and how a person gave it.
const FLAGS: [(&str, &str); 5] = [
    ("incident", "NAME"),
    ("reason", "--reason"),
    ("actor", "--actor"),
    ("provider", "--provider"),
    ("not_before", "--not-before"),
];

impl Order {
    /// Checks what was ordered, whatever the targets.
    ///
    /// # Errors
    /// A sentence that names the flag at fault.
    pub(crate) fn check_words(&self, rules: &mut LocalRules) -> Result<(), OrderError> {
        if let Some(flaw) = flaw(&self.incident) {
            return Err(OrderError::Usage(format!("NAME {flaw}")));
        }
        let (provider, any) = (self.provider.as_deref(), once(r#"{"sub":"any"}"#));
        let event = self.event(LONGEST_ID, &now(), provider, &LONGEST_COUNTS, any);
        let refusal = rules.check(event.as_bytes()).err().map(|refusal| refusal.detail).unwrap_or_default();
        for (member, flag) in FLAGS {
            if let Some(problem) = refusal.strip_prefix(&format!("data.{member} ")) {
                return Err(OrderError::Usage(format!("{flag} {problem}")));
            }
        }
        Ok(())
    }

    /// A valid target.
    ///
    /// # Errors
    /// A sentence that begins with the name of a member.
    pub(crate) fn check(&self, rules: &mut LocalRules, raw: RawTarget) -> Result<ValidTarget, String> {
        let named = raw.provider.clone().or_else(|| self.provider.clone());
        let event = self.event(LONGEST_ID, &now(), named.as_deref(), &[], once(raw.json.as_str()));
        let mut event = rules.check(event.as_bytes()).map_err(|refusal| of_target(&refusal))?;
        let target = event.targets.pop().ok_or("names nothing to revoke")?;
        let (kind, fingerprint) = (target.selector.kind(), fingerprint(&target));
        raw.check_width(kind)?;
        Ok(ValidTarget { kind, named, provider: target.provider, fingerprint, json: raw.json })
    }
}

/// A token is itself, whatever is said beside it; all else is what it names. At another provider it is
/// another target.
fn fingerprint(target: &Target) -> Fingerprint {
    let mut digest = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        digest.update(&(bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    part(target.selector.kind().as_str().as_bytes());
    part(target.provider.as_bytes());
    match target.token() {
        Some(token) => part(&token.fingerprint.0),
        None => [&target.sid, &target.sub, &target.client_id, &target.iss]
            .into_iter()
            .for_each(|name| part(name.as_deref().unwrap_or_default().as_bytes())),
    }
    let mut half = Fingerprint::default();
    half.copy_from_slice(&digest.finish().as_ref()[..16]);
    half
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::{BrokerSettings, Environment};

    pub(crate) fn order() -> Order {
        let word = |word: &str| word.to_owned();
        Order {
            random: word("random"),
            incident: word("leak"),
            reason: word("test"),
            actor: word("alice"),
            provider: None,
            not_before: None,
        }
    }

    pub(crate) fn rules(variables: &[(&str, &str)]) -> LocalRules {
        let variables = [("AMQP_URL", "amqp://soc@broker")].into_iter().chain(variables.iter().copied());
        let settings = BrokerSettings::load(None, &Environment::new(variables)).unwrap();
        LocalRules::new(&settings, "soc")
    }

    fn check(order: &Order, rules: &mut LocalRules, line: &str) -> Result<ValidTarget, String> {
        order.check(rules, RawTarget::of_json(line.as_bytes())?)
    }

    #[test]
    fn what_was_ordered_is_refused_by_the_name_of_the_flag() {
        let later = "2999-01-01T00:00:00Z".to_owned();
        for (order, sentence) in [
            (Order { incident: "x".repeat(256), ..order() }, "NAME is longer than 255 bytes"),
            (
                Order { incident: "leak\u{1b}[2J".to_owned(), ..order() },
                "NAME has U+001B (escape), which does not show: remove it",
            ),
            (Order { incident: "leak\u{a0}7".to_owned(), ..order() }, "NAME has U+00A0 (a no-break space)"),
            (Order { incident: "leak ".to_owned(), ..order() }, "NAME ends with a blank"),
            (Order { reason: "x".repeat(1025), ..order() }, "--reason is longer than 1024 bytes"),
            (
                Order { not_before: Some(later), ..order() },
                "--not-before lies more than 5 minutes in the future",
            ),
            (
                Order { not_before: Some("noon".to_owned()), ..order() },
                "--not-before must be an RFC 3339 time such as 2026-11-20T22:30:00.123Z",
            ),
            (
                Order { provider: Some("other".to_owned()), ..order() },
                "--provider \"other\" is not configured; configured are: main",
            ),
        ] {
            let mut rules = rules(&[("REVOCATION__PROVIDERS__MAIN__KIND", "baanx")]);
            let refused = order.check_words(&mut rules).err().map(|error| error.to_string());
            assert!(refused.as_ref().is_some_and(|why| why.starts_with(sentence)), "{refused:?}");
        }
    }

    #[test]
    fn lines_are_refused_in_their_own_words_and_no_value_is_shown() {
        let mut rules = rules(&[
            ("REVOCATION__PROVIDERS__MAIN__KIND", "baanx"),
            ("REVOCATION__PROVIDERS__CARD__KIND", "baanx"),
        ]);
        for (line, sentence) in [
            (
                r#"{"provider":"main","token":"t","token_type_hint":"secret"}"#,
                "token_type_hint must be access_token or refresh_token",
            ),
            (r#"{"provider":"main","token":"secret secret"}"#, "token must be visible ASCII"),
            (r#"{"provider":"main","token":7}"#, "token must be a string"),
            (r#"{"provider":"main","sub":"a","sub":"b"}"#, "sub is given twice"),
            (r#"{"provider":"main"}"#, "names nothing to revoke: give it token"),
            (r#"{"provider":"secret","sub":"u"}"#, "provider is not configured; configured are: card, main"),
            (r#"{"provider":"","sub":"u"}"#, "provider must not be empty"),
            (r#"{"sub":"u"}"#, "fits no provider: provider is absent"),
            (
                r#"{"provider":"main","token":null,"client_id":"secret"}"#,
                "token is empty, and without it the line would mean everybody",
            ),
        ] {
            let why = check(&order(), &mut rules, line).err().unwrap();
            assert!(why.starts_with(sentence) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_target_that_fits_into_no_message_is_refused() {
        let mut rules = rules(&[("REVOCATION__LIMITS__MAX_MESSAGE_BYTES", "1024")]);
        let why =
            check(&order(), &mut rules, &format!(r#"{{"token":"{}"}}"#, "t".repeat(1000))).err().unwrap();
        assert!(
            why.starts_with("an event of this target alone has")
                && why.ends_with("limits.max_message_bytes is 1024"),
            "{why}"
        );
        assert!(check(&order(), &mut rules, r#"{"token":"t"}"#).is_ok());
    }

    #[test]
    fn targets_are_the_same_when_they_name_the_same() {
        let mut rules = rules(&[]);
        let mut of = |line: &str| check(&order(), &mut rules, line).unwrap().fingerprint;
        let token = of(r#"{"token":"t"}"#);
        assert_eq!(of(r#"{"token":"t","token_type_hint":"refresh_token","sub":"u"}"#), token);
        assert_ne!(of(r#"{"token":"t","provider":"main"}"#), token);
        assert_ne!(of(r#"{"sub":"t"}"#), of(r#"{"sid":"t"}"#));
        assert_ne!(of(r#"{"sub":"t"}"#), of(r#"{"sub":"t","iss":"i"}"#));
        assert_ne!(of(r#"{"sid":"ab"}"#), of(r#"{"sid":"a","sub":"b"}"#));
        assert_eq!(of(r#"{"client_id":"c"}"#), of(r#"{"client_id":"c","iss":null}"#));
    }

    #[test]
    fn the_orders_provider_is_for_targets_that_name_none() {
        let (order, mut rules) = (Order { provider: Some("main".to_owned()), ..order() }, rules(&[]));
        assert_eq!(check(&order, &mut rules, r#"{"sub":"u"}"#).unwrap().named.as_deref(), Some("main"));
        assert_eq!(
            check(&order, &mut rules, r#"{"sub":"u","provider":"card"}"#).unwrap().named.as_deref(),
            Some("card")
        );
    }
}
