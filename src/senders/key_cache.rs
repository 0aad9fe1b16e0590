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
    tried: watch::Sender<Tried>,
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

/// The fetches that have ended.
#[derive(Default)]
struct Tried {
    count: u64,
    /// When the last one did, where it failed.
    failed: Option<Instant>,
}

impl KeyCache {
    pub(super) fn new(source: KeySource) -> Self {
        let fetching = Mutex::new(Bucket::full(FETCHES_PER_MINUTE, Instant::now()));
        Self { source, held: RwLock::default(), tried: watch::Sender::default(), fetching }
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
        let failed = keys.is_err().then(Instant::now);
        let ended = |tried: &mut Tried| *tried = Tried { count: tried.count + 1, failed };
        let keys = keys.map_err(|why| {
            tracing::warn!(sender, error = why, "the keys of a sender cannot be fetched");
            self.tried.send_modify(ended);
            Failed::Unavailable(format!("its keys cannot be fetched: {why}"), WAIT)
        })?;
        let held = Held { keys: Arc::new(keys), number: number + 1, at: Instant::now() };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held.clone());
        self.tried.send_modify(ended);
        Ok(held)
    }

    /// The keys, where nothing has to be waited for: they are fresh, or usable and cannot be fetched.
    pub(super) fn at_hand(&self) -> Option<Held> {
        let failed = self.tried.borrow().failed;
        self.present().filter(|held| {
            let age = held.at.elapsed();
            age < FRESH || (age < USABLE && failed.is_some_and(|at| at.elapsed() < WAIT))
        })
    }

    /// Whether they were fetched so shortly ago that no more is to be learned.
    pub(super) fn is_news(&self) -> bool {
        self.present().is_some_and(|held| held.at.elapsed() < WAIT)
    }

    /// The number of those that are held; 0: none ever were.
    pub(super) fn number(&self) -> u64 {
        self.present().map_or(0, |held| held.number)
    }

    /// Returns once there are keys after those of `number` or, unless newer ones are needed, any at hand.
    /// Whoever waits fetches them, one at a time.
    pub(super) async fn ready(&self, (number, newer): (u64, bool), sender: &str, fetches: &KeyFetches) {
        let mut tried = self.tried.subscribe();
        while self.number() <= number && (newer || self.at_hand().is_none()) {
            tokio::select! {
                // It cannot end: its other end is here.
                _ = tried.changed() => {}
                () = tokio::time::sleep(WAIT) => if self.fetching.try_lock().is_ok() {
                    drop(self.newer_than(number, sender, fetches).await);
                }
            }
        }
    }

    fn present(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, StreamSettings};
    use crate::telemetry::ReceiverMetrics;

    /// Nobody is there.
    fn cache() -> KeyCache {
        let set = [("ISSUER", "http://127.0.0.1:9"), ("CLIENT_ID", "shop"), ("PROVIDER", "main")];
        let name = |key| format!("REVOCATION__RECEIVE__SENDERS__OP__{key}");
        let environment = Environment::new(set.map(|(key, value)| (name(key), value)));
        let senders = StreamSettings::load(None, &environment).unwrap().senders;
        KeyCache::new(KeySource::new("op", &senders["op"]).unwrap())
    }

    fn hold(cache: &KeyCache, age: Duration) {
        let key = serde_json::json!({ "kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let keys = Arc::new(KeySet::read(&serde_json::json!({ "keys": [key] })).unwrap());
        let at = Instant::now().checked_sub(age).unwrap();
        *cache.held.write().unwrap() = Some(Held { keys, number: 1, at });
    }

    #[tokio::test]
    async fn keys_of_before_serve_while_they_cannot_be_fetched() {
        let (cache, metrics) = (cache(), ReceiverMetrics::new("0"));
        let fetches = &metrics.key_fetches;
        assert!(cache.at_hand().is_none());
        hold(&cache, Duration::ZERO);
        assert!(cache.at_hand().is_some() && cache.is_news());
        hold(&cache, FRESH);
        assert!(cache.at_hand().is_none(), "they are to be fetched first");
        let waits = cache.ready((1, false), "op", fetches);
        let (fetched, ()) = tokio::join!(cache.newer_than(1, "op", fetches), waits);
        assert!(fetched.is_err() && cache.at_hand().is_some() && !cache.is_news());
        let newer = tokio::time::timeout(Duration::from_millis(50), cache.ready((1, true), "op", fetches));
        assert!(newer.await.is_err(), "they lack a key, and still do");
        hold(&cache, USABLE);
        assert!(cache.at_hand().is_none(), "too old");
    }
}
