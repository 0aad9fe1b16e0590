//! A TCP proxy that loses one answer, where the request reaches the server and its answer never reaches the
//! client; or that logs in as somebody else.

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
    /// No answer: a user's name at login becomes another of the same length.
    OfName(String, String),
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
    let (request, answer, name) = match loss {
        Loss::ToRequest(text) => (Some(text), None, None),
        Loss::OfAnswer(text) => (None, Some(text), None),
        Loss::OfName(from, to) => (None, None, Some((format!("\0{from}\0"), format!("\0{to}\0")))),
    };
    // Set by the requests' side: the next answer is the one to lose.
    let doomed = Arc::new(AtomicUsize::new(0));
    tokio::select! {
        () = requests(from_client, to_server, request, name, lost.clone(), doomed.clone()) => {}
        () = answers(from_server, to_client, answer, lost, doomed) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    text: Option<&str>,
    name: Option<(String, String)>,
    lost: Arc<AtomicUsize>,
    doomed: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if text.is_some_and(|text| contains(&buffer[..count], text))
            && lost.fetch_max(1, Ordering::SeqCst) == 0
        {
            doomed.store(1, Ordering::SeqCst);
        }
        if let Some((old, new)) = &name {
            rename(&mut buffer[..count], old.as_bytes(), new.as_bytes());
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    text: Option<&str>,
    lost: Arc<AtomicUsize>,
    doomed: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let found = text.is_some_and(|text| contains(&buffer[..count], text))
            && lost.fetch_max(1, Ordering::SeqCst) == 0;
        if found || doomed.load(Ordering::SeqCst) > 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// SASL PLAIN has the name between two NULs.
fn rename(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    if let Some(place) = bytes.windows(old.len()).position(|window| window == old) {
        bytes[place..place + old.len()].copy_from_slice(new);
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
