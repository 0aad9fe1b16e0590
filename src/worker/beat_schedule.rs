//! When a worker sends a heartbeat, and when it marks the log first. Pure: the moments are passed in.
//!
//! All workers hear all heartbeats. One is sent by whoever has published something that its last one did not
//! say; who did so last is the holder, and goes on sending one a period: so a fleet of any size that has
//! nothing to do sends one a period. When nothing is heard of the holder for a little longer, another takes
//! its place.
//!
//! A heartbeat that is sent because all are silent vouches for everybody, so it must name a message in the
//! log that lies behind everything that another, who may be dead, has published. Where the sender has none,
//! it marks the log first (`crates/verifier/src/feed/named.rs` says why that is enough). A mark is due every
//! 15 s in any case: readers of the log renew a subscription that says nothing.
//!
//! Where the machine is short of time, heartbeats come late, and others take the place of a holder that
//! lives, several at once: each with a mark, which would fill the log. So the more that happens, the longer
//! all wait.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::broker::Standing;
use crate::invalidation::Progress;

/// How much longer than a period those wait who are not the holder: at least, and at most so much more.
const BEYOND_PERIOD: Duration = Duration::from_millis(200);
const SPREAD: Duration = Duration::from_millis(300);
/// How much longer they wait for each time that another took the holder's place of late: even after the most
/// of them, and with the longest period that is usual, one second, another takes it within 2 s.
const FOR_EACH_CLAIM: Duration = Duration::from_millis(40);
const CLAIMS_COUNT_FOR: Duration = Duration::from_secs(1800);
/// More of them change nothing.
const MOST_CLAIMS: usize = 12;
/// After a loss of the broker all mark the log, none because heartbeats came late.
const SETTLED_AFTER: Duration = Duration::from_secs(30);
/// The heartbeat of one that takes the holder's place follows its mark so soon.
const JUST_MARKED: Duration = Duration::from_millis(500);
/// The longest period that a worker of the fleet may be set to: for so long after its last heartbeat it may
/// have published unsaid.
const LONGEST_PERIOD: Duration = Duration::from_secs(2);
/// How often the log is marked by anybody, by those who are not the holder a little later. Verifiers ask for
/// 20 s.
const MARK_EVERY: Duration = Duration::from_secs(15);
const BEYOND_MARK: Duration = Duration::from_secs(1);
/// How often each worker says what it has published, if it has nothing new to say: for verifiers that have
/// just started.
const REPEAT_EVERY: Duration = Duration::from_secs(30);
/// So many publishers are told apart; each run of a worker's process is one.
const REMEMBERED: usize = 1000;

/// What to do now, or until when there is nothing to do, unless something is heard or published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Mark the log, then send a heartbeat.
    Mark,
    /// Send a heartbeat.
    Beat,
    /// Nothing.
    Wait(Instant),
}

/// What a worker knows of the fleet's heartbeats.
pub(super) struct BeatSchedule {
    publisher: String,
    period: Duration,
    is_listening: bool,
    /// Since when they are heard, or not.
    since: Instant,
    /// Who says something new last, and when that one was last heard.
    holder: Option<String>,
    last: Instant,
    /// When another took the holder's place.
    claims: VecDeque<Instant>,
    /// How far all say that they have published.
    heard: HashMap<String, u64>,
    /// When another was last heard to have published something.
    others_published: Option<Instant>,
    /// The last mark of anybody.
    marked: Instant,
    /// The connection on which this worker has marked the log.
    marked_link: u64,
    /// This worker's last heartbeat, what it said, and when one last said that more was confirmed.
    sent: Option<Instant>,
    said: Standing,
    confirmed: Option<Instant>,
    /// Between 0 and 1, drawn anew at each heartbeat.
    luck: f64,
}

impl BeatSchedule {
    pub(super) fn new(publisher: &str, period: Duration, now: Instant) -> Self {
        Self {
            publisher: publisher.to_owned(),
            period,
            is_listening: false,
            since: now,
            holder: None,
            last: now,
            claims: VecDeque::new(),
            heard: HashMap::new(),
            others_published: None,
            marked: now,
            marked_link: 0,
            sent: None,
            said: Standing::default(),
            confirmed: None,
            luck: rand::random(),
        }
    }

    /// From now on all heartbeats are heard, or none.
    pub(super) fn listens(&mut self, is_listening: bool, now: Instant) {
        (self.is_listening, self.since) = (is_listening, now);
        // What others published meanwhile was not heard.
        self.others_published = Some(now);
    }

