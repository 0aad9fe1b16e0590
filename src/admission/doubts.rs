//! Whose fault an answer is that reads like bad credentials: pure decisions over what probes and targets have
//! shown of one credential.
//!
//! The provider's own probe decides, if it has one that can be believed: whom it lets in while it refuses a
//! target, it refuses the target. A target is parked for that at its second attempt at the earliest, and only
//! if the credential was good before that attempt began and no probe was refused since: whatever is being
//! rotated or rolled out just then has passed, or pauses the provider.
//!
//! Where no probe tells anything, three targets of different events with no success since the first mean that
//! it is us, and a success after a target was doubted that it is the target.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::outcome::{Answer, Verdict};
use crate::provider::Probed;
use crate::target::{Scope, TargetId};

/// So many events' targets in doubt without a success since the first: it is us, where no probe tells
/// otherwise.
const ENOUGH_TO_BLAME_US: usize = 3;
/// So many: nobody is parked at once without a success, whatever a probe says. Some servers answer 200 to an
/// unknown token before they look at the client.
const TOO_MANY_TO_BLAME: usize = 20;
/// So many refusals of a probe that was never accepted, if they blame the client by name: then a target
/// tries, too, some 14 s after the first. Some servers say so of every token that they do not know.
const ENOUGH_TO_DOUBT_PROBE: u32 = 3;
/// For so long a target is in doubt then. A batch of somebody else's tokens may be all that there is, and a
/// person has to know of it.
const LONG_ENOUGH: Duration = Duration::from_secs(30);
/// Most targets in doubt that are remembered.
const MOST: usize = 1024;

/// What a probe means, in the light of earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The provider lets us in.
    Accepted,
    /// It does not.
    Refused {
        /// Its answer.
        answer: Answer,
        /// Whether the provider may be one that refuses the probe always: then a target has to try, too.
        untested: bool,
    },
    /// It gave no answer.
    Unanswered(Answer),
    /// It tells nothing, or there is no probe.
    Nothing,
}

/// What an answer in doubt turns out to be, shown by a probe or, where that tells nothing, by other targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// The target is refused.
    Target { by_probe: bool },
    /// It is us.
    Us { by_probe: bool },
    /// It is the provider, which does not answer the probe; what it answered.
    Nobody(Answer),
    /// Not known yet: the target is tried again soon.
    Open,
}

impl Ruling {
    /// The answer with what it means, and what follows from that.
    pub(super) fn applied(&self, answer: Answer, scope: Scope) -> Answer {
        let (verdict, follows) = match (self, scope) {
            (Self::Target { by_probe: true }, Scope::Token) => (
                Verdict::Refused,
                "a probe that names no token is accepted: revoke it as the client that it was issued to, or \
                    cancel it",
            ),
            (Self::Target { by_probe: true }, Scope::Wide) => (
                Verdict::Refused,
                "a probe that names nobody is accepted: see the provider's log, then retry or cancel it",
            ),
            (Self::Target { by_probe: false }, Scope::Token) => (
                Verdict::Refused,
                "other tokens are accepted: revoke it as the client that it was issued to, or cancel it",
            ),
            (Self::Target { by_probe: false }, Scope::Wide) => {
                (Verdict::Refused, "others are accepted: see the provider's log, then retry or cancel it")
            }
            (Self::Us { by_probe: true }, _) => {
                (Verdict::Misconfigured, "a probe that names no target is refused too: see audit.providers")
            }
            (Self::Us { by_probe: false }, _) => (
                Verdict::Misconfigured,
                "so are targets of other events, and none is accepted: check the credentials and the address",
            ),
            (Self::Nobody(_), _) => {
                (Verdict::Transient, "a probe that names no target got no answer: tried again")
            }
            (Self::Open, _) => (
                Verdict::Doubted,
                "it is not known yet whether the target or our credentials are meant: tried again",
            ),
        };
        let retry_after = if let Self::Nobody(probe) = self { probe.retry_after } else { answer.retry_after };
        Answer { retry_after, ..answer.ruled(verdict, follows) }
    }
}

/// An attempt whose answer is in doubt.
#[derive(Clone, Copy)]
pub(crate) struct Doubt {
    /// The target.
    pub(crate) id: TargetId,
    /// The attempt's number, from 1.
    pub(crate) attempt: u32,
    /// When its call began.
    pub(crate) began: Instant,
    /// When its answer came.
    pub(crate) answered: Instant,
}

/// What is known of one credential.
#[derive(Default)]
pub(super) struct Doubts {
    /// Since when nothing but good has been heard of it.
    good_since: Option<Instant>,
    /// When the last probe began that was refused, or targets showed that we are.
    refused_at: Option<Instant>,
    /// When the last call began that a target owes its success to.
    success_at: Option<Instant>,
    probe: Belief,
    /// How often the probe was refused; counts while it has never been accepted.
    refusals: u32,
    /// The targets in doubt, and when each was doubted first.
    first: HashMap<TargetId, Instant>,
}

