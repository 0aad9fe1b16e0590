//! `[keycloak_events]`: whose realms the events of Keycloak's RabbitMQ listener are of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rule::{Rule, optional};
use super::section::Section;
use super::setting::settings;

settings! {
    /// `[keycloak_events]`
    pub(super) struct KeycloakEvents {
        /// Providers, and the ids (not names) of the realms whose users end there: `{ "main" = ["0b3d…"] }`.
        pub(super) realms: BTreeMap<String, Arc<str>> = realms(),
    }
}

/// From realm to provider, as it is asked.
fn realms() -> Rule<BTreeMap<String, Arc<str>>> {
    optional::<BTreeMap<String, Vec<String>>>().default("none").then(|given, key, section| {
        let mut realms = BTreeMap::new();
        for (provider, ids) in given.unwrap_or_default() {
            check_provider(&provider, key, section);
            for id in ids {
                if let Some(other) = realms.insert(id, Arc::from(provider.as_str())) {
                    let why = format!("lists a realm of {other} again; a realm is one provider's");
                    section.within(key).refuse(&provider, why);
                }
            }
        }
        realms
    })
}

fn check_provider(provider: &str, key: &str, section: &mut Section<'_>) {
    let names = section.elsewhere("providers").names().unwrap_or_default();
    if !names.iter().any(|name| name == provider) {
        let why = format!("no provider has this name; configured: {}", names.join(", "));
        section.within(key).refuse(provider, why);
    }
}
