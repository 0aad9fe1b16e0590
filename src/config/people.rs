//! `[people]`: which broker users and database roles are whose, so that two persons are two.

use std::collections::BTreeMap;

use serde::Serialize;

use super::findings::Findings;
use super::raw::{RawPerson, Words};
use crate::visible::flaw;

/// Longest name of a database role, in bytes: Postgres cuts off the rest.
const MAX_ROLE: usize = 63;

/// From each person to what is theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct People(BTreeMap<String, Person>);

/// What is one person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Broker users whose orders are this person's. One may be several persons'.
    pub broker_users: Vec<String>,
    /// Database roles in whose sessions this person approves. Each is one person's.
    pub database_roles: Vec<String>,
}

/// `[people]`; `None` where the section is not there.
pub(super) fn people(raw: Option<BTreeMap<String, RawPerson>>, findings: &mut Findings) -> Option<People> {
    let people = raw?.into_iter().map(|(name, raw)| person(name, raw, findings)).collect();
    refuse_one_name_for_two(&people, findings);
    refuse_one_role_for_two(&people, findings);
    Some(People(people))
}

/// An operator's word is who sent first what he puts back: where he is nobody, he could order in another's
/// name and approve it.
pub(super) fn refuse_nobodys_operators(
    people: Option<&People>,
    operators: &[String],
    findings: &mut Findings,
) {
    let Some(People(people)) = people else { return };
    let is_somebodys = |user: &String| people.values().any(|person| person.broker_users.contains(user));
    for user in operators.iter().filter(|user| !is_somebodys(user)) {
        let why = format!("{user} is in nobody's people.<name>.broker_users: list whose broker user that is");
        findings.refuse("authorization.operators", why);
    }
}

fn person(name: String, raw: RawPerson, findings: &mut Findings) -> (String, Person) {
    let words = |words: Option<Words>| words.map(|words| words.0).unwrap_or_default();
    let person = Person { broker_users: words(raw.broker_users), database_roles: words(raw.database_roles) };
    let setting = format!("people.{name}");
    if name.is_empty() || name.len() > 255 {
        findings.refuse(&setting, "a person's name has 1 to 255 bytes");
    } else if let Some(flaw) = flaw(&name) {
        // Two that look the same would be two persons.
        findings.refuse(&setting, format_args!("a person's name {flaw}"));
    } else if person.broker_users.is_empty() && person.database_roles.is_empty() {
        findings
            .refuse(&setting, "nothing is theirs; list their broker_users or database_roles, or remove them");
    } else if person.broker_users.iter().any(|user| user.is_empty() || user.len() > 255) {
        findings.refuse(&setting, "a broker user's name has 1 to 255 bytes");
    } else if person.database_roles.iter().any(|role| role.is_empty() || role.len() > MAX_ROLE) {
        findings.refuse(&setting, format_args!("a database role's name has 1 to {MAX_ROLE} bytes"));
    }
    (name, person)
}

/// Neither case nor blanks make two persons of one, as in the database.
fn refuse_one_name_for_two(people: &BTreeMap<String, Person>, findings: &mut Findings) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in people.keys() {
        let same: String = name.to_lowercase().split_whitespace().collect();
        if let Some(other) = seen.insert(same, name) {
            findings.refuse(
                &format!("people.{name}"),
                format_args!("is spelled like {other}; one person is listed once"),
            );
        }
    }
}

fn refuse_one_role_for_two(people: &BTreeMap<String, Person>, findings: &mut Findings) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, person) in people {
        for role in &person.database_roles {
            if let Some(other) = seen.insert(role, name)
                && other != name
            {
                let why = format_args!(
                    "role {role} is {other}'s, too; a role is one person's, so give each a login of their own"
                );
                findings.refuse(&format!("people.{name}.database_roles"), why);
            }
        }
    }
}
