//! The client's socket, in the clear or inside TLS, with the repair of what the client could not read.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, TokioRuntime};
use futures::Stream;
use futures::io::{AsyncRead, AsyncWrite};
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use super::repair::{Advance, Repair, Unreadable};

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// Connects through a socket that repairs; what it repairs is noted in `unreadable`.
pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: OwnedTLSConfig,
    unreadable: Option<Unreadable>,
) -> lapin::Result<Connection> {
    let tokio = lapin::runtime::default_runtime()?;
    let kit = Kit(tokio.clone());
    let frame_max = uri.query.frame_max.unwrap_or_default();
    let dial = async move |uri: AMQPUri, _: Runtime<Kit>| {
        let socket = uri.connect_with_config_async(tls.as_ref(), &tokio).await?;
        Ok(AsyncTcpStream::Plain(Wire::new(Box::new(socket), Repair::new(unreadable.clone(), frame_max))))
    };
    Connection::connector(uri, Runtime::new(kit), dial, properties).await
}

/// A socket, or TLS on one.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// What the client takes for a socket.
struct Wire {
    socket: Box<dyn Socket>,
    repair: Repair,
    buffer: Vec<u8>,
    /// Of `buffer`, what is read of it: the first so many bytes were passed on, the next may be, the last may
    /// not yet.
    passed: usize,
    ready: usize,
    filled: usize,
}

impl Wire {
    fn new(socket: Box<dyn Socket>, repair: Repair) -> Self {
        Self { socket, repair, buffer: vec![0; CHUNK], passed: 0, ready: 0, filled: 0 }
    }

    /// Reads once more; `false` at the end of the stream.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.buffer.copy_within(self.passed..self.filled, 0);
        (self.passed, self.ready, self.filled) = (0, self.ready - self.passed, self.filled - self.passed);
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        let read = ready!(Pin::new(&mut self.socket).poll_read(context, &mut self.buffer[self.filled..]))?;
        self.filled += read;
        let Advance { ready, removed } = self.repair.advance(&mut self.buffer[self.ready..self.filled]);
        (self.ready, self.filled) = (self.ready + ready, self.filled - removed);
        Poll::Ready(Ok(read > 0))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        while self.passed == self.ready {
            if !ready!(self.poll_fill(context))? {
                return Poll::Ready(Ok(0));
            }
        }
        let bytes = into.len().min(self.ready - self.passed);
        into[..bytes].copy_from_slice(&self.buffer[self.passed..self.passed + bytes]);
        self.passed += bytes;
        Poll::Ready(Ok(bytes))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}

/// Tokio, as the client asks for a runtime; only its sockets differ.
#[derive(Clone, Debug)]
struct Kit(TokioRuntime);

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <TokioRuntime as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, work: F) -> T {
        self.0.block_on(work)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn(work)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Wire;
    type Sleep = <TokioRuntime as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move { Ok(Wire::new(Box::new(connecting.await?), Repair::new(None, 0))) }
    }
}
