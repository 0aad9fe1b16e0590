//! The receiver's wiring, in boot order: senders, ports, the connection to the broker; then an orderly end.
//!
//! A request is answered with success only once its event is confirmed by the broker. Nothing is remembered
//! that a restart would lose: a token that comes again makes the same event, and gets the same answer.

mod answer;
mod health;
mod inputs;
mod poll;
mod refusals;

use std::sync::Arc;

use revocation_http_server as server;
use tokio_util::sync::CancellationToken;

use self::inputs::Receiver;
use self::refusals::Refusals;
use super::AppError;
use crate::VERSION;
use crate::broker::{Broker, EventSource};
use crate::clock::Clock;
use crate::config::{InvalidationConfig, ReceiveSettings};
use crate::http;
use crate::senders;
use crate::telemetry::ReceiverMetrics;

/// Takes inputs until `stop` is cancelled, then answers those in hand.
///
/// # Errors
/// A sender's settings cannot be used, or an address is taken.
pub async fn run(settings: ReceiveSettings, stop: CancellationToken) -> Result<(), AppError> {
    let senders =
        senders::known(&settings.receive.senders, settings.default_provider.as_ref(), &settings.providers)?;
    let broker = Broker::new(&settings.amqp, &InvalidationConfig::default(), "receive");
    let broker = Arc::new(broker.map_err(AppError::Setting)?);
    let listen =
        async |setting, address| http::bind(address).await.map_err(|error| AppError::Listen(setting, error));
    let inputs = listen("receive.listen", settings.receive.listen).await?;
    let health = listen("receive.health_listen", settings.receive.health_listen).await?;
    // The broker's connection goes on while the last requests are answered.
    let hard = CancellationToken::new();
    let (refusals, told) = Refusals::new();
    let receiver = Arc::new(Receiver {
        refusals,
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
    // What the last requests are refused for is told, too.
    let answered = CancellationToken::new();
    let telling = tokio::spawn({
        let (receiver, answered) = (receiver.clone(), answered.clone());
        async move {
            refusals::run(&receiver.refusals, told, (&receiver.events, &receiver.clock), answered).await;
        }
    });
    let polled = receiver.senders.iter().filter(|(_, known)| known.poll.is_some());
    let polls: Vec<_> = polled
        .map(|(name, _)| tokio::spawn(poll::run(receiver.clone(), name.clone(), stop.clone())))
        .collect();
    let answering = receiver.clone();
    server::serve(inputs, move |request| inputs::answer(answering.clone(), request), stop.cancelled_owned())
        .await;
    futures::future::join_all(polls).await;
    answered.cancel();
    drop(telling.await);
    tracing::info!("stopped; every request was answered");
    hard.cancel();
    drop(healthy.await);
    Ok(())
}
