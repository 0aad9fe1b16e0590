//! Clients of an HTTP server who dawdle.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// In what manner a client dawdles.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dawdle {
    /// It connects and says nothing.
    Silent,
    /// It sends half a request's head.
    HalfSent,
    /// It reads an answer and keeps the connection.
    Idle,
    /// It announces a long body and sends a byte of it.
    SlowBody,
    /// It asks again and again and reads nothing.
    ReadsNothing,
    /// It sends a head without end.
    EndlessHead,
}

impl Dawdle {
    pub(crate) const ALL: [Self; 6] =
        [Self::Silent, Self::HalfSent, Self::Idle, Self::SlowBody, Self::ReadsNothing, Self::EndlessHead];

    /// What it sends.
    fn words(self) -> Vec<u8> {
        match self {
            Self::Silent => Vec::new(),
            Self::HalfSent => b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Half".to_vec(),
            Self::Idle => b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            Self::SlowBody => b"POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx".to_vec(),
            Self::ReadsNothing => b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200),
            Self::EndlessHead => {
                [b"GET /healthz HTTP/1.1\r\nHost: a\r\n".to_vec(), b"X-Long: 0123456789\r\n".repeat(8000)]
                    .concat()
            }
        }
    }

    /// One such client. Where the server closes on it, that is the server's right.
    async fn connect(self, address: &str) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let mut stream = socket.connect(address.parse().expect("an address")).await.ok()?;
        // What the server does not take stays with the client.
        drop(tokio::time::timeout(Duration::from_millis(200), stream.write_all(&self.words())).await);
        if let Self::Idle = self {
            drop(tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 1000])).await);
        }
        Some(stream)
    }

    /// So many of them, side by side, who stay as long as the result does.
    pub(crate) async fn crowd(self, address: &str, clients: usize) -> Vec<TcpStream> {
        futures::future::join_all((0..clients).map(|_| self.connect(address)))
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Asks once on a connection of its own; returns the status line's code, `None` where there is no answer in
/// time.
pub(crate) async fn ask_once(address: &str, path: &str, patience: Duration) -> Option<u16> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    };
    tokio::time::timeout(patience, ask).await.ok()?
}

/// Waits until the server has closed a connection; the bytes that came before.
pub(crate) async fn closed(mut stream: TcpStream, patience: Duration) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    match tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await {
        // Reset is closed, too.
        Ok(_) => Some(answer),
        Err(_) => None,
    }
}
