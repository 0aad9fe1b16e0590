//! A sender with its keys and its rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::failed::Failed;
use super::key_cache::{KeyCache, WAIT};
use crate::authorization::Bucket;
use crate::config::{Secret, SenderConfig};
use crate::event::ProviderRule;
use crate::provider::{KeySource, ProviderSetupError, SetPoll};
use crate::receive::{Code, KeySet, Refused, Sender};
use crate::telemetry::KeyFetches;

/// How long a sender that orders too much is asked to wait.
const OVER_RATE: Duration = Duration::from_secs(10);

/// Most of its messages, or requests, that may wait for its keys with all they hold.
const ASKING: usize = 32;

/// A configured sender.
pub struct Known {
    /// Who it is, and what it may order.
    pub sender: Sender,
    keys: KeyCache,
    asking: Semaphore,
    orders_per_minute: f64,
    bucket: Mutex<Bucket>,
    push_authorization: Option<Secret>,
    /// Where its events are fetched, and how often.
    pub poll: Option<(SetPoll, Duration)>,
}

impl Known {
    /// From its settings; touches no network.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(
        name: &str,
        config: &SenderConfig,
        default_provider: Option<&Arc<str>>,
        providers: &[ProviderRule],
    ) -> Result<Self, ProviderSetupError> {
        let sender =
            Sender::new(name, config, default_provider, providers).ok_or_else(|| ProviderSetupError {
                setting: format!("receive.senders.{name}.provider"),
                problem: "not set; name one, or default_provider".to_owned(),
            })?;
        let orders_per_minute = f64::from(config.orders_per_minute);
        Ok(Self {
            sender,
            asking: Semaphore::new(ASKING),
            keys: KeyCache::new(KeySource::new(name, config)?),
            orders_per_minute,
            bucket: Mutex::new(Bucket::full(orders_per_minute, Instant::now())),
            push_authorization: config.push_authorization.clone(),
            poll: SetPoll::new(name, config)?.map(|poll| (poll, config.poll_every)),
        })
    }

    /// What `judge` says with this sender's keys. Where they lack one, they are fetched anew first: a sender
    /// that changes its keys signs with the new one at once.
    ///
    /// # Errors
    /// What `judge` says, or that the keys cannot be had now.
    pub async fn judged<T>(
        &self,
        fetches: &KeyFetches,
        judge: impl Fn(&KeySet) -> Result<T, Refused>,
    ) -> Result<T, Failed> {
        let held = self.keys.held(&self.sender.name, fetches).await?;
        match judge(&held.keys) {
            Err(refused) if refused.code == Code::UnknownKey => {
                let renewed = self.keys.newer_than(held.number, &self.sender.name, fetches).await?;
                Ok(judge(&renewed.keys)?)
            }
            judged => Ok(judged?),
        }
    }

    /// The same for who can send again: where keys have to be fetched, few of its requests wait for that, so
    /// that it keeps no connection from other senders.
    ///
    /// # Errors
    /// See [`judged`](Self::judged).
    pub async fn judged_for_few<T>(
        &self,
        fetches: &KeyFetches,
        judge: impl Fn(&KeySet) -> Result<T, Refused>,
    ) -> Result<T, Failed> {
        match self.judged_at_once(&judge) {
            Some(said) if !said.as_ref().is_err_and(|refused| refused.code == Code::UnknownKey) => Ok(said?),
            _ => match self.asking() {
                Some(_place) => self.judged(fetches, judge).await,
                None => {
                    let why = "as many of its requests as may wait for its keys already do".to_owned();
                    Err(Failed::Unavailable(why, WAIT))
                }
            },
        }
    }

    /// The same of what nobody sends again: where the keys were fetched a moment ago, one that they lack is
    /// none of the sender's.
    ///
    /// # Errors
    /// See [`judged`](Self::judged).
    pub async fn judged_once<T>(
        &self,
        fetches: &KeyFetches,
        judge: impl Fn(&KeySet) -> Result<T, Refused>,
    ) -> Result<T, Failed> {
        match self.judged(fetches, &judge).await {
            Err(Failed::Unavailable(..)) if self.keys.is_news() => {
                let held = self.keys.held(&self.sender.name, fetches).await?;
                Ok(judge(&held.keys)?)
            }
            judged => judged,
        }
    }

    /// The same by the keys that are at hand; `None` where they have to be fetched first.
    pub fn judged_at_once<T>(
        &self,
        judge: impl Fn(&KeySet) -> Result<T, Refused>,
    ) -> Option<Result<T, Refused>> {
        Some(judge(&self.keys.at_hand()?.keys))
    }

    /// Its place among the few that may wait with all they hold for the keys to be fetched.
    pub fn asking(&self) -> Option<SemaphorePermit<'_>> {
        self.asking.try_acquire().ok()
    }

    /// Which keys are held.
    pub fn keys_number(&self) -> u64 {
        self.keys.number()
    }

    /// Returns once there are others than those of `number` or, unless newer ones are needed, any at hand.
    pub async fn keys_ready(&self, (number, newer): (u64, bool), fetches: &KeyFetches) {
        self.keys.ready((number, newer), &self.sender.name, fetches).await;
    }

    /// Refuses a push without what was agreed on; where nothing was, the signature is enough.
    ///
    /// # Errors
    /// It has another `Authorization`, or none.
    pub fn check_authorization(&self, given: Option<&str>) -> Result<(), Refused> {
        match &self.push_authorization {
            Some(agreed) if !agreed.is(given.unwrap_or_default()) => {
                let why = "Authorization is not what was agreed on: push_authorization";
                Err(Refused::new(Code::Unauthenticated, why))
            }
            _ => Ok(()),
        }
    }

    /// Counts an order of this sender's.
    ///
    /// # Errors
    /// `orders_per_minute` is used up.
    pub fn count(&self) -> Result<(), Failed> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        match bucket.fill(self.orders_per_minute, Instant::now()) {
            0 => Err(Failed::OverRate(OVER_RATE)),
            _ => {
                bucket.take(1);
                Ok(())
            }
        }
    }
}

impl AsRef<Sender> for Known {
    fn as_ref(&self) -> &Sender {
        &self.sender
    }
}
