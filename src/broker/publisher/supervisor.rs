//! The life of a publishing connection.

use std::sync::Arc;

use revocation_verifier::amqp::close;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Link;
use crate::again::Again;
use crate::broker::ledger::Ledger;
use crate::broker::log_end::LogEnd;
use crate::broker::{Broker, BrokerError};
use crate::retry::Schedule;

/// What a publishing connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Invalidations. It ends with their log, too.
    Publish,
    /// What was refused.
    Refuse,
}

impl Purpose {
    /// As connections and logs name it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Refuse => "refuse",
        }
    }
}

/// Keeps one publishing connection up, however often it is lost.
pub(super) struct Supervisor {
    pub(super) broker: Arc<Broker>,
    pub(super) purpose: Purpose,
    pub(super) schedule: Schedule,
    pub(super) link: watch::Sender<Option<Link>>,
    pub(super) losses: watch::Sender<u64>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) suspect: Arc<watch::Sender<u64>>,
    pub(super) stop: CancellationToken,
}

impl Supervisor {
    pub(super) async fn run(self) {
        let (mut again, mut number) = (Again::by(&self.schedule, &self.stop), 0);
        while !self.stop.is_cancelled() {
            number += 1;
            match self.session(number).await {
                Ok(()) => {
                    again.worked();
                    self.losses.send_modify(|losses| *losses += 1);
                }
                Err(error) => {
                    let failures = again.failed();
                    let purpose = self.purpose.as_str();
                    tracing::warn!(%error, failures, purpose, "publishing connection failed; trying again");
                }
            }
            again.rest_between_sessions().await;
        }
    }

    /// One connection's life; `Ok` once it was up, however it ended.
    async fn session(&self, number: u64) -> Result<(), BrokerError> {
        let connection = self.broker.connect(self.purpose.as_str()).await?;
        let ready = async {
            self.broker.ensure_topology(&connection).await?;
            // Before anything is published on this connection: all of it lies in the log that is watched.
            let log_end = match self.purpose {
                Purpose::Publish => LogEnd::watch(&connection).await,
                Purpose::Refuse => LogEnd::unwatched(),
            };
            Ok((Broker::confirming_channel(&connection).await?, log_end))
        };
        let (channel, mut log_end) = match ready.await {
            Ok(ready) => ready,
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
                tracing::warn!(purpose = self.purpose.as_str(), "publishing connection lost");
            }
            () = log_end.comes() => {
                tracing::warn!("the log of the invalidations was deleted, or lost its leader: publishing \
                    again what was confirmed of late");
            }
            () = self.stop.cancelled() => {}
        }
        self.ledger.link(0);
        // Its channels must outlive the connection: see `close`.
        let _link = self.link.send_replace(None);
        close(&connection).await;
        Ok(())
    }
}
