//! One way to connect: heartbeat, name, own roots, deadlines, no automatic recovery (it leaves consumers silent; our supervisors start afresh).

use std::net::IpAddr;
use std::time::Duration;

use lapin::options::ConfirmSelectOptions;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties};

use super::{BrokerError, topology};
use crate::config::{AmqpConfig, InvalidationConfig};

/// Longest that a connection may take to be usable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds between heartbeats where the URL names none. A dead peer is noticed after twice that.
const HEARTBEAT_SECONDS: u16 = 10;

/// Where the broker is and what must exist there.
pub struct Broker {
    uri: AMQPUri,
    roots: Option<String>,
    instance: String,
    stream: InvalidationConfig,
    declare: bool,
    pub(super) prefetch: u16,
}

impl Broker {
    /// Reads the settings; connects to nothing.
    ///
    /// # Errors
    /// A sentence that names the setting, without the URL.
    pub fn new(amqp: &AmqpConfig, stream: &InvalidationConfig, instance: &str) -> Result<Self, String> {
        let mut uri: AMQPUri = amqp.url.expose().parse().map_err(|_| "amqp.url is not an amqp:// or amqps:// URL".to_owned())?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let roots = match &amqp.ca_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|e| format!("amqp.ca_file: read {}: {e}", path.display()))?),
            None => None,
        };
        Ok(Self { uri, roots, instance: instance.to_owned(), stream: stream.clone(), declare: amqp.declare, prefetch: amqp.prefetch })
    }

    /// The user of the URL, which RabbitMQ validates in `user_id`.
    pub fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    /// Opens a connection for `purpose`, which shows in the broker's list of connections.
    ///
    /// # Errors
    /// The broker cannot be reached, does not answer, or refuses the login.
    pub(super) async fn connect(&self, purpose: &str) -> Result<Connection, BrokerError> {
        let properties =
            ConnectionProperties::default().with_connection_name(format!("revocation-worker {} {purpose}", self.instance).into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.roots.clone() };
        let what = || format!("connect to {}:{}", self.uri.authority.host, self.uri.authority.port);
        // First without lapin, whose attempt cannot be called off: it would leave a thread behind for every try at a host that does not answer.
        let address = (self.uri.authority.host.as_str(), self.uri.authority.port);
        match tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(BrokerError::new(what(), error.into())),
            Err(_) => return Err(BrokerError::timeout(what(), CONNECT_TIMEOUT)),
        }
        let runtime = lapin::runtime::default_runtime().map_err(|e| BrokerError::new(what(), e))?;
        match tokio::time::timeout(CONNECT_TIMEOUT, Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime)).await {
            Ok(connected) => connected.map_err(|e| BrokerError::new(what(), e)),
            Err(_) => Err(BrokerError::mute(what(), CONNECT_TIMEOUT)),
        }
    }

    /// Declares the topology, or checks it where `amqp.declare` is false.
    pub(super) async fn ensure_topology(&self, connection: &Connection) -> Result<(), BrokerError> {
        within("declare the topology", topology::ensure(connection, &self.stream, self.declare)).await
    }

    /// Connects, looks at the topology without changing anything, and closes: for `check`. Returns what is not there.
    ///
    /// # Errors
    /// The broker cannot be reached, or something that is there differs from what this program needs.
    pub async fn probe(&self) -> Result<Vec<&'static str>, BrokerError> {
        let connection = self.connect("check").await?;
        let missing = within("look for the topology", topology::missing(&connection, &self.stream, self.declare)).await;
        close(&connection).await;
        missing
    }

    /// Where the broker is: scheme, host, port and virtual host, without user and password.
    pub fn address(&self) -> String {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        format!("{scheme}://{}:{} virtual host {vhost:?}", authority.host, authority.port)
    }

    /// Whether tokens travel to the broker in the clear: neither TLS nor loopback.
    pub fn is_in_the_clear(&self) -> bool {
        let host = self.uri.authority.host.as_str();
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.uri.scheme == AMQPScheme::AMQP && !is_loopback
    }

    /// A channel in confirm mode.
    pub(super) async fn confirming_channel(connection: &Connection) -> Result<Channel, BrokerError> {
        within("open a channel", async {
            let channel = connection.create_channel().await.map_err(|e| BrokerError::new("open a channel", e))?;
            channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(|e| BrokerError::new("ask for confirms", e))?;
            Ok(channel)
        })
        .await
    }
}

/// Puts a deadline round an exchange with the broker.
pub(super) async fn within<T>(what: &str, work: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    tokio::time::timeout(CONNECT_TIMEOUT, work).await.unwrap_or_else(|_| Err(BrokerError::timeout(what, CONNECT_TIMEOUT)))
}

/// Closes a connection, which hands its unacknowledged deliveries back; a dead one is left to itself after a second.
pub(super) async fn close(connection: &Connection) {
    drop(tokio::time::timeout(Duration::from_secs(1), connection.close(200, "goodbye".into())).await);
}
