//! Who may order what: the rules of `[authorization]`, for whoever sent an event.
//!
//! A right is never won by saying less or more of oneself: an event that names no sender may only
//! what every listed user may, unless `[authorization.anonymous]` says otherwise, and one that says who sent
//! it first, without coming from an operator, needs the rights of both.

mod rate;
mod remarks;

use std::collections::BTreeMap;

use crate::event::{EventType, Origin, Original, Sender, quoted};
use crate::target::Kind;

pub use rate::{Admitted, Bucket, Rates, incident_name};

/// What one sender may order. What is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// CloudEvents sources; a trailing `*` stands for any ending.
    pub sources: Option<Vec<String>>,
    /// Kinds of targets.
    pub kinds: Option<Vec<Kind>>,
    /// Names of providers.
    pub providers: Option<Vec<String>>,
    /// How many targets that are no tokens go at once, within a minute, over all workers. What comes beyond
    /// that waits for a second person.
    pub wide_targets_per_minute: Option<u32>,
}

/// The rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// Broker users that may publish `auth.logout.v1`; `None`: any.
    pub logout_users: Option<Vec<String>>,
    /// Broker users that may publish `auth.mass_revocation.v1`.
    pub mass_revocation_users: Vec<String>,
    /// Broker users that are believed who sent a message first: those of `dead requeue`.
    pub operators: Vec<String>,
    /// What each of these broker users may order.
    pub users: BTreeMap<String, Rights>,
    /// What events that name no sender may; `None`: what each of `users` may.
    pub anonymous: Option<Rights>,
}

/// One of the limits that an event is held to.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    sender: Sender<'a>,
    /// The setting that it comes from.
    user: Sender<'a>,
    rights: &'a Rights,
}

impl Authority {
    /// Decides whose rights count. An operator puts back what others sent: it has their rights, and is on
    /// record under the first of them. Anybody else who says so has no right that those have not, nor they
    /// one that the publisher has not.
    pub fn attribute(&self, origin: &mut Origin) {
        let Original::Senders(senders) = &mut origin.original else { return };
        let mut senders = std::mem::take(senders);
        origin.original = Original::NotSaid;
        if origin.broker_user.as_ref().is_some_and(|user| self.operators.contains(user)) {
            origin.requeued_by = origin.broker_user.take();
            origin.broker_user = senders.first().cloned().flatten();
        } else if !senders.contains(&origin.broker_user) {
            senders.push(origin.broker_user.clone());
        }
        origin.senders = senders;
    }

    /// Why these senders may not order events of this type; `None`: they may.
    pub fn refuse_type(&self, origin: &Origin, event_type: EventType) -> Option<String> {
        if origin.original == Original::Unreadable {
            return Some(
                "header x-original-user is not the name of a broker user; `dead requeue` sets it, publishers \
                    leave it out".to_owned(),
            );
        }
        let (allowed, setting) = match event_type {
            EventType::Logout => (self.logout_users.as_ref()?, "authorization.logout_users"),
            EventType::MassRevocation => (&self.mass_revocation_users, "authorization.mass_revocation_users"),
        };
        let mut refused = origin
            .senders()
            .filter(|sender| !sender.is_some_and(|user| allowed.iter().any(|allowed| allowed == user)));
        let publisher = match refused.next()? {
            Some(user) => {
                format!("broker user {} is not in {setting}: add it there to allow this", quoted(user))
            }
            None => {
                format!(
                    "the message names no publisher: set the AMQP user_id property to the broker user, and \
                        list that user in {setting}"
                )
            }
        };
        Some(format!("type {} was refused: {publisher}", event_type.as_str()))
    }

    /// Every limit that these senders are held to.
    pub fn limits<'a>(&'a self, origin: &'a Origin) -> Vec<Limit<'a>> {
        origin.senders().flat_map(|sender| self.limits_of(sender)).collect()
    }

    fn limits_of<'a>(&'a self, sender: Sender<'a>) -> impl Iterator<Item = Limit<'a>> {
        let limit = move |user, rights| Limit { sender, user, rights };
        let listed = self.users.iter().filter(move |(user, _)| match sender {
            Some(sender) => sender == user.as_str(),
            None => self.anonymous.is_none(),
        });
        let anonymous = self.anonymous.iter().filter(move |_| sender.is_none());
        listed
            .map(move |(user, rights)| limit(Some(user.as_str()), rights))
            .chain(anonymous.map(move |rights| limit(None, rights)))
    }

    /// Whether anybody's rate is limited.
    pub fn has_rates(&self) -> bool {
        self.users.values().chain(&self.anonymous).any(|rights| rights.wide_targets_per_minute.is_some())
    }

    /// How many wide targets this sender may order within a minute; `None`: any number.
    pub fn rate_of(&self, sender: Sender<'_>) -> Option<u32> {
        self.limits_of(sender).filter_map(|limit| limit.rights.wide_targets_per_minute).min()
    }
}

impl Limit<'_> {
    /// Why an event of this source may not be ordered; `None`: it may.
    pub fn refuse_source(&self, source: &str) -> Option<String> {
        let allowed = self.rights.sources.as_ref()?;
        let is_allowed = allowed.iter().any(|allowed| fits(allowed, source));
        (!is_allowed).then(|| {
            format!("source {} is refused: {}", quoted(source), self.may("sources", &allowed.join(", ")))
        })
    }

    /// Why a target of this kind at this provider may not be ordered; `None`: it may.
    pub fn refuse_target(&self, kind: Kind, provider: &str) -> Option<String> {
        let Rights { kinds, providers, .. } = self.rights;
        if let Some(kinds) = kinds.as_ref().filter(|kinds| !kinds.contains(&kind)) {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
            return Some(format!(
                "is of kind {}, which is refused: {}",
                kind.as_str(),
                self.may("kinds", &kinds.join(", "))
            ));
        }
        let providers =
            providers.as_ref().filter(|providers| !providers.iter().any(|allowed| allowed == provider))?;
        Some(format!(
            "is of provider {}, which is refused: {}",
            quoted(provider),
            self.may("providers", &providers.join(", "))
        ))
    }

    fn may(&self, what: &str, allowed: &str) -> String {
        let allowed = if allowed.is_empty() { "none" } else { allowed };
        match (self.sender, self.user) {
            (Some(user), _) => {
                format!("broker user {} may order {what} {allowed} (authorization.users)", quoted(user))
            }
            (None, None) => format!(
                "a message that names no publisher may order {what} {allowed} (authorization.anonymous)"
            ),
            (None, Some(user)) => format!(
                "the message names no publisher, so what broker user {} may holds for it, too: {what} \
                    {allowed}; \
                 set the AMQP user_id property, or say in authorization.anonymous what such messages may",
                quoted(user)
            ),
        }
    }
}

/// Whether a source is of a pattern.
fn fits(pattern: &str, source: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => source.starts_with(start),
        None => source == pattern,
    }
}

#[cfg(test)]
mod tests;
