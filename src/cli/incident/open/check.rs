//! One target, checked as the worker will check it: in an event of its own.

use std::iter::once;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::chunks::LONGEST_ID;
use super::kept::now;
use super::order::{Order, Whole};
use super::written::{Written, of_target};
use crate::cli::CommandError;
use crate::cli::local_rules::LocalRules;
use crate::config::BrokerSettings;
use crate::target::{Kind, Target};
use crate::visible::flaw;

/// What tells two targets apart: half of a SHA-256, as there may be millions.
pub(super) type Fingerprint = [u8; 16];

/// A valid target.
pub(super) struct Checked {
    pub(super) kind: Kind,
    /// The provider that the event names for it.
    pub(super) named: Option<String>,
    /// The provider as far as it is known here; empty: the worker finds it.
    pub(super) provider: Arc<str>,
    pub(super) fingerprint: Fingerprint,
    /// As the event will have it.
    pub(super) json: Zeroizing<String>,
}

/// The rules, for the targets of one order.
pub(super) struct Checker {
    order: Arc<Order>,
    rules: LocalRules,
    whole: Whole,
}

impl Checker {
    /// # Errors
    /// What was ordered breaks a rule, whatever the targets.
    pub(super) fn new(
        order: Arc<Order>,
        settings: &BrokerSettings,
        user: &str,
    ) -> Result<Self, CommandError> {
        if let Some(flaw) = flaw(&order.incident) {
            return Err(CommandError::Usage(format!("NAME {flaw}")));
        }
        let mut rules = LocalRules::new(settings, user);
        let event = order.event(
            LONGEST_ID,
            &now(),
            order.provider.as_deref(),
            &Whole::longest(),
            once(r#"{"sub":"any"}"#),
        );
        let refusal = rules.check(event.as_bytes()).err().map(|refusal| refusal.detail).unwrap_or_default();
        let flags = [
            ("incident", "NAME"),
            ("reason", "--reason"),
            ("actor", "--actor"),
            ("provider", "--provider"),
            ("not_before", "--not-before"),
        ];
        for (member, flag) in flags {
            if let Some(problem) = refusal.strip_prefix(&format!("data.{member} ")) {
                return Err(CommandError::Usage(format!("{flag} {problem}")));
            }
        }
        Ok(Self { order, rules, whole: Whole::of([]) })
    }

    /// A valid target, or a sentence that begins with the name of a member.
    pub(super) fn check(&mut self, written: Written) -> Result<Checked, String> {
        let named = written.provider.clone().or_else(|| self.order.provider.clone());
        let event =
            self.order.event(LONGEST_ID, &now(), named.as_deref(), &self.whole, once(written.json.as_str()));
        let mut event = self.rules.check(event.as_bytes()).map_err(|refusal| of_target(&refusal))?;
        let target = event.targets.pop().ok_or("names nothing to revoke")?;
        let (kind, fingerprint) = (target.selector.kind(), fingerprint(&target));
        written.check_width(kind)?;
        Ok(Checked { kind, named, provider: target.provider, fingerprint, json: written.json })
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
pub(super) mod tests {
    use super::*;
    use crate::config::Environment;

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

    pub(crate) fn settings(variables: &[(&str, &str)]) -> BrokerSettings {
        let variables = [("AMQP_URL", "amqp://soc@broker")].into_iter().chain(variables.iter().copied());
        BrokerSettings::load(None, &Environment::new(variables)).unwrap()
    }

    pub(crate) fn checker(order: Order, variables: &[(&str, &str)]) -> Result<Checker, CommandError> {
        Checker::new(Arc::new(order), &settings(variables), "soc")
    }

    fn check(checker: &mut Checker, line: &str) -> Result<Checked, String> {
        checker.check(Written::of_json(line.as_bytes())?)
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
            let refused = checker(order, &[("REVOCATION__PROVIDERS__MAIN__KIND", "baanx")])
                .err()
                .map(|error| error.to_string());
            assert!(refused.as_ref().is_some_and(|why| why.starts_with(sentence)), "{refused:?}");
        }
    }

    #[test]
    fn lines_are_refused_in_their_own_words_and_no_value_is_shown() {
        let mut checker = checker(
            order(),
            &[("REVOCATION__PROVIDERS__MAIN__KIND", "baanx"), ("REVOCATION__PROVIDERS__CARD__KIND", "baanx")],
        )
        .unwrap();
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
            let why = check(&mut checker, line).err().unwrap();
            assert!(why.starts_with(sentence) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_target_that_fits_into_no_message_is_refused() {
        let mut checker = checker(order(), &[("REVOCATION__LIMITS__MAX_MESSAGE_BYTES", "1024")]).unwrap();
        let why = check(&mut checker, &format!(r#"{{"token":"{}"}}"#, "t".repeat(1000))).err().unwrap();
        assert!(
            why.starts_with("an event of this target alone has")
                && why.ends_with("limits.max_message_bytes is 1024"),
            "{why}"
        );
        assert!(check(&mut checker, r#"{"token":"t"}"#).is_ok());
    }

    #[test]
    fn targets_are_the_same_when_they_name_the_same() {
        let mut checker = checker(order(), &[]).unwrap();
        let mut of = |line: &str| check(&mut checker, line).unwrap().fingerprint;
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
        let mut checker = checker(Order { provider: Some("main".to_owned()), ..order() }, &[]).unwrap();
        assert_eq!(check(&mut checker, r#"{"sub":"u"}"#).unwrap().named.as_deref(), Some("main"));
        assert_eq!(
            check(&mut checker, r#"{"sub":"u","provider":"card"}"#).unwrap().named.as_deref(),
            Some("card")
        );
    }
}
