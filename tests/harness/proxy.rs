//! A TCP proxy that loses one answer: the request reaches the server, its answer never reaches the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Which answer is lost.
#[derive(Clone)]
pub(crate) enum Loss {
    /// The answer to the first request that contains this.
    ToRequest(&'static str),
    /// The first answer that contains this.
    OfAnswer(&'static str),
}

/// A running proxy; it ends when dropped.
pub(crate) struct Proxy {
    /// The port it listens on, on 127.0.0.1.
    pub(crate) port: u16,
    lost: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port and passes everything on to `server`, but for one answer.
    pub(crate) async fn before(server: String, loss: Loss) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let port = listener.local_addr().expect("an address").port();
        let lost = Arc::new(AtomicUsize::new(0));
        let counter = lost.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(upstream) = TcpStream::connect(&server).await {
                    connections.spawn(pass(client, upstream, loss.clone(), counter.clone()));
                }
            }
        });
        Self { port, lost, task }
    }

    /// Answers lost so far.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection. Dropping both sides, when either direction ends, closes it.
async fn pass(client: TcpStream, server: TcpStream, loss: Loss, lost: Arc<AtomicUsize>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (request, answer) = match loss {
        Loss::ToRequest(text) => (Some(text), None),
        Loss::OfAnswer(text) => (None, Some(text)),
    };
    // Set by the requests' side: the next answer is the one to lose.
    let doomed = Arc::new(AtomicUsize::new(0));
    tokio::select! {
        () = requests(from_client, to_server, request, lost.clone(), doomed.clone()) => {}
        () = answers(from_server, to_client, answer, lost, doomed) => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, text: Option<&str>, lost: Arc<AtomicUsize>, doomed: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if text.is_some_and(|text| contains(&buffer[..count], text)) && lost.fetch_max(1, Ordering::SeqCst) == 0 {
            doomed.store(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, text: Option<&str>, lost: Arc<AtomicUsize>, doomed: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let found = text.is_some_and(|text| contains(&buffer[..count], text)) && lost.fetch_max(1, Ordering::SeqCst) == 0;
        if found || doomed.load(Ordering::SeqCst) > 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