    /// A heartbeat was heard. Older workers do not say what they publish.
    pub(super) fn heard(&mut self, progress: Option<Progress>, now: Instant) {
        let Some(Progress { publisher, attempted, mark_age_ms, .. }) = progress else {
            self.others_published = Some(now);
            return;
        };
        if let Some(marked) = mark_age_ms.and_then(|age| now.checked_sub(Duration::from_millis(age))) {
            self.marked = self.marked.max(marked);
        }
        if self.heard.len() >= REMEMBERED {
            self.heard.clear();
        }
        let before = self.heard.insert(publisher.clone(), attempted);
        let (is_own, is_new) = (publisher == self.publisher, before != Some(attempted));
        if is_new && !is_own {
            self.others_published = Some(now);
        }
        let has_just_marked = mark_age_ms.is_some_and(|age| Duration::from_millis(age) < JUST_MARKED);
        // One that has just started marks the log, too.
        let is_settled = now.duration_since(self.since) >= SETTLED_AFTER;
        let is_claim = is_new && before.is_some() && has_just_marked && is_settled;
        if is_claim && self.holder.as_ref() != Some(&publisher) {
            self.claims.push_back(now);
        }
        if self.claims.len() > MOST_CLAIMS {
            self.claims.pop_front();
        }
        // A worker that repeats what it said before does not take the holder's place, nor hide the holder's
        // silence.
        if is_new || self.holder.as_ref() == Some(&publisher) {
            (self.last, self.holder, self.luck) = (now, Some(publisher), rand::random());
        }
    }

    fn is_holder(&self) -> bool {
        self.holder.as_ref() == Some(&self.publisher)
    }

    /// The log was marked by this worker on this connection.
    pub(super) fn marked(&mut self, link: u64, now: Instant) {
        (self.marked, self.marked_link) = (now, link);
    }

    /// How long ago the last mark was.
    pub(super) fn mark_age(&self, now: Instant) -> Duration {
        now.duration_since(self.marked)
    }

    /// A heartbeat was sent that says this.
    pub(super) fn sent(&mut self, said: Standing, now: Instant) {
        if said.sequence != self.said.sequence {
            self.confirmed = Some(now);
        }
        // Before it is heard: it says something new, or is the holder's, or nobody is heard at all.
        if said.attempted != self.said.attempted || self.is_holder() || !self.is_listening {
            self.last = now;
        }
        (self.sent, self.said) = (Some(now), said);
    }

    /// What is to be done.
    pub(super) fn due(&self, standing: &Standing, now: Instant) -> Due {
        let (mark, beat) = (self.mark_due(standing, now), self.beat_due(standing, now));
        let keep_alive = self.last + self.period + self.patience(now);
        let next = mark.min(beat).min(keep_alive);
        match standing.link {
            0 => Due::Wait(now + self.period),
            _ if next > now => Due::Wait(next),
            _ if mark <= now || (keep_alive <= now && self.must_mark(standing)) => Due::Mark,
            _ => Due::Beat,
        }
    }

    fn waits_for_another(&self) -> bool {
        self.is_listening && !self.is_holder()
    }

    fn patience(&self, now: Instant) -> Duration {
        if !self.waits_for_another() {
            return Duration::ZERO;
        }
        let claims = self.claims.iter().filter(|at| now.duration_since(**at) < CLAIMS_COUNT_FOR).count();
        BEYOND_PERIOD + FOR_EACH_CLAIM.mul_f64(claims as f64) + SPREAD.mul_f64(self.place())
    }

    /// Where between the least and the longest patience this worker's lies: the more workers, the more of
    /// them near the longest, so that the first is alone (exponential timers: Nonnenmacher, Biersack, 1999).
    fn place(&self) -> f64 {
        let steepness = (self.heard.len().max(2) as f64).ln() + 1.0;
        (self.luck * steepness.exp_m1()).ln_1p() / steepness
    }

    fn mark_due(&self, standing: &Standing, now: Instant) -> Instant {
        // On a new connection at once: what follows on it lies behind what was lost with the one before.
        if standing.link != self.marked_link {
            return now;
        }
        self.marked
            + MARK_EVERY
            + if self.waits_for_another() { BEYOND_MARK.mul_f64(1.0 + self.luck) } else { Duration::ZERO }
    }

    /// When this worker has something to say that others cannot say for it.
    fn beat_due(&self, standing: &Standing, now: Instant) -> Instant {
        let a_period_after = |last: Option<Instant>| last.map_or(now, |last| last + self.period);
        // That something is under way is said at once after a silence, so that others notice if this worker
        // dies before it is confirmed.
        let under_way = (standing.attempted > self.said.attempted).then(|| a_period_after(self.sent));
        let confirmed = (standing.sequence > self.said.sequence).then(|| a_period_after(self.confirmed));
        let repeated = self.sent.map_or(now, |sent| sent + REPEAT_EVERY);
        [under_way, confirmed].into_iter().flatten().fold(repeated, Instant::min)
    }

    /// Whether another may have published something that lies behind this worker's last message. Who takes
    /// another's place always marks the log: by that the others know it.
    fn must_mark(&self, standing: &Standing) -> bool {
        let behind =
            |at: Instant| standing.published.is_none_or(|(published, _)| published < at + LONGEST_PERIOD);
        self.is_listening && (!self.is_holder() || self.others_published.is_some_and(behind))
    }
}

#[cfg(test)]
mod tests;
