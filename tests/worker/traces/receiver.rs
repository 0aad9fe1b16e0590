//! A receiver of spans: OTLP over HTTP, as far as a test needs it.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::harness::eventually;

/// A request's head, and its body as it came.
#[derive(Clone)]
pub(super) struct Posted {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// Keeps what is posted; it ends when dropped.
pub(super) struct Receiver {
    pub(super) url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Answers with this status; `None`: with nothing.
    pub(super) async fn start(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let posted = Arc::new(Mutex::new(Vec::new()));
        let kept = posted.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, status, kept.clone()));
            }
        });
        Self { url, posted, task }
    }

    pub(super) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("no panic").clone()
    }

    /// Every request, decoded.
    pub(super) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let decoded =
            |posted: &Posted| ExportTraceServiceRequest::decode(&posted.body[..]).expect("protobuf");
        self.posted().iter().map(decoded).collect()
    }

    /// Every span so far.
    pub(super) fn spans(&self) -> Vec<Span> {
        let scopes =
            self.requests().into_iter().flat_map(|it| it.resource_spans).flat_map(|it| it.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Waits for so many spans whose names begin so.
    pub(super) async fn wait_for(&self, count: usize, name: &str) -> Vec<Span> {
        eventually(&format!("{count} spans of {name}"), async || {
            let of_it: Vec<_> = self.spans().into_iter().filter(|span| span.name.starts_with(name)).collect();
            (of_it.len() >= count).then_some(of_it)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The text or number of an attribute.
pub(super) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

async fn serve(mut stream: TcpStream, status: Option<u16>, kept: Arc<Mutex<Vec<Posted>>>) -> Option<()> {
    let mut received = Vec::new();
    loop {
        let end = loop {
            match received.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => more(&mut stream, &mut received).await?,
            }
        };
        let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        let whole = end + length.trim().parse::<usize>().ok()?;
        while received.len() < whole {
            more(&mut stream, &mut received).await?;
        }
        let body = received[end..whole].to_vec();
        received.drain(..whole);
        kept.lock().expect("no panic").push(Posted { head, body });
        match status {
            Some(status) => {
                let answer = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            None => std::future::pending().await,
        }
    }
}

async fn more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<()> {
    stream.read_buf(received).await.ok().filter(|read| *read > 0).map(drop)
}
