//! One way to connect to RabbitMQ: heartbeat, name, own roots, deadlines, no automatic recovery (it leaves
//! consumers silent; supervisors start afresh), and a socket that repairs what the client could not read.

mod repair;
mod wire;

use std::fmt;
use std::io;
use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tracing::Level;

pub use repair::{Faults, Unreadable};

/// Libraries whose warnings print message bodies and credentials: lapin's show a returned message.
const ERRORS_ONLY: [&str; 2] = ["lapin", "amq_protocol"];
/// Where lapin says that a connection ended, as an error even where we end it. Whoever has the connection
/// hears of it, and says so.
const NEVER: &str = "lapin::channels";

/// Whether a line from `target` may be logged, whatever a filter says: all of the crate `own`, warnings of
/// other libraries, which print bodies and credentials below that, and only errors of those that do so in
/// warnings, too.
pub fn may_log(own: &str, target: &str, level: Level) -> bool {
    match target.split("::").next().unwrap_or_default() {
        source if source == own => true,
        _ if target == NEVER => false,
        library if ERRORS_ONLY.contains(&library) => level == Level::ERROR,
        _ => level <= Level::WARN,
    }
}

/// Longest that a connection may take to be usable, and an exchange on it to be answered.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Seconds between heartbeats where the URL names none. A dead peer is noticed after twice that.
const HEARTBEAT_SECONDS: u16 = 10;

/// Where the broker is. No `Debug`: the URL holds a password.
#[derive(Clone)]
pub struct Address {
    uri: AMQPUri,
    roots: Option<String>,
}

impl Address {
    /// From an `amqp://` or `amqps://` URL and, where the broker's certificate is signed by a private
    /// authority, that authority's PEM. `None`: not such a URL.
    pub fn parse(url: &str, roots: Option<String>) -> Option<Self> {
        let mut uri: AMQPUri = url.parse().ok()?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Some(Self { uri, roots })
    }

    /// The same, for connections with frames of at most so many bytes, unless the URL names fewer. The client
    /// keeps room for 64 of them a connection; with RabbitMQ's own limit of 128 KiB that is 8 MiB.
    pub fn with_frames(mut self, bytes: u32) -> Self {
        let frame_max = self.uri.query.frame_max.filter(|limit| *limit != 0);
        self.uri.query.frame_max = Some(frame_max.map_or(bytes, |limit| limit.min(bytes)));
        self
    }

    /// The parts of the URL. They include the password.
    pub fn uri(&self) -> &AMQPUri {
        &self.uri
    }

    /// Opens a connection whose name shows in the broker's list of connections.
    ///
    /// # Errors
    /// The broker cannot be reached, does not answer, or refuses the login.
    pub async fn connect(&self, name: String) -> Result<Connection, ConnectError> {
        self.connect_noting(name, None).await
    }

    /// Opens such a connection, and notes of each message that is taken on it what came unreadable.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_noting(
        &self,
        name: String,
        unreadable: Option<Unreadable>,
    ) -> Result<Connection, ConnectError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.roots.clone() };
        // First without lapin, whose attempt cannot be called off: it would leave a thread behind for every
        // try at a host that does not answer.
        let address = (self.uri.authority.host.as_str(), self.uri.authority.port);
        match tokio::time::timeout(DEADLINE, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(ConnectError::Unreachable(error)),
            Err(_) => return Err(ConnectError::Unreachable(io::ErrorKind::TimedOut.into())),
        }
        match tokio::time::timeout(DEADLINE, wire::connect(self.uri.clone(), properties, tls, unreadable))
            .await
        {
            Ok(connected) => connected.map_err(ConnectError::Refused),
            Err(_) => Err(ConnectError::Mute),
        }
    }
}

/// Host and port, as in an error.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing accepts connections there.
    #[error("{0}")]
    Unreachable(io::Error),
    /// The broker, or TLS, said no.
    #[error("{}", words(.0))]
    Refused(lapin::Error),
    /// Something accepted the connection and never spoke AMQP.
    #[error("connected, but no AMQP answer within {} s", DEADLINE.as_secs())]
    Mute,
}

/// The broker's own words, where the error has some.
pub fn words(error: &lapin::Error) -> String {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(amqp) => amqp.get_message().to_string(),
        lapin::ErrorKind::ParsingError(_) => "what answers there does not speak AMQP 0-9-1".to_owned(),
        _ => error.to_string(),
    }
}

/// Closes a connection, which hands its unacknowledged deliveries back; a dead one is left to itself after a
/// second. Its channels should be dropped afterwards: lapin closes a dropped one by itself, meets the closing
/// connection, and logs that as an error of the connection.
pub async fn close(connection: &Connection) {
    drop(tokio::time::timeout(Duration::from_secs(1), connection.close(200, "goodbye".into())).await);
}
