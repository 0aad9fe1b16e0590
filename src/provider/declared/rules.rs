//! What the answers to a declared call mean.
//!
//! A rule is a status, and members of the body by their dotted path: `204`, `2xx`, `200 ok=false
//! error=token_revoked`, `error=ratelimited`. Of the rules that fit, the one that says most wins: more
//! members first, then a status before a class of them; of two that say as much, the more careful one.
//!
//! What no rule names is tried again. It is never a success.

use serde_json::Value;

use crate::outcome::{Answer, Proof, Verdict};
use crate::provider::reply::Reply;

/// What an answer means; the later, the more careful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// Done.
    Revoked,
    /// Dead already.
    AlreadyInvalid,
    /// No call revokes this type.
    Unsupported,
    /// Refused for good.
    Rejected,
    /// Our credentials, or so it reads.
    Misconfigured,
    /// May pass.
    Retry,
}

/// The rules of one call.
pub(super) struct Rules(Vec<(Condition, Meaning)>);

/// When a rule fits.
pub(super) struct Condition {
    status: Status,
    members: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Any,
    Class(u16),
    Exact(u16),
}

impl Condition {
    /// Reads one rule; the refusal says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace().peekable();
        let status = match words.peek() {
            Some(word) if !word.contains('=') => {
                let status = status(word).ok_or_else(|| {
                    format!("{word} is no status; write one as 204 or 2xx, then members as ok=true")
                })?;
                words.next();
                status
            }
            Some(_) => Status::Any,
            None => return Err("holds an empty rule; write a status such as 204".to_owned()),
        };
        let member = |word: &str| {
            let (path, value) = word.split_once('=').filter(|(path, _)| !path.is_empty())?;
            Some((path.to_owned(), value.to_owned()))
        };
        let members = words.map(|word| member(word).ok_or_else(|| format!("{word} is no member=value")));
        Ok(Self { status, members: members.collect::<Result<_, _>>()? })
    }

    /// Whether it fits; a page of HTML says nothing of its own, nor does a firewall's challenge.
    pub(super) fn fits(&self, reply: &Reply<'_>) -> bool {
        let status = match self.status {
            Status::Any => true,
            Status::Class(class) => reply.status / 100 == class,
            Status::Exact(status) => reply.status == status,
        };
        status && !reply.is_from_between() && self.holds_in(reply.body.members())
    }

    /// Whether its members are those of `value`.
    pub(super) fn holds_in(&self, value: Option<&Value>) -> bool {
        self.members.iter().all(|(path, wanted)| {
            value.and_then(|value| at(value, path)).is_some_and(|found| text(found) == *wanted)
        })
    }

    fn weight(&self) -> (usize, Status) {
        let status = match self.status {
            Status::Class(_) => Status::Class(0),
            Status::Exact(_) => Status::Exact(0),
            Status::Any => Status::Any,
        };
        (self.members.len(), status)
    }
}

fn status(word: &str) -> Option<Status> {
    if let Some(class) = word.strip_suffix("xx") {
        return class.parse().ok().filter(|class| (2..=5).contains(class)).map(Status::Class);
    }
    word.parse().ok().filter(|status| (200..=599).contains(status)).map(Status::Exact)
}

/// What lies at a dotted path; `.` is the value itself.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(value, |value, name| match value {
        Value::Array(values) => values.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    })
}

/// A value as rules write it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

impl Rules {
    /// Reads the rules by what they mean; the refusal names the list.
    pub(super) fn parse(
        lists: [(&'static str, Meaning, &[String]); 6],
    ) -> Result<Self, (&'static str, String)> {
        let mut rules = Vec::new();
        for (list, meaning, texts) in lists {
            for text in texts {
                rules.push((Condition::parse(text).map_err(|why| (list, why))?, meaning));
            }
        }
        Ok(Self(rules))
    }

    /// What `reply` means.
    pub(super) fn judge(&self, reply: &Reply<'_>) -> Answer {
        let fitting = self.0.iter().filter(|(condition, _)| condition.fits(reply));
        match fitting.max_by_key(|(condition, meaning)| (condition.weight(), *meaning)) {
            Some((condition, meaning)) => answer(reply, *meaning, condition),
            None => unnamed(reply),
        }
    }
}

fn answer(reply: &Reply<'_>, meaning: Meaning, condition: &Condition) -> Answer {
    let is_yes = matches!(meaning, Meaning::Revoked | Meaning::AlreadyInvalid);
    // What is broken off might have gone on otherwise.
    if is_yes && !condition.members.is_empty() && reply.body.is_broken() {
        return reply.transient();
    }
    match meaning {
        Meaning::Revoked if condition.members.is_empty() => reply.accepted(),
        Meaning::Revoked => reply.done(Proof::Accepted),
        Meaning::AlreadyInvalid => reply.done(Proof::AlreadyInvalid),
        Meaning::Unsupported => {
            reply.fails(Verdict::Unsupported, "the provider does not revoke targets of this type")
        }
        Meaning::Rejected => reply
            .fails(Verdict::Refused, "the provider refuses this target: see its log, then retry or cancel"),
        Meaning::Misconfigured => reply.doubted(),
        Meaning::Retry => reply.transient(),
    }
}

/// What an answer means that no rule names. Providers that throttle by 403 say how long.
pub(super) fn unnamed(reply: &Reply<'_>) -> Answer {
    match reply.status {
        401 | 403 if reply.retry_after.is_none() => reply.doubted(),
        401 | 403 => reply.transient(),
        _ => reply.status_answer().unwrap_or_else(|| reply.transient()),
    }
}

#[cfg(test)]
mod tests;
