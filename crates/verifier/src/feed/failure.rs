//! Why reading a stream came to an end.

use std::time::Duration;

use crate::amqp::{ConnectError, words};

/// Workers mark the log every 15 s. After this long without any message the subscription itself is in doubt.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// No connection.
    #[error("connect: {0}")]
    Connect(#[from] ConnectError),
    /// The broker refused, or the connection was lost.
    #[error("read the stream: {}", words(.0))]
    Lapin(lapin::Error),
    /// Nothing came.
    #[error("read the stream: the broker did not answer")]
    NoAnswer,
    /// The subscription was ended from outside.
    #[error("read the stream: the broker ended it (stream deleted, leader lost or connection closed)")]
    Ended,
    /// Something else has the stream's name.
    #[error("a message without x-stream-offset: a queue of that name is not a stream")]
    NoOffset,
    /// The subscription says nothing.
    #[error("nothing was read for {} s", LONGEST_SILENCE.as_secs())]
    Silence,
    /// Heartbeats name messages that do not come.
    #[error("what a worker has published did not arrive within {} s: the log lacks it, or the subscription \
        is stuck", LONGEST_SILENCE.as_secs())]
    Missing,
    /// Retention may have overtaken the reader.
    #[error("the stream jumped from offset {0} to {1}; looking again at what lies between")]
    Jumped(u64, u64),
    /// It is not the stream that it was.
    #[error("the stream holds another message in the place of the last one applied; reading it anew")]
    Rewritten,
    /// The broker was asked for what was written since a time, by its own clock, and left out some of it.
    #[error(
        "the stream begins later than it was asked for: the broker's clock is wrong, or nothing was written \
        for long; reading all of it"
    )]
    Late,
    /// A snapshot that cannot be relied on.
    #[error("the snapshot {0} lacks parts, or was made by a clock that is ahead")]
    Unusable(String),
}

impl FeedError {
    /// The broker's code, where it refused something: 403 without the right to read, 404 where there is no
    /// such stream.
    pub fn code(&self) -> Option<u16> {
        let Self::Lapin(error) = self else { return None };
        match error.kind() {
            lapin::ErrorKind::ProtocolError(amqp) => Some(amqp.get_id()),
            _ => None,
        }
    }
}
