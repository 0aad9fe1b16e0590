//! The worker's own rules, applied before an event leaves this machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;

use super::lines::Line;
use crate::authorization::Authority;
use crate::config::BrokerSettings;
use crate::event::{self, LogoutEvent, Origin, ProviderRule, Refusal, RefusalCode, Rules};

/// The rules as far as they are known here. Who may publish what is for the worker to say: its settings may
/// differ.
pub(crate) struct LocalRules {
    rules: Rules,
    origin: Origin,
    knows_providers: bool,
}

impl LocalRules {
    /// Rules for events that `user` publishes.
    pub(crate) fn new(settings: &BrokerSettings, user: &str) -> Self {
        let knows_providers = !settings.providers.is_empty();
        let rules = Rules {
            max_message_bytes: settings.limits.max_message_bytes,
            max_targets: settings.limits.max_targets,
            max_token_bytes: settings.limits.max_token_bytes,
            default_provider: settings.default_provider.clone(),
            providers: settings.providers.clone(),
            authority: Authority { mass_revocation_users: vec![user.to_owned()], ..Authority::default() },
            realms: BTreeMap::new(),
        };
        Self {
            rules,
            origin: Origin { broker_user: Some(user.to_owned()), ..Origin::default() },
            knows_providers,
        }
    }

    /// The event of a line.
    pub(crate) fn check_line(&mut self, line: &Line) -> Result<LogoutEvent, Refusal> {
        let limit = self.rules.max_message_bytes;
        if line.size > limit as u64 {
            let detail = format!(
                "the line has {} bytes; limits.max_message_bytes is {limit}: send several events",
                line.size
            );
            return Err(Refusal::new(RefusalCode::TooLarge, detail));
        }
        match line.flaw() {
            Some(flaw) => Err(Refusal::new(RefusalCode::NotJson, format!("the line {flaw}"))),
            None => self.check(&line.body),
        }
    }

    /// The event of a body. Where no provider is configured, the provider of a target whose event names none
    /// is empty.
    pub(crate) fn check(&mut self, body: &[u8]) -> Result<LogoutEvent, Refusal> {
        if !self.knows_providers {
            self.accept_provider_of(body);
        }
        event::parse(body, &self.origin, &self.rules, OffsetDateTime::now_utc())
    }

    /// Where no provider is configured, the one that a line names stands for all: every other rule still
    /// applies.
    fn accept_provider_of(&mut self, body: &[u8]) {
        let named = serde_json::from_slice::<Named>(body).ok().and_then(|event| event.data.provider);
        let name: Arc<str> = named.unwrap_or_default().into();
        self.rules.default_provider = Some(name.clone());
        self.rules.providers = vec![ProviderRule { name, issuer: None, token_ttl: Duration::ZERO }];
    }
}

#[derive(Deserialize)]
struct Named {
    data: NamedData,
}

#[derive(Deserialize)]
struct NamedData {
    #[serde(default)]
    provider: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn rules(variables: &[(&str, &str)]) -> LocalRules {
        let variables = [("AMQP_URL", "amqp://shop@broker")].into_iter().chain(variables.iter().copied());
        LocalRules::new(&BrokerSettings::load(None, &Environment::new(variables)).unwrap(), "shop")
    }

    fn check(rules: &mut LocalRules, event_type: &str, data: &str) -> Option<RefusalCode> {
        let body =
            format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"{event_type}","data":{data}}}"#)
                .into_bytes();
        rules.check(&body).err().map(|refusal| refusal.code)
    }

    #[test]
    fn without_providers_only_their_names_go_unchecked() {
        let mut rules = rules(&[]);
        let logout = "auth.logout.v1";
        assert_eq!(check(&mut rules, logout, r#"{"provider":"any","targets":[{"sub":"u"}]}"#), None);
        assert_eq!(check(&mut rules, logout, r#"{"targets":[{"sub":"u"}]}"#), None);
        assert_eq!(
            check(&mut rules, logout, r#"{"provider":7,"targets":[{"sub":"u"}]}"#),
            Some(RefusalCode::InvalidField)
        );
        assert_eq!(
            check(&mut rules, logout, r#"{"provider":"","targets":[{"sub":"u"}]}"#),
            Some(RefusalCode::InvalidField)
        );
        assert_eq!(
            check(&mut rules, logout, r#"{"provider":"any","targets":[]}"#),
            Some(RefusalCode::InvalidField)
        );
    }

    #[test]
    fn with_providers_their_names_are_checked() {
        let mut rules = rules(&[("REVOCATION__PROVIDERS__MAIN__KIND", "baanx")]);
        assert_eq!(
            check(&mut rules, "auth.logout.v1", r#"{"provider":"main","targets":[{"sub":"u"}]}"#),
            None
        );
        let other = check(&mut rules, "auth.logout.v1", r#"{"provider":"other","targets":[{"sub":"u"}]}"#);
        assert_eq!(other, Some(RefusalCode::UnknownProvider));
    }

    #[test]
    fn who_may_order_a_mass_revocation_is_for_the_worker_to_say() {
        let data = r#"{"incident":"i","targets":[{"iss":"https://id.example.com"}]}"#;
        assert_eq!(check(&mut rules(&[]), "auth.mass_revocation.v1", data), None);
    }
}
