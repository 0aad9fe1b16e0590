//! A way to the broker that can be shut.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// A proxy on a loopback port. It ends when dropped.
pub(crate) struct Door {
    port: u16,
    is_open: Arc<watch::Sender<bool>>,
    is_stuck: Arc<watch::Sender<bool>>,
    passing: Arc<()>,
    task: JoinHandle<()>,
}

impl Door {
    /// An open door before the broker of `amqp_url`.
    pub(crate) async fn before(amqp_url: &str) -> Self {
        let server: Url = amqp_url.parse().expect("a URL");
        let server = format!("{}:{}", server.host_str().expect("a host"), server.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let port = listener.local_addr().expect("an address").port();
        let (is_open, is_stuck) = (Arc::new(watch::Sender::new(true)), Arc::new(watch::Sender::new(false)));
        let (door, stuck, passing) = (is_open.clone(), is_stuck.clone(), Arc::new(()));
        let passes = passing.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (way, pass_through) =
                    (passes.clone(), pass(client, server.clone(), door.subscribe(), stuck.subscribe()));
                tokio::spawn(async move {
                    pass_through.await;
                    drop(way);
                });
            }
        });
        Self { port, is_open, is_stuck, passing, task }
    }

    /// The way through the door.
    pub(crate) fn url(&self, amqp_url: &str) -> String {
        let mut url: Url = amqp_url.parse().expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.port)).expect("a port");
        url.to_string()
    }

    /// Cuts every connection and lets no new one through.
    pub(crate) fn shut(&self) {
        self.is_open.send_replace(false);
    }

    /// Connections through it.
    pub(crate) fn passing(&self) -> usize {
        // The door's own two are none.
        Arc::strong_count(&self.passing) - 2
    }

    /// Lets nothing more through, and cuts nothing.
    pub(crate) fn stick(&self, is_stuck: bool) {
        self.is_stuck.send_replace(is_stuck);
    }

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    client: TcpStream,
    server: String,
    mut is_open: watch::Receiver<bool>,
    is_stuck: watch::Receiver<bool>,
) {
    let through = async {
        let server = TcpStream::connect(server).await?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::try_join!(
            carry(from_client, to_server, is_stuck.clone()),
            carry(from_server, to_client, is_stuck)
        )
    };
    tokio::select! {
        _ = through => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut is_stuck: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        drop(is_stuck.wait_for(|is_stuck| !is_stuck).await);
        to.write_all(&buffer[..count]).await?;
    }
}
