//! The gate's server: `/check` for proxies, health and metrics for operators.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use prometheus_client::encoding::text::encode;
use tokio::net::{TcpListener, TcpStream};

use super::Gate;
use super::answer::Answer;

/// Longest request head; a longer one is answered with 431.
const LONGEST_HEAD: usize = 64 * 1024;
/// How long a request's head may take, and a connection stay idle: longer than the 60 s after which nginx closes its own idle ones.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long the requests in hand may take at the end.
const GRACE: Duration = Duration::from_secs(5);
/// Pause after a failure to accept that says nothing of the client, such as a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

type Reply = Response<Full<Bytes>>;

/// Serves until `stop` is ready and the requests in hand are answered.
pub(super) async fn serve(listener: TcpListener, gate: Arc<Gate>, stop: impl Future<Output = ()>) {
    let (connections, mut stop) = (GracefulShutdown::new(), pin!(stop));
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => converse(stream, gate.clone(), &connections),
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted; trying again");
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

/// Serves one connection in a task of its own.
fn converse(stream: TcpStream, gate: Arc<Gate>, connections: &GracefulShutdown) {
    // Answers are one packet each; waiting for more to send would only delay them.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let reply = reply(&request, &gate);
        async move { Ok::<_, Infallible>(reply) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(LONGEST_HEAD);
    let connection = connections.watch(server.serve_connection(TokioIo::new(stream), service));
    // It fails when the client breaks it off or speaks no HTTP: the client's affair.
    tokio::spawn(async move { drop(connection.await) });
}

/// The body of a request is never read.
fn reply(request: &Request<Incoming>, gate: &Gate) -> Reply {
    let check = |accepted| Answer::to(request.headers(), &gate.denylist).response(accepted, gate.realm.as_ref());
    match request.uri().path() {
        "/check" => check(StatusCode::NO_CONTENT),
        // Envoy appends the request's own path, and takes nothing but 200 for a yes.
        path if path.starts_with("/check/") => check(StatusCode::OK),
        "/healthz" => text(StatusCode::OK, "alive\n"),
        "/readyz" => ready(gate),
        "/metrics" => metrics(gate),
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn ready(gate: &Gate) -> Reply {
    match gate.denylist.staleness() {
        None => text(StatusCode::OK, "ready\n"),
        Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("stale: {}\n", reason.as_str())),
    }
}

fn metrics(gate: &Gate) -> Reply {
    let mut body = String::new();
    match encode(&mut body, &gate.registry) {
        Ok(()) => typed(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", body),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
