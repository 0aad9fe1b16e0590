//! Refused requests on their way to the record: a worker writes it, as the receiver has no database. Anybody
//! on the network can be refused, so only so many of a sender's are told one by one; the others are counted,
//! and their number is told each minute.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use revocation_evidence::Hash;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::again::Again;
use crate::authorization::Bucket;
use crate::broker::{EventSource, PublishError};
use crate::clock::Clock;
use crate::event::{REFUSED_INPUT, REFUSED_INPUT_KEY, Refusal, RefusedInput};
use crate::receive::{Code, Refused};
use crate::telemetry::ReceiverMetrics;

/// Most of a sender's that are told one by one, a minute; as many go at once at first.
const A_MINUTE: f64 = 60.0;
/// Most that wait for the broker.
const WAITING: usize = 1024;
/// How often the number of the others is told.
const SUM_EVERY: Duration = Duration::from_secs(60);
/// How long the broker may take for one.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(4);

/// A sender, a standard, and why.
type Kind = (String, &'static str, Code);

/// Those that are not told one by one.
#[derive(Clone, Copy, Default)]
struct Sum {
    requests: u64,
    bytes: u64,
}

/// The refusals of all senders.
pub(super) struct Refusals {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    sums: Mutex<HashMap<Kind, Sum>>,
    waiting: mpsc::Sender<RefusedInput>,
}

impl Refusals {
    /// Nothing was refused yet; the other end is for [`run`].
    pub(super) fn new() -> (Self, mpsc::Receiver<RefusedInput>) {
        let (waiting, told) = mpsc::channel(WAITING);
        (Self { buckets: Mutex::default(), sums: Mutex::default(), waiting }, told)
    }

    /// Has a refusal go on record, by itself or counted; waits for nothing.
    pub(super) fn note(
        &self,
        (sender, input): (&str, &'static str),
        refused: &Refused,
        (body_sha256, body_bytes): (Hash, u64),
        (at, metrics): (OffsetDateTime, &ReceiverMetrics),
    ) {
        let told = || {
            let refusal = refused.of_event(Some(&format!("{sender} by {input}")));
            RefusedInput { refusal, at, body_sha256, body_bytes }
        };
        let by_itself = self.may_tell(sender) && self.waiting.try_send(told()).is_ok();
        if !by_itself {
            let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
            let sum = sums.entry((sender.to_owned(), input, refused.code)).or_default();
            sum.requests += 1;
            sum.bytes = sum.bytes.saturating_add(body_bytes);
        }
        metrics.refused(sender, by_itself);
    }

    fn may_tell(&self, sender: &str) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let bucket = buckets.entry(sender.to_owned()).or_insert_with(|| Bucket::full(A_MINUTE, now));
        let may = bucket.fill(A_MINUTE, now) > 0;
        if may {
            bucket.take(1);
        }
        may
    }

    /// What was counted since the last time, as a row each.
    fn summed(&self, at: OffsetDateTime) -> Vec<RefusedInput> {
        let sums = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        let row = |((sender, input, code), Sum { requests, bytes }): (Kind, Sum)| {
            let why = format!("{requests} more requests, on record by their number alone");
            let Refusal { code, detail, .. } =
                Refused::new(code, why).of_event(Some(&format!("{sender} by {input}")));
            let refusal = Refusal::new(code, detail);
            RefusedInput { refusal, at, body_sha256: Hash::of(&[]), body_bytes: bytes }
        };
        sums.into_iter().map(row).collect()
    }
}

/// Publishes them until `stop` is cancelled, then once what is left.
pub(super) async fn run(
    refusals: &Refusals,
    mut told: mpsc::Receiver<RefusedInput>,
    (events, clock): (&EventSource, &Clock),
    stop: CancellationToken,
) {
    let (mut sums, mut left) = (tokio::time::interval(SUM_EVERY), Vec::new());
    while !stop.is_cancelled() {
        let batch = tokio::select! {
            Some(one) = told.recv() => vec![one],
            _ = sums.tick() => refusals.summed(clock.now()),
            () = stop.cancelled() => break,
        };
        for one in batch {
            if publish_stubbornly(events, &one, &stop).await.is_none() {
                left.push(one);
            }
        }
    }
    while let Ok(one) = told.try_recv() {
        left.push(one);
    }
    left.extend(refusals.summed(clock.now()));
    for (number, one) in left.iter().enumerate() {
        if let Err(error) = publish(events, one).await {
            let messages = left.len() - number;
            tracing::warn!(error, messages, "refused requests are not on record; they are in this log");
            return;
        }
    }
}

/// Until the broker has it; `None` if the process stops first.
async fn publish_stubbornly(
    events: &EventSource,
    one: &RefusedInput,
    stop: &CancellationToken,
) -> Option<()> {
    let mut again = Again::until(stop);
    while let Err(error) = publish(events, one).await {
        let failures = again.failed();
        tracing::warn!(error, failures, "a refused request is not on record yet; trying again");
        again.rest().await?;
    }
    Some(())
}

async fn publish(events: &EventSource, one: &RefusedInput) -> Result<(), String> {
    let body = one.written();
    let published = events.publish_as(REFUSED_INPUT, REFUSED_INPUT_KEY, "", &body);
    match tokio::time::timeout(CONFIRMED_WITHIN, published).await {
        Ok(published) => published.map_err(|error: PublishError| error.to_string()),
        Err(_) => Err(format!("the broker did not confirm it within {CONFIRMED_WITHIN:?}")),
    }
}
