//! The life of a publishing connection.

use std::sync::Arc;

use revocation_verifier::amqp::close;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Link;
use crate::broker::ledger::Ledger;
use crate::broker::{Broker, BrokerError};
use crate::retry::Schedule;

/// Keeps one publishing connection up, however often it is lost.
pub(super) struct Supervisor {
    pub(super) broker: Arc<Broker>,
    pub(super) purpose: &'static str,
    pub(super) schedule: Schedule,
    pub(super) link: watch::Sender<Option<Link>>,
    pub(super) losses: watch::Sender<u64>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) suspect: Arc<watch::Sender<u64>>,
    pub(super) stop: CancellationToken,
}

impl Supervisor {
    pub(super) async fn run(self) {
        let (mut failures, mut number) = (0, 0);
        while !self.stop.is_cancelled() {
            number += 1;
            match self.session(number).await {
                Ok(()) => {
                    failures = 0;
                    self.losses.send_modify(|losses| *losses += 1);
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, purpose = self.purpose, "publishing connection failed; \
                        trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.schedule.delay(failures + 1, None)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// One connection's life; `Ok` once it was up, however it ended.
    async fn session(&self, number: u64) -> Result<(), BrokerError> {
        let connection = self.broker.connect(self.purpose).await?;
        let ready = async {
            self.broker.ensure_topology(&connection).await?;
            Broker::confirming_channel(&connection).await
        };
        let channel = match ready.await {
            Ok(channel) => channel,
            Err(error) => {
                close(&connection).await;
                return Err(error);
            }
        };
        self.ledger.link(number);
        self.link.send_replace(Some(Link {
            number,
            channel,
            frame_max: connection.configuration().frame_max(),
        }));
        let mut suspect = self.suspect.subscribe();
        tokio::select! {
            _ = suspect.wait_for(|suspect| *suspect >= number) => {
                tracing::warn!(purpose = self.purpose, "publishing connection lost");
            }
            () = self.stop.cancelled() => {}
        }
        self.ledger.link(0);
        // Its channel must outlive the connection: see `close`.
        let _link = self.link.send_replace(None);
        close(&connection).await;
        Ok(())
    }
}
