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
    keys: Family<KeyLabels, Counter>,
    broker_up: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InputLabels {
    sender: String,
    input: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    sender: String,
    result: &'static str,
}

impl ReceiverMetrics {
    /// Registers everything under the prefix `revocation_receiver`.
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::with_prefix("revocation_receiver");
        let (inputs, keys, broker_up) = (Family::default(), Family::default(), Gauge::default());
        registry.register("build", "Version of the program", Info::new([("version", version)]));
        registry.register(
            "inputs",
            "What came, by sender and standard: published, nothing_to_do, unavailable, over_rate, or why it \
                was refused",
            Family::clone(&inputs),
        );
        registry.register("key_fetches", "Fetches of senders' keys: done, or failed", Family::clone(&keys));
        registry.register("broker_up", "1 if events can be published", broker_up.clone());
        Self { registry, inputs, keys, broker_up }
    }

    /// Something came of a sender.
    pub fn came(&self, sender: &str, input: &'static str, result: &'static str) {
        self.inputs.get_or_create(&InputLabels { sender: sender.to_owned(), input, result }).inc();
    }

    /// A sender's keys were fetched, or could not be.
    pub fn fetched(&self, sender: &str, done: bool) {
        let result = if done { "done" } else { "failed" };
        self.keys.get_or_create(&KeyLabels { sender: sender.to_owned(), result }).inc();
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
