//! Tells the operators, through the worker, how far this verifier has come.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Connection};

use crate::amqp::{Address, ConnectError, words};
use crate::denylist::{Parting, Shared};
use crate::message::{Envelope, STATUS_TYPE, Status, VERIFIERS_EXCHANGE};

/// How often (docs/contract.md, section 4).
const PERIOD: Duration = Duration::from_secs(5);

/// Has a connection of its own: an alarm in the broker blocks a connection that publishes, and must not block
/// the feed.
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
        let (mut link, mut user) = (None, self.user());
        let mut parting = self.shared.parting.subscribe();
        loop {
            let is_last = tokio::select! {
                _ = ticker.tick() => false,
                _ = parting.wait_for(|parting| *parting == Parting::Asked) => true,
            };
            // A report that is late is worth nothing; the next one follows.
            match tokio::time::timeout(PERIOD, self.report(&mut link, user.as_ref(), is_last)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if user.is_some() && is_foreign_name(&error) => {
                    tracing::warn!(%error, "the broker knows this connection's user by another name than its \
                        URL has: reporting without a name from \
                        now on, which operators see as unverified; give the URL the name that the broker \
                        knows");
                    (link, user) = (None, None);
                    ticker.reset_immediately();
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "status not reported");
                    link = None;
                }
                Err(_) => tracing::debug!("status not reported within {PERIOD:?}"),
            }
            if is_last {
                self.shared.parting.send_replace(Parting::Told);
                return;
            }
        }
    }

    /// The user of the connection, whom RabbitMQ validates: the worker believes only reports of who owns the
    /// service. `None`: the URL names nobody.
    fn user(&self) -> Option<ShortString> {
        let name = self.address.uri().authority.userinfo.username.as_str();
        ShortString::try_new(name).ok().filter(|_| !name.is_empty())
    }

    async fn report(
        &self,
        link: &mut Option<(Connection, Channel)>,
        user: Option<&ShortString>,
        is_last: bool,
    ) -> Result<(), ConnectError> {
        let (_, channel) = match link {
            Some(link) => link,
            None => link.insert(self.connect().await?),
        };
        let source = format!("/revocation-verifier/{}/{}", self.service, self.instance);
        let said = self.shared.status(&self.service, &self.instance);
        let report = Envelope::new(source, STATUS_TYPE, Status { ended: is_last, ..said });
        let properties = BasicProperties::default()
            .with_content_type("application/cloudevents+json".into())
            .with_type(STATUS_TYPE.into());
        let properties =
            user.iter().fold(properties, |properties, user| properties.with_user_id((*user).clone()));
        // `service` fits: it was measured when the denylist was made.
        let key = ShortString::try_new(format!("status.{}", self.service)).unwrap_or_default();
        let options = BasicPublishOptions::default();
        // The broker refuses only after it has read the message: the confirm tells.
        let published = channel
            .basic_publish(VERIFIERS_EXCHANGE.into(), key, options, &report.to_json(), properties)
            .await;
        published.map_err(ConnectError::Refused)?.await.map(drop).map_err(ConnectError::Refused)
    }

    async fn connect(&self) -> Result<(Connection, Channel), ConnectError> {
        let connection = self.address.connect(format!("{} report", self.name)).await?;
        let channel = connection.create_channel().await.map_err(ConnectError::Refused)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(ConnectError::Refused)?;
        Ok((connection, channel))
    }
}

/// Whether the broker refused the report's `user_id`: a user who logs in by a certificate or a token has
/// another name than the URL says.
fn is_foreign_name(error: &ConnectError) -> bool {
    let ConnectError::Refused(error) = error else { return false };
    let is_precondition = match error.kind() {
        lapin::ErrorKind::ProtocolError(amqp) => {
            matches!(amqp.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
        }
        _ => false,
    };
    is_precondition && words(error).contains("user_id")
}
