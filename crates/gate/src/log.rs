//! Log lines as JSON on standard output.

use revocation_verifier::amqp::may_log;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// The filter where none is set.
pub(super) const DEFAULT: &str = "info,lapin=error";
/// The only sources of lines that a filter can make chattier than warnings: libraries print message bodies
/// and credentials below that.
const OWN: [&str; 3] = ["revocation_gate", "revocation_http_server", "revocation_verifier"];

/// Which lines are written.
pub(super) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(text)
}

/// From now on, for the whole process.
pub(super) fn start(filter: EnvFilter) {
    // A filter of its own: among directives the more particular target wins, so that `lapin::channel=trace`
    // would undo a cap on `lapin`.
    let filter = filter.and(filter_fn(|metadata| is_within_cap(metadata.target(), *metadata.level())));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stdout)
        .json()
        .flatten_event(true)
        .with_current_span(false);
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

fn is_within_cap(target: &str, level: Level) -> bool {
    OWN.iter().any(|own| may_log(own, target, level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_module_of_a_library_gets_past_the_cap() {
        for target in ["lapin", "lapin::channel", "amq_protocol::frame::parsing"] {
            assert!(is_within_cap(target, Level::ERROR) && !is_within_cap(target, Level::WARN), "{target}");
        }
        for target in ["hyper_util::server", "rustls", "revocation_verifier_other"] {
            assert!(is_within_cap(target, Level::WARN) && !is_within_cap(target, Level::INFO), "{target}");
        }
        for target in ["revocation_gate", "revocation_gate::http", "revocation_verifier::feed"] {
            assert!(is_within_cap(target, Level::TRACE), "{target}");
        }
    }
}
