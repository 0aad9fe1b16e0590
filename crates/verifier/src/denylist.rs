//! The handle that a service holds.

mod options;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::entries::{At, Entries};
use crate::feed::Feed;
use crate::freshness::Freshness;
use crate::message::{Entry, Staleness, StalenessPolicy, Status};
use crate::oddities::Oddities;
use crate::report::Reporter;
use crate::token::TokenView;
use crate::verdict::Verdict;

pub use options::{Options, OptionsError};

/// How often what is over is looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long a last report may take.
const SIGN_OFF: Duration = Duration::from_secs(1);
/// One in so many looks goes through all entries.
const TICKS_PER_EXPIRY: u64 = 5;

/// How far the feed is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Offset in the stream of the last message applied.
    pub offset: u64,
    /// That message's `time`, where it could be read.
    pub time: Option<OffsetDateTime>,
}

/// Figures for metrics; counters start with the denylist.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Tokens and selectors denied.
    pub entries: u64,
    /// Checks answered [`Verdict::Allowed`].
    pub allowed: u64,
    /// Checks answered [`Verdict::Denied`].
    pub denied: u64,
    /// Checks that `fail_open` accepted while stale.
    pub stale_accepted: u64,
    /// Checks that `fail_closed` refused while stale.
    pub stale_refused: u64,
    /// Messages applied.
    pub applied: u64,
    /// Messages and entries that could not be read.
    pub unreadable: u64,
    /// Entries not held because of [`Options::skip_refresh_tokens`]; one that comes again counts again.
    pub skipped_refresh: u64,
    /// Connections to the feed that were lost or could not be made.
    pub disconnects: u64,
    /// Times that the stream was found truncated.
    pub truncations: u64,
    /// Checks of signed JWTs whose claims could not be read to their end.
    pub unreadable_tokens: u64,
    /// Checks of tokens that say that they were issued later than now; see
    /// [`Denylist::issued_in_the_future`].
    pub future_iat: u64,
}

/// Counters behind [`Figures`].
#[derive(Default)]
pub(crate) struct Counters {
    allowed: AtomicU64,
    denied: AtomicU64,
    stale_accepted: AtomicU64,
    stale_refused: AtomicU64,
    pub(crate) applied: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) skipped_refresh: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    pub(crate) truncations: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Whether the operators are told that nothing is verified any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    No,
    Asked,
    Told,
}

/// What the feed writes and the checks read.
pub(crate) struct Shared {
    pub(crate) entries: Entries,
    pub(crate) freshness: Freshness,
    pub(crate) counters: Counters,
    oddities: Oddities,
    pub(crate) position: watch::Sender<Option<Position>>,
    pub(crate) caught_up: watch::Sender<bool>,
    pub(crate) parting: watch::Sender<Parting>,
    policy: StalenessPolicy,
    pub(crate) skips_refresh_tokens: bool,
}

/// A denylist that keeps itself up to date. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct Denylist {
    shared: Arc<Shared>,
    _tasks: Arc<Tasks>,
}

