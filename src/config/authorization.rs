//! `[authorization]`: who may order what, and when a second person is needed.

use std::collections::BTreeMap;

use super::quantity::{ranged, within};
use super::rule::{Rule, by_name, list, optional, optional_section};
use super::setting::settings;
use crate::approval::ApprovalRules;
use crate::authorization::{Authority, Rights};
use crate::target::Kind;

settings! {
    /// `[authorization]`
    pub struct AuthorizationConfig {
        /// Broker users that may publish `auth.logout.v1`.
        pub logout_users: Option<Vec<String>> = optional().default("any"),
        /// Broker users that may publish `auth.mass_revocation.v1`.
        pub mass_revocation_users: Vec<String> = list(),
        /// Broker users of those who run `dead requeue`. What they put back has the rights of who sent it
        /// first; what others put back needs their own, too.
        pub operators: Vec<String> = list(),
        /// What a broker user may order; what is absent is not limited.
        pub users: BTreeMap<String, Rights> = users(),
        /// What events without the property `user_id` may order. Without it, what every one of `users` may.
        pub anonymous: Option<Rights> = optional_section(),
        /// Target kinds of which one is enough for a mass revocation to wait until a second person approves
        /// it: `token`, `session`, `subject`, `client`, `issuer`; or `none`.
        pub approval_required_for: Vec<Kind> = kinds_or(&[Kind::Client, Kind::Issuer]),
        /// An incident of more targets than this waits for approval, whatever their kinds.
        pub approval_above_targets: i64 = within(10_000, 0..=1_000_000_000),
    }
}

settings! {
    impl Rights {
        /// CloudEvents sources; a star at the end stands for any ending.
        sources: Option<Vec<String>> = optional().default("any"),
        /// Kinds of targets, or `none`.
        kinds: Option<Vec<Kind>> = kinds().default("any"),
        /// Names of providers.
        providers: Option<Vec<String>> = optional().default("any"),
        /// How many targets that are no tokens go at once, within a minute, over all workers. What comes
        /// beyond that waits for a second person.
        wide_targets_per_minute: Option<u32> = ranged(0..=1_000_000).default("no limit"),
    }
}

impl AuthorizationConfig {
    /// The settings that say who may order what.
    pub fn authority(&self) -> Authority {
        Authority {
            logout_users: self.logout_users.clone(),
            mass_revocation_users: self.mass_revocation_users.clone(),
            operators: self.operators.clone(),
            users: self.users.clone(),
            anonymous: self.anonymous.clone(),
        }
    }

    /// The two settings that say when a second person has to approve.
    pub fn approval(&self) -> ApprovalRules {
        ApprovalRules {
            kinds: self.approval_required_for.clone(),
            above_targets: self.approval_above_targets,
        }
    }
}

/// Target kinds by name. `none` alone is the empty list, which a variable of the environment cannot hold
/// otherwise.
fn kinds() -> Rule<Option<Vec<Kind>>> {
    optional::<Vec<String>>().form("list of kinds").then(|given, key, section| {
        let names = given?;
        let found: Vec<Kind> = names.iter().filter_map(|name| Kind::parse(name)).collect();
        if names != ["none"] && found.len() < names.len() {
            let known = Kind::ALL.map(Kind::as_str).join(", ");
            section.refuse(key, format_args!("must list kinds of targets ({known}), or be none"));
        }
        Some(found)
    })
}

/// The same with a default.
fn kinds_or(default: &'static [Kind]) -> Rule<Vec<Kind>> {
    let shown: Vec<_> = default.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
    kinds().default(shown.join(", ")).then(|kinds, _, _| kinds.unwrap_or_else(|| default.to_vec()))
}

/// `authorization.users`
fn users() -> Rule<BTreeMap<String, Rights>> {
    by_name::<Rights>().then(|users, key, section| {
        let users = users.unwrap_or_default();
        for user in users.keys().filter(|user| !(1..=255).contains(&user.len())) {
            section.within(key).refuse(user, "the name of a broker user has 1 to 255 bytes");
        }
        users
    })
}
