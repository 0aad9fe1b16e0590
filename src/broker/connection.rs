//! The worker's connections: all made in the verifiers' one way, all with the topology.

use std::net::IpAddr;

use lapin::options::ConfirmSelectOptions;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection};
use revocation_verifier::amqp::{Address, DEADLINE, Unreadable, close};
use tokio::sync::Mutex;

use super::topology::{self, Limit};
use super::{BrokerError, Window};
use crate::config::{AmqpConfig, InvalidationConfig};

/// Connections on which messages of others come or go: their headers, which share one frame, may be as long
/// as RabbitMQ lets them be.
const LONG_HEADERS: [&str; 4] = ["consume", "dead letters", "refuse", "refuse one"];
/// Bytes of a frame on all others; a longer body takes several.
const FRAME: u32 = 32 * 1024;

/// Where the broker is and what must exist there.
pub struct Broker {
    address: Address,
    instance: String,
    pub(super) stream: InvalidationConfig,
    pub(super) declare: bool,
    prefetch: u16,
    bytes_in_hand: usize,
    /// What is known of the dead-letter queue, until something of the topology is not as it should be.
    limit: Mutex<Option<Limit>>,
}

impl Broker {
    /// Reads the settings; connects to nothing.
    ///
    /// # Errors
    /// A sentence that names the setting, without the URL.
    pub fn new(amqp: &AmqpConfig, stream: &InvalidationConfig, instance: &str) -> Result<Self, String> {
        let roots = match &amqp.ca_file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|e| format!("amqp.ca_file: read {}: {e}", path.display()))?,
            ),
            None => None,
        };
        let address =
            Address::parse(amqp.url.expose(), roots).ok_or("amqp.url is not an amqp:// or amqps:// URL")?;
        Ok(Self {
            address,
            instance: instance.to_owned(),
            stream: stream.clone(),
            declare: amqp.declare,
            prefetch: amqp.prefetch,
            bytes_in_hand: amqp.bytes_in_hand,
            limit: Mutex::new(None),
        })
    }

    /// The user of the URL, which RabbitMQ validates in `user_id`.
    pub fn user(&self) -> &str {
        &self.address.uri().authority.userinfo.username
    }

    /// An empty window of the size that the settings say.
    pub fn window(&self) -> Window {
        Window::new(self.bytes_in_hand, self.prefetch)
    }

    /// Opens a connection for `purpose`, which shows in the broker's list of connections.
    ///
    /// # Errors
    /// The broker cannot be reached, does not answer, or refuses the login.
    pub(super) async fn connect(&self, purpose: &str) -> Result<Connection, BrokerError> {
        self.open(purpose, None).await
    }

    /// The same, with a note of what came unreadable of each message that is taken on it.
    pub(super) async fn connect_noting(
        &self,
        purpose: &str,
        unreadable: &Unreadable,
    ) -> Result<Connection, BrokerError> {
        self.open(purpose, Some(unreadable.clone())).await
    }

    async fn open(&self, purpose: &str, unreadable: Option<Unreadable>) -> Result<Connection, BrokerError> {
        let name = format!("revocation-worker {} {purpose}", self.instance);
        let address = match LONG_HEADERS.contains(&purpose) {
            true => self.address.clone(),
            false => self.address.clone().with_frames(FRAME),
        };
        let connected = address.connect_noting(name, unreadable).await;
        connected.map_err(|error| BrokerError::connect(&self.address, error))
    }

    /// Declares the topology, or checks it where `amqp.declare` is false.
    pub(super) async fn ensure_topology(&self, connection: &Connection) -> Result<(), BrokerError> {
        let limit = if self.declare { self.limit().await? } else { Limit::Set };
        let ensured =
            within("declare the topology", topology::ensure(connection, &self.stream, self.declare, limit))
                .await;
        if ensured.is_err() {
            *self.limit.lock().await = None;
        }
        ensured
    }

    async fn limit(&self) -> Result<Limit, BrokerError> {
        let mut known = self.limit.lock().await;
        if let Some(limit) = *known {
            return Ok(limit);
        }
        let limit = self.limit_dead().await?;
        if limit == Limit::Unset {
            tracing::warn!("{}", self.how_to_limit());
        }
        Ok(*known.insert(limit))
    }

    /// Declares the dead-letter queue; one that an older release declared, without a limit, stays as it is.
    /// On connections that nothing else is on: a refusal ends more than its channel.
    pub(super) async fn limit_dead(&self) -> Result<Limit, BrokerError> {
        match self.declare_dead(Limit::Set).await {
            Err(error) if topology::lacks_limit(&error) => {
                self.declare_dead(Limit::Unset).await.map(|()| Limit::Unset)
            }
            declared => declared.map(|()| Limit::Set),
        }
    }

    async fn declare_dead(&self, limit: Limit) -> Result<(), BrokerError> {
        let connection = self.connect("declare").await?;
        let declared =
            within("declare queue revocation.dead", topology::declare_dead(&connection, limit)).await;
        close(&connection).await;
        declared
    }

    /// How to give the dead-letter queue of an older release a limit.
    pub(super) fn how_to_limit(&self) -> String {
        topology::how_to_limit(&self.address.uri().vhost)
    }

    /// Declares what the verifiers' reports need, or checks it where `amqp.declare` is false.
    pub(super) async fn ensure_reports(&self, connection: &Connection) -> Result<(), BrokerError> {
        within("declare the queue of verifiers' reports", topology::ensure_reports(connection, self.declare))
            .await
    }

    /// Where the broker is: scheme, host, port and virtual host, without user and password.
    pub fn address(&self) -> String {
        let AMQPUri { scheme, authority, vhost, .. } = self.address.uri();
        format!("{scheme}://{}:{} virtual host {vhost:?}", authority.host, authority.port)
    }

    /// Whether tokens travel to the broker in the clear: neither TLS nor loopback.
    pub fn is_in_the_clear(&self) -> bool {
        let uri = self.address.uri();
        let host = uri.authority.host.as_str();
        let is_loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        uri.scheme == AMQPScheme::AMQP && !is_loopback
    }

    /// A channel in confirm mode.
    pub(super) async fn confirming_channel(connection: &Connection) -> Result<Channel, BrokerError> {
        within("open a channel", async {
            let channel =
                connection.create_channel().await.map_err(|e| BrokerError::new("open a channel", e))?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .map_err(|e| BrokerError::new("ask for confirms", e))?;
            Ok(channel)
        })
        .await
    }
}

/// Puts a deadline round an exchange with the broker.
pub(super) async fn within<T>(
    what: &str,
    work: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(BrokerError::timeout(what, DEADLINE)))
}
