//! The metrics of `receive`.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// What the receiver's `/metrics` shows. Labels hold names of the settings and words of this program, nothing
/// that came.
pub struct ReceiverMetrics {
    registry: Registry,
    inputs: Family<InputLabels, Counter>,
    /// Fetches of senders' keys.
    pub key_fetches: KeyFetches,
    refusals: Family<RecordLabels, Counter>,
    broker_up: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    sender: String,
    record: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InputLabels {
    sender: String,
    input: &'static str,
    result: &'static str,
}

/// How often senders' keys were fetched.
pub struct KeyFetches(Family<KeyLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    sender: String,
    result: &'static str,
}

impl KeyFetches {
    /// Registers it.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let fetches = Family::default();
        registry.register(
            "key_fetches",
            "Fetches of senders' keys: done, or failed",
            Family::clone(&fetches),
        );
        Self(fetches)
    }

    /// A sender's keys were fetched, or could not be.
    pub fn count(&self, sender: &str, done: bool) {
        let result = if done { "done" } else { "failed" };
        self.0.get_or_create(&KeyLabels { sender: sender.to_owned(), result }).inc();
    }
}

impl ReceiverMetrics {
    /// Registers everything under the prefix `revocation_receiver`.
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("revocation_receiver");
        let (inputs, broker_up) = (Family::default(), Gauge::default());
        registry.register("build", "Version of the program", Info::new([("version", version)]));
        registry.register(
            "inputs",
            "What came, by sender and standard: published, nothing_to_do, unavailable, over_rate, or why it \
                was refused",
            Family::clone(&inputs),
        );
        let refusals = Family::default();
        registry.register(
            "refusals",
            "Refused requests by how they are on record: each by itself, or counted with others",
            Family::clone(&refusals),
        );
        let key_fetches = KeyFetches::registered(&mut registry);
        registry.register("broker_up", "1 if events can be published", broker_up.clone());
        Self { registry, inputs, key_fetches, refusals, broker_up }
    }

    /// Something came of a sender.
    pub fn came(&self, sender: &str, input: &'static str, result: &'static str) {
        self.inputs.get_or_create(&InputLabels { sender: sender.to_owned(), input, result }).inc();
    }

    /// A refusal goes on record by itself, or is counted with others.
    pub fn refused(&self, sender: &str, by_itself: bool) {
        let record = if by_itself { "itself" } else { "counted" };
        self.refusals.get_or_create(&RecordLabels { sender: sender.to_owned(), record }).inc();
    }

    /// OpenMetrics text.
    pub fn encode(&self, is_connected: bool) -> String {
        self.broker_up.set(i64::from(is_connected));
        let mut text = String::new();
        // Writing to a String cannot fail.
        if text::encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}
