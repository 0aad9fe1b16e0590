//! Tells the operators, through the worker, how far this verifier has come.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Connection};

use crate::amqp::{Address, ConnectError};
use crate::denylist::Shared;
use crate::message::{Envelope, STATUS_TYPE, VERIFIERS_EXCHANGE};

/// How often (contract section 4).
const PERIOD: Duration = Duration::from_secs(5);

/// Has a connection of its own: an alarm in the broker blocks a connection that publishes, and must not block the feed.
pub(crate) struct Reporter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) address: Address,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) instance: String,
}

impl Reporter {
    pub(crate) async fn run(self) {
        // The first one when there is something to say.
        let mut caught_up = self.shared.caught_up.subscribe();
        drop(tokio::time::timeout(PERIOD, caught_up.wait_for(|caught_up| *caught_up)).await);
        let mut ticker = tokio::time::interval(PERIOD);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut link = None;
        loop {
            ticker.tick().await;
            // A report that is late is worth nothing; the next one follows.
            match tokio::time::timeout(PERIOD, self.report(&mut link)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "status not reported");
                    link = None;
                }
                Err(_) => tracing::debug!("status not reported within {PERIOD:?}"),
            }
        }
    }

    async fn report(&self, link: &mut Option<(Connection, Channel)>) -> Result<(), ConnectError> {
        let (_, channel) = match link {
            Some(link) => link,
            None => {
                let connection = self.address.connect(format!("{} report", self.name)).await?;
                let channel = connection.create_channel().await.map_err(ConnectError::Refused)?;
                link.insert((connection, channel))
            }
        };
        let source = format!("/revocation-verifier/{}/{}", self.service, self.instance);
        let report = Envelope::new(source, STATUS_TYPE, self.shared.status(&self.service, &self.instance));
        let properties = BasicProperties::default().with_content_type("application/cloudevents+json".into()).with_type(STATUS_TYPE.into());
        // `service` fits: it was measured when the denylist was made.
        let key = ShortString::try_new(format!("status.{}", self.service)).unwrap_or_default();
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish(VERIFIERS_EXCHANGE.into(), key, options, &report.to_json(), properties).await;
        published.map(drop).map_err(ConnectError::Refused)
    }
}
