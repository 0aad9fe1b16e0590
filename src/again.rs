//! What failed, again until it works or the process stops. What is polled anyway has a period of its own.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::retry::Schedule;

/// Counts failures in a row and waits between them, by the schedule of reconnecting unless another is given.
pub struct Again {
    schedule: Schedule,
    stop: CancellationToken,
    heeds_stop_after: u32,
    failures: u32,
}

impl Again {
    /// Until it works or `stop` is cancelled.
    pub fn until(stop: &CancellationToken) -> Self {
        Self::by(&Schedule::reconnecting(), stop)
    }

    /// The same by another schedule.
    pub fn by(schedule: &Schedule, stop: &CancellationToken) -> Self {
        Self { schedule: schedule.clone(), stop: stop.clone(), heeds_stop_after: 0, failures: 0 }
    }

    /// Until it works, whether the process stops or not.
    pub fn until_it_works() -> Self {
        Self::until(&CancellationToken::new())
    }

    /// The same, but for so many failures it goes on although the process stops.
    #[must_use]
    pub fn at_least(self, failures: u32) -> Self {
        Self { heeds_stop_after: failures, ..self }
    }

    /// Counts a failure; returns how many there were in a row. Not to be called within a log line, which is
    /// not evaluated where nobody reads it.
    pub fn failed(&mut self) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// It worked: the next failure is the first.
    pub fn worked(&mut self) {
        self.failures = 0;
    }

    /// Waits as long as the failures in a row ask for; `None` once the process stops.
    pub async fn rest(&self) -> Option<()> {
        self.pause(self.failures).await
    }

    /// Waits before another session is begun, longer by a step than after a failure: one that was up and
    /// ended is no failure, and yet no reason to come back at once.
    pub async fn rest_between_sessions(&self) -> Option<()> {
        self.pause(self.failures.saturating_add(1)).await
    }

    async fn pause(&self, failures: u32) -> Option<()> {
        let delay: Duration = self.schedule.delay(failures, None);
        tokio::select! {
            () = tokio::time::sleep(delay) => Some(()),
            () = self.stop.cancelled(), if self.failures >= self.heeds_stop_after => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RetryConfig;

    #[tokio::test]
    async fn a_stop_ends_the_waits_once_enough_was_tried() {
        let (moment, stop) = (Duration::from_millis(1), CancellationToken::new());
        let schedule = Schedule::new(&RetryConfig {
            initial: moment,
            max: moment,
            give_up_after: moment,
            resweep_every: moment,
            retry_after_max: moment,
        });
        let mut again = Again::by(&schedule, &stop).at_least(2);
        stop.cancel();
        assert_eq!((again.failed(), again.rest().await), (1, Some(())), "one more try");
        again.failed();
        let rests = futures::future::join_all((0..100).map(|_| again.rest())).await;
        assert!(rests.contains(&None), "enough was tried");
        again.worked();
        assert_eq!((again.failed(), again.rest().await), (1, Some(())), "that was the first since it worked");
    }
}
