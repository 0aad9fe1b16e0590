//! One request as it came over the wire.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A request in the ledger. It has no `Debug`: it holds tokens.
#[derive(Clone)]
pub(crate) struct Request {
    /// `POST`
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// In the order they came, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// As many bytes as `Content-Length` says.
    pub(crate) body: String,
    /// Which connection it came by, counted from 0.
    pub(crate) connection: usize,
}

impl Request {
    /// The first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The first form field of this name, decoded.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// The next complete request; `None` where the client has closed or broken off.
pub(super) async fn read(stream: &mut TcpStream, connection: usize) -> Option<Request> {
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(stream, &mut received).await?;
    };
    let mut request = parse_head(&String::from_utf8_lossy(&received[..head_end]), connection)?;
    let body_start = head_end + 4;
    let length = request.header("content-length").map_or(Some(0), |length| length.parse::<usize>().ok())?;
    while received.len() < body_start + length {
        more(stream, &mut received).await?;
    }
    request.body = String::from_utf8_lossy(&received[body_start..body_start + length]).into_owned();
    Some(request)
}

async fn more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<()> {
    match stream.read_buf(received).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(()),
    }
}

fn parse_head(head: &str, connection: usize) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Request { method, path, headers, body: String::new(), connection })
}
