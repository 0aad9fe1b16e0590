//! A small HTTP server, and what one connection and all of them may cost: nobody who connects and dawdles
//! keeps others out.
//!
//! A connection waits for a request, then for the rest of its head, then for its body, where somebody wants
//! that, then for its answer to be read; each of these has its time. Where there are as many connections as
//! may be, a new one takes the place of the one that has been waiting longest; where all are being answered,
//! it waits until one of them is.
//!
//! The libraries have a part of it each: hyper a time for the head, tower-http one for the answer's making.
//! Neither ends a connection whose answer nobody reads, nor lets a new connection take the place of an idle
//! one.

mod body;
mod exposition;
mod process;
mod slot;
mod timed_stream;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use slot::{Phase, Slot};
use timed_stream::TimedStream;

pub use body::{NoBody, read_body};
pub use exposition::metrics;
pub use hyper::{Method, StatusCode, header};
pub use process::register_process;

/// A request; its body is read by [`read_body`] alone.
pub type Request = hyper::Request<Incoming>;
/// An answer.
pub type Reply = hyper::Response<Full<Bytes>>;

/// Longest request head; a longer one is answered with 431.
const LONGEST_HEAD: usize = 64 * 1024;
/// Most connections at once, where the process may have enough open files.
const MOST_CONNECTIONS: usize = 100;
/// The part of the open files that the process may have which connections may take: the rest is for broker,
/// database and providers.
const SHARE_OF_FILES: usize = 4;
/// Bytes of answers that the system keeps for a client that does not read them. With its default, megabytes,
/// a client that asks again and again and reads nothing has hundreds of answers made.
const UNREAD: usize = 64 * 1024;
/// How long the requests in hand may take at the end.
const GRACE: Duration = Duration::from_secs(5);
/// How long a head or body that is on its way keeps its place whoever comes: else a crowd that comes at once
/// takes the places of those whose request has not been read yet.
const ON_ITS_WAY: Duration = Duration::from_millis(50);
/// Pause after a failure to accept that says nothing of the client, such as a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop` is ready and the requests in hand are answered.
pub async fn serve<A>(
    listener: TcpListener,
    answer: impl Fn(Request) -> A + Clone + Send + 'static,
    stop: impl Future<Output = ()>,
) where
    A: Future<Output = Reply> + Send + 'static,
{
    let (connections, mut stop) = (GracefulShutdown::new(), pin!(stop));
    let mut slots =
        Slots { most: most_connections(), open: Vec::new(), left: Arc::default(), on_its_way: ON_ITS_WAY };
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (slot, before) = tokio::select! {
                        () = &mut stop => break,
                        place = slots.place() => place,
                    };
                    // Its file is closed, so that there are never more open than may be.
                    if let Some(before) = before {
                        before.closed().await;
                    }
                    serve_connection(stream, slot, answer.clone(), &connections);
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted; trying again");
                    drop(slots.evict());
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, connections.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off: they took longer than {GRACE:?} to end");
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// As many as leave enough open files for the rest of the process.
fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(MOST_CONNECTIONS, |files| (files / SHARE_OF_FILES).clamp(1, MOST_CONNECTIONS))
}

/// The connections that are open.
struct Slots {
    most: usize,
    open: Vec<Arc<Slot>>,
    /// A connection has ended, or is no longer being answered.
    left: Arc<Notify>,
    /// How long what is on its way keeps its place whoever comes.
    on_its_way: Duration,
}

impl Slots {
    /// A place for a new connection, and who has had to leave it. While all are being answered, it waits;
    /// those behind it wait in the system's queue, in their order.
    async fn place(&mut self) -> (Arc<Slot>, Option<Arc<Slot>>) {
        loop {
            if let Some(place) = self.admit() {
                return place;
            }
            // Who dawdles, or does not read an answer, makes room without telling.
            drop(tokio::time::timeout(ON_ITS_WAY, self.left.notified()).await);
        }
    }

    /// A place for a new connection, and who has had to leave it; `None` where all are being answered.
    fn admit(&mut self) -> Option<(Arc<Slot>, Option<Arc<Slot>>)> {
        // One that has ended has let go of its slot.
        self.open.retain(|slot| Arc::strong_count(slot) > 1 && slot.phase() != Phase::Closed);
        let before = if self.open.len() < self.most { None } else { Some(self.evict()?) };
        let slot = Arc::new(Slot::begin(self.left.clone()));
        self.open.push(slot.clone());
        Some((slot, before))
    }

    /// Ends the connection that has kept its place longest without use, if there is one.
    fn evict(&mut self) -> Option<Arc<Slot>> {
        let dispensable = self
            .open
            .iter()
            .enumerate()
            .filter_map(|(place, slot)| Some((slot.dispensable_since(self.on_its_way)?, place)));
        let (_, place) = dispensable.min()?;
        let slot = self.open.swap_remove(place);
        slot.evict();
        Some(slot)
    }
}

/// Serves one connection in a task of its own.
fn serve_connection<A>(
    stream: TcpStream,
    slot: Arc<Slot>,
    answer: impl Fn(Request) -> A + Send + 'static,
    connections: &GracefulShutdown,
) where
    A: Future<Output = Reply> + Send + 'static,
{
    // Answers are one packet each; waiting for more to send would only delay them.
    drop(stream.set_nodelay(true));
    // The system's default does, too, but for clients that read nothing.
    let _default_stays = set_socket_send_buffer_size(&stream, UNREAD);
    let stream = TimedStream::new(stream, slot.clone());
    let asked = slot.clone();
    let service = service_fn(move |mut request: Request| {
        asked.enter(Phase::Answer);
        request.extensions_mut().insert(asked.clone());
        let (slot, answer) = (asked.clone(), answer(request));
        async move {
            let reply = answer.await;
            slot.enter(Phase::Sent);
            Ok::<_, Infallible>(reply)
        }
    });
    let mut server = http1::Builder::new();
    server.max_buf_size(LONGEST_HEAD);
    let connection = connections.watch(server.serve_connection(TokioIo::new(stream), service));
    tokio::spawn(async move {
        {
            let connection = pin!(connection);
            tokio::select! {
                // It fails when the client breaks it off, dawdles or speaks no HTTP: the client's affair.
                _ = connection => {}
                () = slot.evicted() => {}
            }
        }
        slot.close();
    });
}

/// A text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "text/plain; charset=utf-8", body)
}

/// What a browser may do with a page: show it, with its own stylesheet, and follow its links. Nothing else is
/// loaded or run, nobody frames it, no address of it is told to others, and nothing of it is kept.
const RESTRAINTS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-frame-options", "DENY"),
];

/// A page for a browser, which runs no script of it.
pub fn page(status: StatusCode, body: String) -> Reply {
    restrained(typed(status, "text/html; charset=utf-8", body))
}

/// Its stylesheet.
pub fn stylesheet(body: &'static str) -> Reply {
    restrained(typed(StatusCode::OK, "text/css; charset=utf-8", body))
}

fn restrained(mut reply: Reply) -> Reply {
    let headers = reply.headers_mut();
    for (name, value) in RESTRAINTS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A JSON document.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "application/json", body)
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Reply {
    let mut response = Reply::default();
    *response.status_mut() = status;
    response
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Reply::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