struct Tasks([JoinHandle<()>; 3]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Denylist {
    /// Starts to read the feed, and to report to operators, in tasks of the present tokio runtime. Returns at
    /// once: the broker may be away. Until [`ready`](Self::ready), the denylist is stale.
    ///
    /// # Errors
    /// The options cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(options: Options) -> Result<Self, OptionsError> {
        let address = options.address()?;
        let shared = Arc::new(Shared {
            entries: Entries::new(),
            freshness: Freshness::new(),
            counters: Counters::default(),
            oddities: Oddities::default(),
            position: watch::Sender::new(None),
            caught_up: watch::Sender::new(false),
            parting: watch::Sender::new(Parting::No),
            policy: options.staleness_policy,
            skips_refresh_tokens: options.skips_refresh_tokens,
        });
        let name = format!("revocation-verifier {}/{}", options.service, options.instance);
        let feed = Feed::new(shared.clone(), address.clone(), name.clone(), options.max_token_lifetime);
        let reporter = Reporter {
            shared: shared.clone(),
            address,
            name,
            service: options.service,
            instance: options.instance,
        };
        let tasks =
            [tokio::spawn(feed.run()), tokio::spawn(reporter.run()), tokio::spawn(forget(shared.clone()))];
        Ok(Self { shared, _tasks: Arc::new(Tasks(tasks)) })
    }

    /// Denies at once, here alone, what the feed will bring to all: for a service that logs its user out
    /// itself. Returns false for an entry of which a part cannot be used, such as a digest that is none; the
    /// rest of it counts.
    pub fn deny(&self, entry: &Entry) -> bool {
        self.shared.entries.apply(entry, OffsetDateTime::now_utc())
    }

    /// Waits until the stream is read up to the end that was seen at the start. Whether a worker is alive is
    /// another matter: see [`staleness`](Self::staleness).
    pub async fn ready(&self) {
        // The sender lives in `self`.
        drop(self.shared.caught_up.subscribe().wait_for(|caught_up| *caught_up).await);
    }

    /// Whether the token may still be used, as far as revocation goes: its signature, audience and scope are
    /// for the service to verify.
    pub fn check(&self, token: &TokenView<'_>) -> Verdict {
        let Counters { allowed, denied, stale_accepted, stale_refused, .. } = &self.shared.counters;
        // First: a denial that is applied before the list is fresh is then seen.
        let staleness = self.staleness();
        let at = At::new(OffsetDateTime::now_utc(), self.shared.freshness.feed_is_ahead());
        let (verdict, counter) = match self.shared.entries.denial(token, at, &self.shared.oddities) {
            Some(denial) => (Verdict::Denied(denial), denied),
            None => match (staleness, self.shared.policy) {
                (None, _) => (Verdict::Allowed, allowed),
                (Some(why), StalenessPolicy::FailOpen) => {
                    (Verdict::Stale { accepted: true, why }, stale_accepted)
                }
                (Some(why), StalenessPolicy::FailClosed) => {
                    (Verdict::Stale { accepted: false, why }, stale_refused)
                }
            },
        };
        count(counter);
        verdict
    }

    /// Tells the operators that nothing is verified here any more, so that the silence after it does not
    /// count as a verifier that was cut off: the last thing that a service does with its denylist. It takes
    /// 1 s at most, and where the broker is away nobody is told.
    pub async fn sign_off(&self) {
        let parting = &self.shared.parting;
        parting.send_replace(Parting::Asked);
        let mut told = parting.subscribe();
        drop(tokio::time::timeout(SIGN_OFF, told.wait_for(|parting| *parting == Parting::Told)).await);
    }

    /// Why the denylist cannot vouch for being up to date, or `None`.
    pub fn staleness(&self) -> Option<Staleness> {
        self.shared.freshness.staleness(Instant::now())
    }

    /// The policy that was chosen.
    pub fn staleness_policy(&self) -> StalenessPolicy {
        self.shared.policy
    }

    /// How far the feed is applied; a receiver to wait on.
    pub fn position(&self) -> watch::Receiver<Option<Position>> {
        self.shared.position.subscribe()
    }

    /// Everything denied, one line each, sorted; tokens and names only as digests. Two denylists with the
    /// same lines answer alike.
    pub fn contents(&self) -> Vec<String> {
        self.shared.entries.contents(OffsetDateTime::now_utc())
    }

    /// Checks of tokens that say that they were issued later than now, by issuer: such an `iat` counts as
    /// missing. At most 100 issuers have a number of their own, and their names are those of tokens that
    /// nobody has verified.
    pub fn issued_in_the_future(&self) -> Vec<(String, u64)> {
        self.shared.oddities.future_iat()
    }

    /// The present figures.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }
}

impl Shared {
    fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Figures {
            entries: self.entries.len() as u64,
            allowed: read(&counters.allowed),
            denied: read(&counters.denied),
            stale_accepted: read(&counters.stale_accepted),
            stale_refused: read(&counters.stale_refused),
            applied: read(&counters.applied),
            unreadable: read(&counters.unreadable),
            skipped_refresh: read(&counters.skipped_refresh),
            disconnects: read(&counters.disconnects),
            truncations: read(&counters.truncations),
            unreadable_tokens: self.oddities.unreadable_tokens(),
            future_iat: self.oddities.future_iat().iter().map(|(_, tokens)| tokens).sum(),
        }
    }

    /// What the verifier says of itself.
    pub(crate) fn status(&self, service: &str, instance: &str) -> Status {
        let (position, stale_reason) = (*self.position.borrow(), self.freshness.staleness(Instant::now()));
        Status {
            service: service.to_owned(),
            instance: instance.to_owned(),
            applied_offset: position.map(|position| position.offset),
            applied_time: position.and_then(|position| position.time),
            entries: self.entries.len() as u64,
            stale: stale_reason.is_some(),
            stale_reason,
            staleness_policy: Some(self.policy),
            ended: false,
        }
    }
}

/// Drops what is over.
async fn forget(shared: Arc<Shared>) {
    let mut ticker = tokio::time::interval(TICK);
    for tick in 1_u64.. {
        ticker.tick().await;
        let now = OffsetDateTime::now_utc();
        shared.freshness.doubt_ends(now);
        if tick.is_multiple_of(TICKS_PER_EXPIRY) {
            shared.entries.expire(now);
        }
    }
}
