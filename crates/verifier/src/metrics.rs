//! The denylist's figures as metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::denylist::Denylist;
use crate::message::Staleness;

const PREFIX: &str = "revocation_verifier";

impl Denylist {
    /// Adds the metrics `revocation_verifier_…` to a registry. It then holds the denylist, which lives at
    /// least as long.
    pub fn register_metrics(&self, registry: &mut Registry) {
        registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(Figured(self.clone())));
    }
}

struct Figured(Denylist);

impl fmt::Debug for Figured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the denylist's figures")
    }
}

impl Collector for Figured {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.0.figures();
        let verdicts = [
            ("allowed", figures.allowed),
            ("denied", figures.denied),
            ("stale_accepted", figures.stale_accepted),
            ("stale_refused", figures.stale_refused),
        ];
        let metric = encoder.encode_descriptor("checks", "Checks, by verdict", None, MetricType::Counter)?;
        series(metric, "verdict", verdicts.map(|(verdict, checks)| (verdict, ConstCounter::new(checks))))?;
        for (name, help, value) in [
            ("applied", "Messages of the feed applied", figures.applied),
            ("unreadable", "Messages and entries that could not be read", figures.unreadable),
            (
                "skipped_refresh",
                "Entries of tokens hinted refresh_token that were not held",
                figures.skipped_refresh,
            ),
            (
                "disconnects",
                "Connections to the feed that were lost or could not be made",
                figures.disconnects,
            ),
            ("truncations", "Times that the stream was found truncated", figures.truncations),
            (
                "unreadable_tokens",
                "Checks of signed tokens whose claims could not be read",
                figures.unreadable_tokens,
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let future = self.0.issued_in_the_future();
        let mut metric = encoder.encode_descriptor(
            "future_iat",
            "Checks of tokens issued in the future, by issuer",
            None,
            MetricType::Counter,
        )?;
        for (issuer, tokens) in future {
            ConstCounter::new(tokens).encode(metric.encode_family(&[("iss", issuer)])?)?;
        }
        gauge(&mut encoder, "entries", "Tokens and selectors denied", figures.entries)?;
        // Before the first message there is none.
        let position = *self.0.position().borrow();
        if let Some(position) = position {
            gauge(
                &mut encoder,
                "applied_offset",
                "Offset in the stream of the last message applied",
                position.offset,
            )?;
        }
        let stale = self.0.staleness();
        let reasons =
            Staleness::ALL.map(|reason| (reason.as_str(), ConstGauge::new(u64::from(stale == Some(reason)))));
        let metric = encoder.encode_descriptor(
            "stale",
            "1 for the reason why the denylist is stale",
            None,
            MetricType::Gauge,
        )?;
        series(metric, "reason", reasons)?;
        let metric = encoder.encode_descriptor(
            "policy",
            "What is done with tokens while it is stale",
            None,
            MetricType::Gauge,
        )?;
        series(metric, "policy", [(self.0.staleness_policy().as_str(), ConstGauge::new(1_u64))])
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// One series for each value of a label.
fn series<const N: usize>(
    mut metric: MetricEncoder<'_>,
    label: &str,
    values: [(&str, impl EncodeMetric); N],
) -> fmt::Result {
    values.into_iter().try_for_each(|(value, figure)| figure.encode(metric.encode_family(&[(label, value)])?))
}
