//! Sending spans on, where a setting says to whom. Nobody waits for it: what the receiver does not take in
//! time is dropped and counted.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::TelemetryConfig;
use crate::trace::Spans;

#[cfg(feature = "otlp")]
use super::otlp;

/// How long the last spans may take at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Spans, and what sends them on.
#[derive(Default)]
pub struct Export {
    spans: Spans,
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Export {
    /// Starts what the settings ask for, in the name of a worker: often nothing.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn start(config: &TelemetryConfig, instance: &str, clock: &Clock) -> Result<Self, String> {
        match &config.otlp_endpoint {
            None => Ok(Self::default()),
            Some(endpoint) => Self::to(endpoint, config, instance, clock),
        }
    }

    #[cfg(feature = "otlp")]
    fn to(
        endpoint: &url::Url,
        config: &TelemetryConfig,
        instance: &str,
        clock: &Clock,
    ) -> Result<Self, String> {
        let (stop, exporter) = (CancellationToken::new(), otlp::exporter(endpoint, config, instance)?);
        let (spans, queue) = Spans::queued(otlp::QUEUE, config.trace_sample_ratio, clock.clone());
        let task = tokio::spawn(otlp::run(exporter, queue, spans.clone(), stop.clone()));
        Ok(Self { spans, task: Some(task), stop })
    }

    /// Such a configuration is refused.
    #[cfg(not(feature = "otlp"))]
    fn to(_: &url::Url, _: &TelemetryConfig, _: &str, _: &Clock) -> Result<Self, String> {
        Ok(Self::default())
    }

    /// Where spans go.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Sends what is left, as far as that takes no longer than two seconds.
    pub async fn finish(self) {
        self.stop.cancel();
        if let Some(task) = self.task {
            let abort = task.abort_handle();
            if tokio::time::timeout(FLUSH_WITHIN, task).await.is_err() {
                abort.abort();
                tracing::warn!("the last spans were not taken in time");
            }
        }
    }
}

/// Whether the receiver takes spans: one sentence either way; `None`: none is configured.
pub async fn try_receiver(config: &TelemetryConfig, instance: &str) -> Option<Result<String, String>> {
    let endpoint = config.otlp_endpoint.as_ref()?;
    #[cfg(feature = "otlp")]
    return Some(otlp::try_out(endpoint, config, instance).await);
    #[cfg(not(feature = "otlp"))]
    return Some(Err(format!("{endpoint}: this build sends no spans to {instance}")));
}
