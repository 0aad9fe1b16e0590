//! Health, metrics and the page (docs/contract.md, section 10). No endpoint changes anything.

mod health;
mod page;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use revocation_http_server::{self as server, Reply, Request, StatusCode, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::health::Health;
use self::page::Pages;
use crate::worker::Worker;

/// What `/healthz` answers.
const ALIVE: &str = "alive\n";

/// What the endpoints look at.
#[derive(Clone)]
pub struct Endpoints {
    health: Health,
    pages: Arc<Pages>,
}

/// Opens the listening socket.
///
/// # Errors
/// The address is in use or not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`. It has no reason of its own to end.
pub async fn serve(listener: TcpListener, endpoints: Endpoints, stop: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health, metrics and the page are served");
    }
    let answer = move |request: Request| {
        let endpoints = endpoints.clone();
        async move { endpoints.answer(&request).await }
    };
    server::serve(listener, answer, stop.cancelled_owned()).await;
}

/// Whether [`bind`] would get an address. Nothing listens there meanwhile, so that nobody who asks or binds
/// at the same moment is turned away for it.
pub fn could_bind(address: SocketAddr) -> std::io::Result<()> {
    bound(address).map(drop)
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Whether a worker serves at an address already.
pub async fn is_worker(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(1024).read_to_end(&mut answer).await.map(|_| answer.ends_with(ALIVE.as_bytes()))
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), ask).await, Ok(Ok(true)))
}

impl Endpoints {
    /// Of a worker that consumes or does not.
    pub fn new(worker: Arc<Worker>, consuming: watch::Receiver<bool>) -> Self {
        let pages = Arc::new(Pages::new(worker.clone()));
        Self { health: Health { worker, consuming, ping: Arc::default() }, pages }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let path = request.uri().path();
        let is_ours = ["/healthz", "/readyz", "/metrics"].contains(&path) || Pages::has(path);
        match path {
            _ if !is_ours => text(StatusCode::NOT_FOUND, "not found\n"),
            _ if !["GET", "HEAD"].contains(&request.method().as_str()) => {
                text(StatusCode::METHOD_NOT_ALLOWED, "nothing here changes anything\n")
            }
            "/healthz" => text(StatusCode::OK, ALIVE),
            "/readyz" => self.health.ready().await,
            "/metrics" => server::metrics(request.headers(), self.health.metrics()),
            _ => self.pages.answer(path, request.uri().query().unwrap_or_default()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{bind, bound, could_bind};

    /// Two `check` at once, and a worker that starts beside one.
    #[tokio::test]
    async fn whoever_asks_for_an_address_keeps_it_from_nobody() {
        let taken = bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let address = taken.local_addr().expect("its address");
        assert!(could_bind(address).is_err(), "it has a listener");
        drop(taken);
        let asking = bound(address).expect("free again");
        assert!(could_bind(address).is_ok(), "it is only asked for");
        bind(address).await.expect("nobody listens");
        drop(asking);
    }
}
