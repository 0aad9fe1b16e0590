//! A sender's keys in memory: fetched when first needed, now and then, and when a token names one that is not
//! among them; never more often than a sender changes them, whatever tokens come.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};

use super::failed::Failed;
use crate::authorization::Bucket;
use crate::provider::KeySource;
use crate::receive::KeySet;
use crate::telemetry::KeyFetches;

/// After this time they are fetched anew: a key that its sender has withdrawn counts no longer than that.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// Where they cannot be fetched, those of before go on for so long.
const USABLE: Duration = Duration::from_secs(60 * 60);
/// Most fetches a minute; as many go at once at first.
const FETCHES_PER_MINUTE: f64 = 6.0;
/// How long a sender is asked to wait meanwhile; how often others that wait try.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// The keys of one sender.
pub(super) struct KeyCache {
    source: KeySource,
    held: RwLock<Option<Held>>,
    /// How many fetches it took to come by what is held.
    renewed: watch::Sender<u64>,
    /// One fetches, the others wait for what it brings.
    fetching: Mutex<Bucket>,
}

/// What was fetched.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) keys: Arc<KeySet>,
    /// How many fetches it took.
    pub(super) number: u64,
    at: Instant,
}

impl KeyCache {
    pub(super) fn new(source: KeySource) -> Self {
        let fetching = Mutex::new(Bucket::full(FETCHES_PER_MINUTE, Instant::now()));
        Self { source, held: RwLock::default(), renewed: watch::Sender::new(0), fetching }
    }

    /// The keys, no older than may be.
    pub(super) async fn held(&self, sender: &str, fetches: &KeyFetches) -> Result<Held, Failed> {
        match self.present() {
            Some(held) if held.at.elapsed() < FRESH => Ok(held),
            Some(held) => match self.newer_than(held.number, sender, fetches).await {
                Err(_) if held.at.elapsed() < USABLE => Ok(held),
                renewed => renewed,
            },
            None => self.newer_than(0, sender, fetches).await,
        }
    }

    /// Keys that were fetched after those of this number.
    pub(super) async fn newer_than(
        &self,
        number: u64,
        sender: &str,
        fetches: &KeyFetches,
    ) -> Result<Held, Failed> {
        let mut fetching = self.fetching.lock().await;
        if let Some(held) = self.present().filter(|held| held.number > number) {
            return Ok(held);
        }
        if fetching.fill(FETCHES_PER_MINUTE, Instant::now()) == 0 {
            let why = "its keys were fetched too often of late".to_owned();
            return Err(Failed::Unavailable(why, WAIT));
        }
        fetching.take(1);
        let keys = match self.source.fetch().await {
            Ok(set) => KeySet::read(&set).map_err(str::to_owned),
            Err(why) => Err(why),
        };
        fetches.count(sender, keys.is_ok());
        let keys = keys.map_err(|why| {
            tracing::warn!(sender, error = why, "the keys of a sender cannot be fetched");
            Failed::Unavailable(format!("its keys cannot be fetched: {why}"), WAIT)
        })?;
        let held = Held { keys: Arc::new(keys), number: number + 1, at: Instant::now() };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held.clone());
        self.renewed.send_replace(held.number);
        Ok(held)
    }

    /// The keys, where they are at hand and need not be fetched.
    pub(super) fn fresh(&self) -> Option<Held> {
        self.present().filter(|held| held.at.elapsed() < FRESH)
    }

    /// Whether they were fetched so shortly ago that no more is to be learned.
    pub(super) fn is_news(&self) -> bool {
        self.present().is_some_and(|held| held.at.elapsed() < WAIT)
    }

    /// The number of those that are at hand; 0: none ever were.
    pub(super) fn number(&self) -> u64 {
        *self.renewed.borrow()
    }

    /// Returns once there are keys after those of this number. Whoever waits fetches them, one at a time.
    pub(super) async fn renewed(&self, number: u64, sender: &str, fetches: &KeyFetches) {
        let mut renewed = self.renewed.subscribe();
        loop {
            tokio::select! {
                // It cannot end: its other end is here.
                _ = renewed.wait_for(|renewed| *renewed > number) => return,
                () = tokio::time::sleep(WAIT) => {}
            }
            if self.fetching.try_lock().is_ok() {
                drop(self.newer_than(number, sender, fetches).await);
            }
        }
    }

    fn present(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
