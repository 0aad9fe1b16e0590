//! Where logs and spans go; every metric is in `telemetry/metrics.rs`, or, of
//! `receive`, in `telemetry/receiver.rs`. The fields of the log are in `docs/logging.md`.

mod export;
mod labels;
pub mod latencies;
mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
mod receiver;

use revocation_verifier::amqp::may_log;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::LogConfig;

pub use export::{Export, try_receiver};
pub use metrics::{Fleet, Metrics, ReportResult, Snapshot};
pub use receiver::{KeyFetches, ReceiverMetrics};

/// The only source of logs that a setting can make chattier than warnings: libraries print message bodies and
/// credentials below that.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// Sends logs to standard output, as JSON lines or for people.
pub fn log(config: &LogConfig) {
    let chosen = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A filter of its own: among directives the more particular target wins, so that `lapin::channel=trace`
    // would undo a cap on `lapin`.
    let filter = chosen.and(filter_fn(|metadata| is_within_cap(metadata.target(), *metadata.level())));
    let layer = tracing_subscriber::fmt::layer().with_span_events(FmtSpan::NONE).with_writer(std::io::stdout);
    if config.json {
        tracing_subscriber::registry()
            .with(layer.json().flatten_event(true).with_current_span(false).with_filter(filter))
            .init();
    } else {
        tracing_subscriber::registry()
            .with(layer.with_ansi(false).with_target(false).with_filter(filter))
            .init();
    }
}

fn is_within_cap(target: &str, level: Level) -> bool {
    may_log(OWN, target, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_module_of_a_library_gets_past_the_cap() {
        for target in ["lapin", "lapin::channel", "amq_protocol::frame::parsing"] {
            assert!(is_within_cap(target, Level::ERROR) && !is_within_cap(target, Level::WARN), "{target}");
        }
        assert!(!is_within_cap("lapin::channels", Level::ERROR), "its owner says that a connection ended");
        for target in ["sqlx::query", "hyper_util::client", "rustls", "revocation_worker_other"] {
            assert!(is_within_cap(target, Level::WARN) && !is_within_cap(target, Level::INFO), "{target}");
        }
        assert!(
            is_within_cap("revocation_worker", Level::TRACE)
                && is_within_cap("revocation_worker::app", Level::TRACE)
        );
    }
}
