//! RabbitMQ: the only user of lapin. Five connections, each with its own supervisor: one consumes events, one
//! publishes, because an alarm in the broker blocks a connection that publishes, one publishes refused
//! messages, which the broker may answer by closing it, one consumes verifiers' reports, whose faults are
//! none of the events', and one hears the other workers' heartbeats. Others, now and then: one folds the log
//! into a snapshot, one publishes a single refused message, one compares the dead-letter queue.

mod attributes;
mod beats;
mod checkpoints;
mod confirm;
mod connection;
mod dead;
mod denials;
mod event_source;
mod events;
mod examine;
mod fit;
mod fold;
mod headers;
mod intake;
mod ledger;
mod log;
mod log_end;
mod original;
mod publisher;
mod received;
mod refusals;
mod reports;
mod take;
mod topology;
mod weight;
mod window;

use std::fmt;

use revocation_verifier::amqp::{Address, ConnectError, words};
use revocation_verifier::feed::FeedError;

pub use beats::{Beats, Heard};
pub use confirm::PublishError;
pub use connection::Broker;
pub use dead::{DeadMessage, DeadQueue};
pub use denials::{Denials, Denied, Logged};
pub use event_source::EventSource;
pub use events::{EventPublisher, Unconfirmed};
pub use examine::Examined;
pub use fold::{FoldError, Folded, Snapshots};
pub use intake::{Intake, Sinks};
pub use ledger::Standing;
pub use publisher::{Publisher, Purpose};
pub use received::{Body, Received};
pub use refusals::{Refusals, Unplaced};
pub use reports::{Reported, Reports};
pub use topology::{CUTOFF_QUEUE, DEAD, EVENTS_EXCHANGE, LOGOUT_QUEUE, MASS_QUEUE, QUEUES, VERIFIERS_QUEUE};
pub use window::{InHand, Window};

/// How RabbitMQ says, under code 404, that a queue is there and has no leader yet: it has just started.
const NO_LEADER: &str = "is down or inaccessible";

/// What was tried at the broker, and why it failed.
#[derive(Debug)]
pub struct BrokerError {
    what: String,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Lapin(lapin::Error),
    Connect(ConnectError),
    Feed(FeedError),
    Timeout(std::time::Duration),
    Ended,
}

impl BrokerError {
    fn new(what: impl Into<String>, error: lapin::Error) -> Self {
        Self { what: what.into(), why: Why::Lapin(error) }
    }

    fn feed(what: impl Into<String>, error: FeedError) -> Self {
        Self { what: what.into(), why: Why::Feed(error) }
    }

    fn timeout(what: impl Into<String>, after: std::time::Duration) -> Self {
        Self { what: what.into(), why: Why::Timeout(after) }
    }

    fn connect(address: &Address, error: ConnectError) -> Self {
        Self {
            what: format!("reach the broker at {}://{address}", address.uri().scheme),
            why: Why::Connect(error),
        }
    }

    fn ended(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: Why::Ended }
    }

    /// Whether the broker refused for a reason that only a person can mend: wrong arguments, no permission,
    /// bad credentials.
    pub fn is_refusal(&self) -> bool {
        let (Why::Lapin(error) | Why::Connect(ConnectError::Refused(error))) = &self.why else {
            return false;
        };
        match error.kind() {
            lapin::ErrorKind::ProtocolError(amqp) => {
                [402, 403, 404, 406, 530].contains(&amqp.get_id())
                    && !amqp.get_message().as_str().contains(NO_LEADER)
            }
            _ => false,
        }
    }

    /// Whether a queue is there without this argument, which it was to have.
    fn lacks(&self, argument: &str) -> bool {
        let Why::Lapin(error) = &self.why else { return false };
        let lapin::ErrorKind::ProtocolError(amqp) = error.kind() else { return false };
        let said = amqp.get_message().as_str();
        amqp.get_id() == 406
            && said.contains(&format!("inequivalent arg '{argument}'"))
            && said.contains("but current is none")
    }

    /// Whether the broker has no such thing (404).
    pub fn is_missing(&self) -> bool {
        let Why::Lapin(error) = &self.why else { return false };
        matches!(error.kind(), lapin::ErrorKind::ProtocolError(amqp) if amqp.get_id() == 404)
            && !self.is_leaderless()
    }

    /// Whether the broker has not given this user the right (403).
    fn is_denied(&self) -> bool {
        let Why::Lapin(error) = &self.why else { return false };
        matches!(error.kind(), lapin::ErrorKind::ProtocolError(amqp) if amqp.get_id() == 403)
    }

    /// Whether a queue or stream is there, and no node leads it.
    fn is_leaderless(&self) -> bool {
        let Why::Lapin(error) = &self.why else { return false };
        let lapin::ErrorKind::ProtocolError(amqp) = error.kind() else { return false };
        amqp.get_message().as_str().contains(NO_LEADER)
    }

    /// Whether something accepted the connection and then never spoke AMQP.
    fn is_mute(&self) -> bool {
        matches!(self.why, Why::Connect(ConnectError::Mute))
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.what)?;
        match &self.why {
            Why::Lapin(error) => f.write_str(&words(error)),
            Why::Connect(error) => write!(f, "{error}"),
            Why::Feed(error) => write!(f, "{error}"),
            Why::Timeout(after) => write!(f, "no answer within {} s", after.as_secs()),
            Why::Ended => {
                f.write_str("the broker ended it (queue deleted, leader lost or connection closed)")
            }
        }
    }
}

impl std::error::Error for BrokerError {}
