//! A small service that verifies tokens locally, as services behind the worker do: it knows the digests of the tokens that were issued
//! to its users, and those that the invalidations deny. `GET /orders` answers 200 or 401.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use futures::StreamExt;
use lapin::{
    Connection, ConnectionProperties, Consumer,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::SandboxError;
use crate::{
    invalidation::{EXCHANGE, Entry, Envelope, Invalidation},
    target::{Fingerprint, Token},
};

/// The running service; it ends when dropped.
pub struct Service {
    url: String,
    tokens: Arc<Tokens>,
    tasks: [JoinHandle<()>; 2],
    _connection: Connection,
}

/// Lower-case hex digests.
#[derive(Default)]
struct Tokens {
    issued: Mutex<HashSet<String>>,
    denied: Mutex<HashSet<String>>,
}

impl Service {
    /// Subscribes to the invalidations, whose exchange a worker must have declared, and serves on a free loopback port.
    pub async fn start(amqp_url: &str) -> Result<Self, SandboxError> {
        let (connection, invalidations) = subscribe(amqp_url).await.map_err(|error| SandboxError::Failed {
            program: "the service's subscription to auth.invalidations".into(),
            detail: error.to_string(),
        })?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(SandboxError::io("listen on a loopback port"))?;
        let address = listener.local_addr().map_err(SandboxError::io("read the service's address"))?;
        let tokens = Arc::new(Tokens::default());
        let router = Router::new().route("/orders", get(orders)).with_state(tokens.clone());
        let tasks =
            [tokio::spawn(async move { drop(axum::serve(listener, router).await) }), tokio::spawn(apply(invalidations, tokens.clone()))];
        Ok(Self { url: format!("http://{address}/orders"), tokens, tasks, _connection: connection })
    }

    /// The protected resource.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes an issued token known, as a signature would make a JWT.
    pub fn admit(&self, token: Fingerprint) {
        hold(&self.tokens.issued).insert(token.to_string());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A queue of its own that goes with the connection.
async fn subscribe(amqp_url: &str) -> Result<(Connection, Consumer), lapin::Error> {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
    let (name, none) = (queue.name().clone(), FieldTable::default());
    channel.queue_bind(name.clone(), EXCHANGE.into(), "invalidation.#".into(), QueueBindOptions::default(), none).await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let consumer = channel.basic_consume(name, "service".into(), options, FieldTable::default()).await?;
    Ok((connection, consumer))
}

/// Either phase denies: a token that was confirmed dead is no better than one that is to die.
async fn apply(mut invalidations: Consumer, tokens: Arc<Tokens>) {
    while let Some(Ok(delivery)) = invalidations.next().await {
        let Ok(envelope) = serde_json::from_slice::<Envelope<Invalidation>>(&delivery.data) else { continue };
        let digests = envelope.data.targets.into_iter().filter_map(|entry| match entry {
            Entry::Token { token_sha256, .. } => Some(token_sha256),
            _ => None,
        });
        hold(&tokens.denied).extend(digests);
    }
}

async fn orders(State(tokens): State<Arc<Tokens>>, headers: HeaderMap) -> (StatusCode, &'static str) {
    let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let digest = presented.map(|token| Token::new(token.to_owned()).fingerprint().to_string());
    match digest {
        Some(digest) if hold(&tokens.issued).contains(&digest) && !hold(&tokens.denied).contains(&digest) => {
            (StatusCode::OK, "your orders\n")
        }
        _ => (StatusCode::UNAUTHORIZED, "log in first\n"),
    }
}

fn hold(digests: &Mutex<HashSet<String>>) -> std::sync::MutexGuard<'_, HashSet<String>> {
    digests.lock().unwrap_or_else(PoisonError::into_inner)
}
