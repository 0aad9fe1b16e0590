//! `[people]`: which broker users and database roles are whose, so that two persons are two.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rule::{Rule, by_name, list};
use super::section::Section;
use super::setting::settings;
use crate::visible::flaw;

/// Longest name of a database role, in bytes: Postgres cuts off the rest.
const MAX_ROLE: usize = 63;

/// From each person to what is theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct People(BTreeMap<String, Person>);

settings! {
    /// What is one person's.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
    pub struct Person {
        /// Broker users whose orders are this person's. One may be several persons'.
        pub broker_users: Vec<String> = list(),
        /// Database roles in whose sessions this person approves. Each is one person's.
        pub database_roles: Vec<String> = list(),
    }
    check refuse_person
}

/// `[people]`; `None` where the section is not there.
pub(super) fn people() -> Rule<Option<People>> {
    by_name().then(|people, key, section| {
        let people = people?;
        let mut section = section.within(key);
        refuse_one_name_for_two(&people, &mut section);
        refuse_one_role_for_two(&people, &mut section);
        Some(People(people))
    })
}

impl People {
    /// Whether orders by this broker user are somebody's.
    pub(super) fn have_broker_user(&self, user: &String) -> bool {
        self.0.values().any(|person| person.broker_users.contains(user))
    }
}

fn refuse_person(person: &Person, section: &mut Section<'_>) {
    // What was refused may be what is theirs.
    let is_nothing =
        person.broker_users.is_empty() && person.database_roles.is_empty() && !section.has_refused_any();
    let name = section.last_name();
    if name.is_empty() || name.len() > 255 {
        section.refuse_all("a person's name has 1 to 255 bytes");
    } else if let Some(flaw) = flaw(name) {
        // Two that look the same would be two persons.
        section.refuse_all(format_args!("a person's name {flaw}"));
    } else if is_nothing {
        section.refuse_all("nothing is theirs; list their broker_users or database_roles, or remove them");
    } else if person.broker_users.iter().any(|user| user.is_empty() || user.len() > 255) {
        section.refuse_all("a broker user's name has 1 to 255 bytes");
    } else if person.database_roles.iter().any(|role| role.is_empty() || role.len() > MAX_ROLE) {
        section.refuse_all(format_args!("a database role's name has 1 to {MAX_ROLE} bytes"));
    }
}

/// Neither case nor blanks make two persons of one, as in the database.
fn refuse_one_name_for_two(people: &BTreeMap<String, Person>, section: &mut Section<'_>) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in people.keys() {
        let same: String = name.to_lowercase().split_whitespace().collect();
        if let Some(other) = seen.insert(same, name) {
            section.refuse(name, format_args!("is spelled like {other}; one person is listed once"));
        }
    }
}

fn refuse_one_role_for_two(people: &BTreeMap<String, Person>, section: &mut Section<'_>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, person) in people {
        for role in &person.database_roles {
            if let Some(other) = seen.insert(role, name)
                && other != name
            {
                let why = format_args!(
                    "role {role} is {other}'s, too; a role is one person's, so give each a login of their own"
                );
                section.within(name).refuse("database_roles", why);
            }
        }
    }
}