/// Whether refusals of the probe are believed, which may be about the probe itself.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Belief {
    /// It has neither been accepted nor contradicted yet.
    #[default]
    Untested,
    /// It has been accepted before.
    Proven,
    /// A target succeeded after it was refused: this server refuses it always.
    Contradicted,
}

impl Doubts {
    /// A target's call showed that the credential is good.
    pub(super) fn succeeded(&mut self, began: Instant, ended: Instant) {
        if self.refused_at.is_some_and(|refused| began > refused)
            && self.good_since.is_none()
            && self.probe == Belief::Untested
        {
            self.probe = Belief::Contradicted;
        }
        self.success_at = self.success_at.max(Some(began));
        self.good(began, ended);
    }

    /// What a probe means that was made between these times.
    pub(super) fn probed(&mut self, probed: Probed, began: Instant, ended: Instant) -> Finding {
        match probed {
            Probed::Accepted => {
                self.probe = Belief::Proven;
                self.good(began, ended);
                Finding::Accepted
            }
            Probed::Refused { .. } if self.probe == Belief::Contradicted => Finding::Nothing,
            Probed::Refused { answer, plainly } => {
                self.refused(began);
                self.refusals += 1;
                let believed = plainly && self.refusals < ENOUGH_TO_DOUBT_PROBE;
                Finding::Refused { answer, untested: self.probe == Belief::Untested && !believed }
            }
            Probed::Unanswered(answer) => Finding::Unanswered(answer),
            Probed::Nothing => Finding::Nothing,
        }
    }

    /// Whether there is a probe that can be believed, and nothing but good has been heard since it could.
    pub(super) fn trusts_probe(&self) -> bool {
        self.probe == Belief::Proven && self.good_since.is_some()
    }

    /// Whether a call that began then may have been answered before the probe that was refused last.
    pub(super) fn is_older_than_refusal(&self, began: Instant) -> bool {
        self.refused_at.is_some_and(|refused| began <= refused)
    }

    /// Decides by a probe that began after the answer came.
    pub(super) fn rule(&mut self, doubt: Doubt, finding: Finding) -> Ruling {
        let first = self.note(doubt.id, doubt.answered);
        let in_doubt = self.events_since_success();
        let was_good = self.good_since.is_some_and(|since| since < doubt.began);
        let ruling = match finding {
            Finding::Refused { .. } => Ruling::Us { by_probe: true },
            Finding::Unanswered(answer) => Ruling::Nobody(answer),
            Finding::Accepted if in_doubt >= TOO_MANY_TO_BLAME && doubt.answered < first + LONG_ENOUGH => {
                Ruling::Open
            }
            Finding::Accepted if doubt.attempt > 1 && was_good => Ruling::Target { by_probe: true },
            Finding::Nothing if was_good && self.success_at.is_some_and(|success| success > first) => {
                Ruling::Target { by_probe: false }
            }
            Finding::Nothing if in_doubt >= ENOUGH_TO_BLAME_US => Ruling::Us { by_probe: false },
            Finding::Accepted | Finding::Nothing => Ruling::Open,
        };
        match ruling {
            Ruling::Target { .. } => {
                self.first.remove(&doubt.id);
            }
            Ruling::Us { by_probe: false } => self.refused(doubt.answered),
            _ => {}
        }
        ruling
    }

    fn refused(&mut self, at: Instant) {
        (self.good_since, self.refused_at) = (None, self.refused_at.max(Some(at)));
    }

    /// Good news count from its end, because it may have been decided at any time before, and only if it is
    /// newer than the bad.
    fn good(&mut self, began: Instant, ended: Instant) {
        if !self.is_older_than_refusal(began) && self.good_since.is_none() {
            self.good_since = Some(ended);
        }
    }

    /// When the target was doubted first.
    fn note(&mut self, id: TargetId, answered: Instant) -> Instant {
        if self.first.len() >= MOST
            && !self.first.contains_key(&id)
            && let Some(oldest) = self.first.iter().min_by_key(|(_, first)| **first).map(|(id, _)| *id)
        {
            self.first.remove(&oldest);
        }
        *self.first.entry(id).or_insert(answered)
    }

    /// How many events have targets that were doubted first after the last success.
    fn events_since_success(&self) -> usize {
        let recent =
            self.first.iter().filter(|(_, first)| self.success_at.is_none_or(|success| success < **first));
        recent.map(|(id, _)| id.event).collect::<HashSet<Uuid>>().len()
    }
}

#[cfg(test)]
mod tests;
