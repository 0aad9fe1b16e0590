//! A small identity provider that does what a test scripts, on a raw TCP socket, so that it can misbehave in
//! ways no HTTP library allows.
//!
//! ```ignore
//! let idp = ScriptedIdp::start(|request| match request.path.as_str() {
//!     "/revoke" => Reply::status(200),
//!     _ => Reply::status(404),
//! })
//! .await;
//! let config = settings_with(idp.url());
//! assert_eq!(idp.ledger().len(), 1);
//! ```

mod memory;
mod request;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) use memory::Memory;
pub(crate) use request::Request;

/// What the provider does with one request.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    manner: Manner,
}

#[derive(Clone, Copy)]
enum Manner {
    /// A complete response; the connection stays open.
    Complete,
    /// A complete response without `Connection: close`, then the connection is closed.
    CompleteThenClose,
    /// Nothing, until the client gives up.
    Hang,
    /// The body one byte at a time with this pause between.
    SlowBody(Duration),
    /// The body again and again, for as long as the client reads.
    EndlessBody,
    /// `Content-Length` promises more than comes before the connection is closed.
    Truncated,
    /// The head of a response, then a reset.
    Reset,
    /// The connection is closed without a byte.
    Close,
    /// The body as it is, in place of a whole HTTP response; then the connection is closed.
    Garbage,
    /// The same; the connection stays open.
    Raw,
}

impl Reply {
    /// An empty response with this status.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), manner: Manner::Complete }
    }

    /// A JSON response.
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::status(status).header("Content-Type", "application/json").body(body.into())
    }

    /// Never answers.
    pub(crate) fn hang() -> Self {
        Self::status(0).in_manner(Manner::Hang)
    }

    /// Closes the connection without answering.
    pub(crate) fn close() -> Self {
        Self::status(0).in_manner(Manner::Close)
    }

    /// These bytes in place of an HTTP response.
    pub(crate) fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::status(0).body(bytes).in_manner(Manner::Garbage)
    }

    /// These bytes in place of an HTTP response, by a server that goes on listening.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::status(0).body(bytes).in_manner(Manner::Raw)
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body one byte at a time.
    pub(crate) fn slowly(self, pause: Duration) -> Self {
        self.in_manner(Manner::SlowBody(pause))
    }

    /// Sends the body again and again.
    pub(crate) fn endlessly(self) -> Self {
        self.in_manner(Manner::EndlessBody)
    }

    /// Promises one byte more than it sends.
    pub(crate) fn truncated(self) -> Self {
        self.in_manner(Manner::Truncated)
    }

    /// Resets the connection after the head.
    pub(crate) fn reset(self) -> Self {
        self.in_manner(Manner::Reset)
    }

    /// Closes the connection afterwards although it announced nothing.
    pub(crate) fn then_close(self) -> Self {
        self.in_manner(Manner::CompleteThenClose)
    }

    fn in_manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    fn head(&self) -> Vec<u8> {
        let length = match self.manner {
            Manner::Truncated | Manner::Reset => Some(self.body.len() + 1),
            Manner::EndlessBody => None,
            _ => Some(self.body.len()),
        };
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        self.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        length.iter().for_each(|length| head.push_str(&format!("Content-Length: {length}\r\n")));
        head.push_str("\r\n");
        head.into_bytes()
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running provider; it ends when dropped.
pub(crate) struct ScriptedIdp {
    url: String,
    ledger: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl ScriptedIdp {
    /// Listens on a free loopback port and answers every request as `handler` says.
    pub(crate) async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let ledger = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, Arc::new(handler), Arc::clone(&ledger)));
        Self { url, ledger, task }
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every complete request so far, oldest first. Requests are only ever added.
    pub(crate) fn ledger(&self) -> Vec<Request> {
        self.ledger.lock().expect("no panic holds it").clone()
    }
}

impl Drop for ScriptedIdp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, handler: Arc<Handler>, ledger: Arc<Mutex<Vec<Request>>>) {
    // Dropped with this task, which ends every connection.
    let mut connections = tokio::task::JoinSet::new();
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, number, Arc::clone(&handler), Arc::clone(&ledger)));
        number += 1;
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    handler: Arc<Handler>,
    ledger: Arc<Mutex<Vec<Request>>>,
) {
    while let Some(request) = request::read(&mut stream, connection).await {
        ledger.lock().expect("no panic holds it").push(request.clone());
        let reply = handler(&request);
        if send(&mut stream, &reply, &request).await.is_err()
            || !matches!(reply.manner, Manner::Complete | Manner::SlowBody(_) | Manner::Raw)
        {
            return;
        }
    }
}

async fn send(stream: &mut TcpStream, reply: &Reply, request: &Request) -> std::io::Result<()> {
    match reply.manner {
        Manner::Close => return Ok(()),
        Manner::Hang => return until_client_leaves(stream).await,
        Manner::Garbage | Manner::Raw => return stream.write_all(&reply.body).await,
        _ => stream.write_all(&reply.head()).await?,
    }
    match reply.manner {
        Manner::Reset => stream.set_zero_linger(),
        Manner::EndlessBody => loop {
            stream.write_all(&reply.body).await?;
        },
        Manner::SlowBody(pause) => {
            for byte in &reply.body {
                tokio::time::sleep(pause).await;
                stream.write_all(&[*byte]).await?;
            }
            Ok(())
        }
        // What would follow the head of such an answer is taken for the next one (RFC 9110 section 9.3.2).
        _ if request.method == "HEAD" => Ok(()),
        _ => stream.write_all(&reply.body).await,
    }
}

async fn until_client_leaves(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}
