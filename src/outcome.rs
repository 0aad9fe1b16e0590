//! What a provider's answer means: computed once, here and in each provider's `classify`, and everything else
//! derives from it.

use std::time::Duration;

use time::OffsetDateTime;

use crate::retry::Schedule;

/// How far the revocation is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The provider said yes.
    Accepted,
    /// The provider said that the token was dead already.
    AlreadyInvalid,
    /// Introspection answered `active:false` afterwards.
    Verified,
    /// Introspection still says active: not done.
    Contradicted,
}

impl Proof {
    /// The value in the audit views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AlreadyInvalid => "already_invalid",
            Self::Verified => "verified",
            Self::Contradicted => "contradicted",
        }
    }
}

/// A target's state (docs/contract.md, section 3). The database holds the same list and refuses every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Work to do.
    Pending,
    /// Needs a person, or the budget ran out; tried again at every sweep.
    Parked,
    /// The provider accepted it.
    Revoked,
    /// The provider has no such call.
    Unsupported,
    /// The token's lifetime ended first.
    Expired,
    /// An operator gave it up.
    Cancelled,
}

impl State {
    /// The value in the audit views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Parked => "parked",
            Self::Revoked => "revoked",
            Self::Unsupported => "unsupported",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Parked)
    }
}

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target is dead at the provider. The proof is never `Contradicted`.
    Done(Proof),
    /// The provider accepted, but introspection still says active.
    Contradicted,
    /// May work later: network, timeout, 408, 425, 429, 5xx, body-coded throttling.
    Transient,
    /// What came back is no readable HTTP; the call may have worked. Only within `provider`, which makes it
    /// `Transient`.
    Unreadable,
    /// Will work when a person has mended something: credentials, 3xx, host name, certificate.
    Misconfigured,
    /// Reads like bad credentials or a wrong endpoint, but came to a call that names a target: some servers
    /// blame the client for a token of another one. Whose fault it is, a probe that names no target decides
    /// (`admission/doubts.rs`); until then the target waits, and no failure of it is counted.
    Doubted,
    /// The provider has no such call, or refuses this token type, for good.
    Unsupported,
    /// The provider refuses this target; a person must look.
    Refused,
}

/// A provider's answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// HTTP status, where there was a response.
    pub http_status: Option<u16>,
    /// What was tried, on what, and why it failed; at most 240 characters, never a secret. `None` on success.
    pub error: Option<String>,
    /// `Retry-After`, in full.
    pub retry_after: Option<Duration>,
}

impl Verdict {
    /// The outcome's name in `audit.attempts` and in the metrics.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Done(Proof::AlreadyInvalid) => "already_invalid",
            Self::Done(_) => "revoked",
            Self::Contradicted | Self::Transient | Self::Unreadable | Self::Doubted => "transient",
            Self::Misconfigured => "misconfigured",
            Self::Unsupported | Self::Refused => "rejected",
        }
    }
}

impl Answer {
    /// An answer that leaves no doubt: the target is dead.
    pub fn done(proof: Proof, http_status: Option<u16>) -> Self {
        Self { verdict: Verdict::Done(proof), http_status, error: None, retry_after: None }
    }

    /// A failure, with its text.
    pub fn failed(verdict: Verdict, http_status: Option<u16>, error: impl Into<String>) -> Self {
        Self { verdict, http_status, error: Some(error.into()), retry_after: None }
    }

    /// The same answer to a call that names no target: there it is no target's fault.
    pub fn undoubted(self) -> Self {
        if self.verdict == Verdict::Doubted {
            self.ruled(Verdict::Misconfigured, "check the address and the credentials")
        } else {
            self
        }
    }

    /// The same answer, now that it is known what it means. The sentence goes on with what follows from it,
    /// which is never cut.
    pub fn ruled(self, verdict: Verdict, follows: &str) -> Self {
        let room = LONGEST_ERROR.saturating_sub(follows.chars().count() + 2);
        let said: String = self.error.unwrap_or_default().chars().take(room).collect();
        Self { verdict, error: Some(format!("{said}; {follows}")), ..self }
    }
}

