//! How much a sender may order at once: a token bucket each, in memory, so that no denial waits for a
//! database.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_lc_rs::digest;
use time::OffsetDateTime;

use super::Authority;
use crate::event::Origin;

/// Twice so many events are remembered, and so many incidents.
const MOST_COPIES: usize = 4096;
/// Longest part of an incident's name that comes from a broker user.
const MAX_NAME: usize = 100;

/// A token bucket: full at first, it takes at once what a minute allows, and fills again within a minute.
pub struct Bucket {
    targets: f64,
    at: Instant,
}

/// The buckets of all senders whose rate is limited.
pub struct Rates {
    buckets: Mutex<HashMap<Key, Bucket>>,
    /// How many workers share a limit.
    workers: AtomicI64,
    copies: Mutex<Copies>,
    /// The incidents that were told of.
    told: Mutex<HashSet<String>>,
}

/// What was let go of the last few thousand events: a copy of one spends nothing, and is held back no other
/// way.
#[derive(Default)]
struct Copies {
    now: HashMap<Copied, Admitted>,
    before: HashMap<Copied, Admitted>,
}

/// Sender, source, id and content of an event.
type Copied = (Option<String>, String, String, [u8; 32]);

/// A sender, and who says so, where that is no operator: nobody uses up what another may order.
type Key = (Option<String>, Option<Option<String>>);

/// What of an event's wide targets goes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The first so many of them.
    pub targets: usize,
    /// Whose limit holds back the others.
    pub limited_by: Option<String>,
}

impl Bucket {
    /// A full one.
    pub fn full(per_minute: f64, now: Instant) -> Self {
        Self { targets: most(per_minute), at: now }
    }

    /// How many targets may go now, at this rate.
    pub fn fill(&mut self, per_minute: f64, now: Instant) -> usize {
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / 60.0;
        self.at = self.at.max(now);
        self.targets = (self.targets + minutes * per_minute).min(most(per_minute));
        // A sum of many small parts may fall short by a rounding.
        (self.targets + 1e-6) as usize
    }

    /// So many of them go.
    pub fn take(&mut self, targets: usize) {
        self.targets = (self.targets - targets as f64).max(0.0);
    }
}

/// A share of less than one lets one go now and then.
fn most(per_minute: f64) -> f64 {
    if per_minute > 0.0 { per_minute.max(1.0) } else { 0.0 }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            buckets: Mutex::default(),
            workers: AtomicI64::new(1),
            copies: Mutex::default(),
            told: Mutex::default(),
        }
    }
}

impl Rates {
    /// So many workers are alive, this one included: each lets its part go.
    pub fn share(&self, workers: i64) {
        self.workers.store(workers.max(1), Ordering::Relaxed);
    }

    /// [`Rates::admit`] for an event of this source, id and content, of which copies may come.
    pub fn admit_once(
        &self,
        authority: &Authority,
        origin: &Origin,
        (source, id, content): (&str, &str, [u8; 32]),
        wide: usize,
        now: Instant,
    ) -> Admitted {
        if wide == 0 || origin.senders().all(|sender| authority.rate_of(sender).is_none()) {
            return Admitted { targets: wide, limited_by: None };
        }
        let event = (origin.broker_user.clone(), source.to_owned(), id.to_owned(), content);
        let mut copies = lock(&self.copies);
        if let Some(known) = copies.get(&event) {
            return known.clone();
        }
        let admitted = self.admit(authority, origin, wide, now);
        copies.put(event, admitted.clone());
        admitted
    }

    /// Whether an incident was not told of yet.
    pub fn is_news(&self, incident: &str) -> bool {
        let mut told = lock(&self.told);
        if told.len() >= MOST_COPIES {
            told.clear();
        }
        !told.contains(incident) && told.insert(incident.to_owned())
    }

    /// How many of an event's wide targets go at once. The others wait for a second person.
    pub fn admit(&self, authority: &Authority, origin: &Origin, wide: usize, now: Instant) -> Admitted {
        let mut admitted = Admitted { targets: wide, limited_by: None };
        let limits: Vec<_> = origin
            .senders()
            .filter_map(|sender| Some((sender, f64::from(authority.rate_of(sender)?))))
            .collect();
        if wide == 0 || limits.is_empty() {
            return admitted;
        }
        let workers = self.workers.load(Ordering::Relaxed) as f64;
        let mut buckets = lock(&self.buckets);
        for (sender, per_minute) in &limits {
            let bucket = buckets
                .entry(key(origin, *sender))
                .or_insert_with(|| Bucket::full(per_minute / workers, now));
            let room = bucket.fill(per_minute / workers, now);
            if room < admitted.targets {
                admitted = Admitted { targets: room, limited_by: sender.map(str::to_owned) };
            }
        }
        for (sender, _) in &limits {
            if let Some(bucket) = buckets.get_mut(&key(origin, *sender)) {
                bucket.take(admitted.targets);
            }
        }
        admitted
    }
}

/// Nothing under these locks can panic half-way.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Copies {
    fn get(&self, event: &Copied) -> Option<&Admitted> {
        self.now.get(event).or_else(|| self.before.get(event))
    }

    fn put(&mut self, event: Copied, admitted: Admitted) {
        if self.now.len() >= MOST_COPIES {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(event, admitted);
    }
}

fn key(origin: &Origin, sender: Option<&str>) -> Key {
    let is_own = origin.broker_user.as_deref() == sender;
    (sender.map(str::to_owned), (!is_own).then(|| origin.broker_user.clone()))
}

/// The incident that holds what a sender orders beyond its rate: one a minute. The name needs no quoting in a
/// shell; a user whose own name does is told from others by a digest.
pub fn incident_name(user: Option<&str>, at: OffsetDateTime) -> String {
    let user = user.map_or_else(|| "+unnamed".to_owned(), plain);
    let (date, time) = (at.date(), at.time());
    let (month, day) = (u8::from(date.month()), date.day());
    format!("rate-{user}-{:04}{month:02}{day:02}T{:02}{:02}Z", date.year(), time.hour(), time.minute())
}

fn plain(user: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let kept: String = user.chars().take(MAX_NAME).map(|c| if is_plain(c) { c } else { '_' }).collect();
    if kept == user {
        return kept;
    }
    let digest = digest::digest(&digest::SHA256, user.as_bytes());
    let digest: String = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{kept}+{digest}")
}
