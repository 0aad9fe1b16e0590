//! How long a connection may take for each thing that it does.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request has begun, or the connection has: its head is on its way.
    Head,
    /// A request is being answered.
    Answer,
    /// The answer is on its way.
    Sent,
    /// It has been read; the next request may come.
    Idle,
}

impl Phase {
    /// How long it may take.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Head => 5,
            Self::Answer | Self::Sent => 10,
            // Longer than the 60 s after which nginx closes its own idle connections.
            Self::Idle => 75,
        })
    }
}

/// An answer that is not read within this time may be cut off where others wait for the place.
const SLOW: Duration = Duration::from_secs(1);

/// What is known of one connection.
pub(super) struct Talk {
    phase: Mutex<(Phase, Instant)>,
    over: Notify,
    left: Notify,
}

impl Talk {
    pub(super) fn begin() -> Self {
        Self { phase: Mutex::new((Phase::Head, Instant::now())), over: Notify::new(), left: Notify::new() }
    }

    /// It goes on to another phase, whose time begins.
    pub(super) fn turn(&self, phase: Phase) {
        *self.lock() = (phase, Instant::now());
    }

    fn phase(&self) -> Phase {
        self.lock().0
    }

    fn deadline(&self) -> Instant {
        let (phase, since) = *self.lock();
        since + phase.patience()
    }

    /// Since when it keeps its place without use, if it does.
    pub(super) fn dispensable_since(&self) -> Option<Instant> {
        let (phase, since) = *self.lock();
        match phase {
            Phase::Head | Phase::Idle => Some(since),
            Phase::Sent => Some(since + SLOW).filter(|at| *at <= Instant::now()),
            Phase::Answer => None,
        }
    }

    /// Ends the connection.
    pub(super) fn end(&self) {
        self.over.notify_one();
    }

    /// Waits until it is ended; for one task.
    pub(super) async fn ended(&self) {
        self.over.notified().await;
    }

    /// The connection is closed.
    pub(super) fn leave(&self) {
        self.left.notify_one();
    }

    /// Waits until the connection is closed; for one task.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that fails once a phase has taken too long.
pub(super) struct Patient {
    stream: TcpStream,
    talk: Arc<Talk>,
    end: Pin<Box<Sleep>>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, talk: Arc<Talk>) -> Self {
        let end = Box::pin(tokio::time::sleep_until(talk.deadline()));
        Self { stream, talk, end }
    }

    /// Fails after the deadline of the present phase; else the task is woken then.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let deadline = self.talk.deadline();
        if self.end.deadline() != deadline {
            self.end.as_mut().reset(deadline);
        }
        if self.end.as_mut().poll(cx).is_ready() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before && self.talk.phase() == Phase::Idle {
            self.talk.turn(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The server flushes when all of an answer is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.talk.phase() == Phase::Sent {
            self.talk.turn(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