/// What is known of a target when an answer arrives.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// This attempt's number, from 1.
    pub attempt: u32,
    /// Failures before this attempt.
    pub failures: u32,
    /// The token's own end, where known: it is the budget.
    pub token_expires_at: Option<OffsetDateTime>,
    /// End of the budget where the lifetime is unknown.
    pub give_up_at: OffsetDateTime,
    /// Whether the provider fails for everybody and is left alone: then a failure is its own, and not counted
    /// against the target.
    pub is_outage: bool,
    /// Whether attempt after attempt was answered by what is no readable HTTP: waiting mends that seldom, so
    /// a person is told.
    pub is_unreadable: bool,
}

/// A target's next state. Database row, log line, metric and message derive from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settlement {
    /// The state.
    pub state: State,
    /// The proof, or `Contradicted` on a target that stays open.
    pub proof: Option<Proof>,
    /// Whether a failure was counted against the schedule.
    pub spent: bool,
    /// When an open target is due again.
    pub due_in: Option<Duration>,
}

/// Most characters of an error text.
pub const LONGEST_ERROR: usize = 240;
/// Shortest rest of a target whose answer is in doubt: what is being rolled out just then may pass.
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// Longest rest of a target that met wrong credentials or the like.
const LONGEST_PROBE_REST: Duration = Duration::from_secs(60);
/// How long after its own end a token is still tried: clocks differ.
pub const EXPIRY_LEEWAY: Duration = Duration::from_secs(60);

/// The next state of a target after an answer. Pure but for the schedule's jitter.
pub fn settle(answer: &Answer, standing: &Standing, schedule: &Schedule, now: OffsetDateTime) -> Settlement {
    let settled = |state, proof| Settlement { state, proof, spent: false, due_in: None };
    let open = |state, proof, spent, due_in| Settlement { state, proof, spent, due_in: Some(due_in) };
    let out_of_time = standing.token_expires_at.is_none() && now >= standing.give_up_at;
    let delay = || schedule.delay(standing.failures.saturating_add(1), answer.retry_after);
    match answer.verdict {
        Verdict::Done(proof) => settled(State::Revoked, Some(proof)),
        Verdict::Unsupported => settled(State::Unsupported, None),
        Verdict::Refused => open(State::Parked, None, true, schedule.resweep_every()),
        _ if standing.token_expires_at.is_some_and(|end| now >= end + EXPIRY_LEEWAY) => {
            settled(State::Expired, None)
        }
        Verdict::Transient if out_of_time || standing.is_unreadable => {
            open(State::Parked, None, true, schedule.resweep_every())
        }
        Verdict::Doubted if out_of_time => open(State::Parked, None, true, schedule.resweep_every()),
        Verdict::Contradicted if out_of_time => {
            open(State::Parked, Some(Proof::Contradicted), true, schedule.resweep_every())
        }
        Verdict::Transient if standing.is_outage => open(State::Pending, None, false, delay()),
        Verdict::Transient | Verdict::Unreadable => open(State::Pending, None, true, delay()),
        Verdict::Contradicted => open(State::Pending, Some(Proof::Contradicted), true, delay()),
        // The provider's breaker holds everything back and the schedule is not touched. The target that was
        // asked about rests a little longer than the others, so that where targets are the probes the next
        // one is made with another: some servers blame the credentials for one target.
        Verdict::Misconfigured => {
            open(State::Pending, None, false, schedule.delay(standing.attempt, None).min(LONGEST_PROBE_REST))
        }
        // Added, not the least: a crowd in doubt must not return in the same moment.
        Verdict::Doubted => open(
            State::Pending,
            None,
            false,
            SHORTEST_REST.saturating_add(schedule.delay(standing.attempt, answer.retry_after)),
        ),
    }
}

#[cfg(test)]
mod tests;
