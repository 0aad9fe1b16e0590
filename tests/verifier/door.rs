//! A way to the broker that can be shut.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// A proxy on a loopback port. It ends when dropped.
pub(crate) struct Door {
    port: u16,
    is_open: Arc<watch::Sender<bool>>,
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
        let is_open = Arc::new(watch::Sender::new(true));
        let (door, passing) = (is_open.clone(), Arc::new(()));
        let passes = passing.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (way, pass_through) = (passes.clone(), pass(client, server.clone(), door.subscribe()));
                tokio::spawn(async move {
                    pass_through.await;
                    drop(way);
                });
            }
        });
        Self { port, is_open, passing, task }
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

    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: String, mut is_open: watch::Receiver<bool>) {
    let through = async {
        let mut server = TcpStream::connect(server).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        _ = through => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}
