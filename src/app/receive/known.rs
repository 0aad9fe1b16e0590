//! A sender with its keys and its rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failed::Failed;
use super::key_cache::KeyCache;
use crate::app::AppError;
use crate::authorization::Bucket;
use crate::config::{Secret, SenderConfig};
use crate::event::ProviderRule;
use crate::provider::{KeySource, SetPoll};
use crate::receive::{Code, KeySet, Refused, Sender};
use crate::telemetry::ReceiverMetrics;

/// How long a sender that orders too much is asked to wait.
const OVER_RATE: Duration = Duration::from_secs(10);

/// A configured sender.
pub(super) struct Known {
    pub(super) sender: Sender,
    keys: KeyCache,
    orders_per_minute: f64,
    bucket: Mutex<Bucket>,
    push_authorization: Option<Secret>,
    /// Where its events are fetched, and how often.
    pub(super) poll: Option<(SetPoll, Duration)>,
}

impl Known {
    pub(super) fn new(
        name: &str,
        config: &SenderConfig,
        default_provider: Option<&Arc<str>>,
        providers: &[ProviderRule],
    ) -> Result<Self, AppError> {
        let sender = Sender::new(name, config, default_provider, providers).ok_or_else(|| {
            AppError::Setting(format!(
                "receive.senders.{name}.provider: not set; name one, or default_provider"
            ))
        })?;
        let orders_per_minute = f64::from(config.orders_per_minute);
        Ok(Self {
            sender,
            keys: KeyCache::new(KeySource::new(name, config)?),
            orders_per_minute,
            bucket: Mutex::new(Bucket::full(orders_per_minute, Instant::now())),
            push_authorization: config.push_authorization.clone(),
            poll: SetPoll::new(name, config)?.map(|poll| (poll, config.poll_every)),
        })
    }

    /// What `judge` says with this sender's keys. Where they lack one, they are fetched anew first: a sender
    /// that changes its keys signs with the new one at once.
    pub(super) async fn judged<T>(
        &self,
        metrics: &ReceiverMetrics,
        judge: impl Fn(&KeySet) -> Result<T, Refused>,
    ) -> Result<T, Failed> {
        let held = self.keys.held(&self.sender.name, metrics).await?;
        match judge(&held.keys) {
            Err(refused) if refused.code == Code::UnknownKey => {
                let renewed = self.keys.newer_than(held.number, &self.sender.name, metrics).await?;
                Ok(judge(&renewed.keys)?)
            }
            judged => Ok(judged?),
        }
    }

    /// Refuses a push without what was agreed on; where nothing was, the signature is enough.
    pub(super) fn check_authorization(&self, given: Option<&str>) -> Result<(), Refused> {
        match &self.push_authorization {
            Some(agreed) if !agreed.is(given.unwrap_or_default()) => {
                let why = "Authorization is not what was agreed on: push_authorization";
                Err(Refused::new(Code::Unauthenticated, why))
            }
            _ => Ok(()),
        }
    }

    /// Counts an order of this sender's.
    pub(super) fn count(&self) -> Result<(), Failed> {
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
