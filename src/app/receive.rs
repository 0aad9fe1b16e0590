//! The receiver's wiring, in boot order: senders, ports, the connection to the broker; then an orderly end.
//!
//! A request is answered with success only once its event is confirmed by the broker. Nothing is remembered
//! that a restart would lose: a token that comes again makes the same event, and gets the same answer.

mod answer;
mod failed;
mod health;
mod inputs;
mod key_cache;
mod known;
mod poll;

use std::collections::BTreeMap;
use std::sync::Arc;

use revocation_http_server as server;
use tokio_util::sync::CancellationToken;

use self::inputs::Receiver;
use self::known::Known;
use super::AppError;
use crate::VERSION;
use crate::broker::{Broker, EventSource};
use crate::clock::Clock;
use crate::config::{InvalidationConfig, ReceiveSettings};
use crate::http;
use crate::telemetry::ReceiverMetrics;

/// Takes inputs until `stop` is cancelled, then answers those in hand.
///
/// # Errors
/// A sender's settings cannot be used, or an address is taken.
pub async fn run(settings: ReceiveSettings, stop: CancellationToken) -> Result<(), AppError> {
    let senders = known(&settings)?;
    let broker = Broker::new(&settings.amqp, &InvalidationConfig::default(), "receive");
    let broker = Arc::new(broker.map_err(AppError::Setting)?);
    let listen =
        async |setting, address| http::bind(address).await.map_err(|error| AppError::Listen(setting, error));
    let inputs = listen("receive.listen", settings.receive.listen).await?;
    let health = listen("receive.health_listen", settings.receive.health_listen).await?;
    // The broker's connection goes on while the last requests are answered.
    let hard = CancellationToken::new();
    let receiver = Arc::new(Receiver {
        senders,
        events: EventSource::start(broker, hard.clone()),
        metrics: ReceiverMetrics::new(VERSION),
        clock: Clock::default(),
    });
    tracing::info!(address = %settings.receive.listen, senders = receiver.senders.len(), "receiving");
    let of_health = receiver.clone();
    let healthy = tokio::spawn(server::serve(
        health,
        move |request| health::answer(of_health.clone(), request),
        hard.clone().cancelled_owned(),
    ));
    let polled = receiver.senders.iter().filter(|(_, known)| known.poll.is_some());
    let polls: Vec<_> = polled
        .map(|(name, _)| tokio::spawn(poll::run(receiver.clone(), name.clone(), stop.clone())))
        .collect();
    let answering = receiver.clone();
    server::serve(inputs, move |request| inputs::answer(answering.clone(), request), stop.cancelled_owned())
        .await;
    futures::future::join_all(polls).await;
    tracing::info!("stopped; every request was answered");
    hard.cancel();
    drop(healthy.await);
    Ok(())
}

/// The senders by name.
fn known(settings: &ReceiveSettings) -> Result<BTreeMap<String, Known>, AppError> {
    let known = settings.receive.senders.iter().map(|(name, config)| {
        let known = Known::new(name, config, settings.default_provider.as_ref(), &settings.providers)?;
        Ok((name.clone(), known))
    });
    known.collect()
}
