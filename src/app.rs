//! The only wiring, in boot order: what is configured, the ports, the worker, its sessions with the broker;
//! then an orderly end.

mod configured;
mod error;
pub mod receive;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use configured::providers;
pub use error::AppError;

use crate::VERSION;
use crate::broker::{
    Beats, Broker, BrokerError, Intake, Publisher, Purpose, QUEUES, Refusals, Reports, Sinks, Snapshots,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::invalidation::Composer;
use crate::retry::Schedule;
use crate::seal::Keyring;
use crate::store::Store;
use crate::telemetry::{Export, Metrics};
use crate::worker::{Announcer, Identity, Idle, Ports, Sessions, Steps};

/// How long the last writes may take once the grace period is over.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Runs the worker until `stop` is cancelled, then lets it finish within `shutdown_grace`.
///
/// # Errors
/// See [`AppError`].
pub async fn run(config: Config, migrate: bool, stop: CancellationToken) -> Result<(), AppError> {
    config.remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
    configured::warn_of_short_stream(&config);
    let grace = config.shutdown_grace;
    let mut running = boot(config, migrate, stop.clone()).await?;
    let ended = supervise(&mut running, &stop).await;
    finish(running, grace).await;
    ended
}

/// The running worker with everything that belongs to it.
struct Running {
    steps: Steps,
    consume: JoinHandle<Result<(), BrokerError>>,
    http: JoinHandle<()>,
    /// Sends spans on.
    export: Export,
    /// Nothing is left to be acknowledged.
    drained: CancellationToken,
    /// The end of everything, once the last work is finished.
    hard: CancellationToken,
    /// Keeps the steps running when consuming ends, so that its reason is the one that is told.
    _sinks: Sinks,
}

/// Checks all settings that only their user can judge, opens the port, and starts. Broker and database are
/// connected to by whoever needs them first; the worker waits for neither.
async fn boot(mut config: Config, migrate: bool, stop: CancellationToken) -> Result<Running, AppError> {
    let (keyring, clock) = (Keyring::parse(&config.sealing_keys)?, Clock::default());
    let export = Export::start(&config.telemetry, &config.instance, &clock).map_err(AppError::Setting)?;
    let spans = export.spans().clone();
    let admissions = configured::admissions(&config, &clock, &spans)?;
    let broker = Broker::new(&config.amqp, &config.invalidation, &config.instance);
    let broker = Arc::new(broker.map_err(AppError::Setting)?);
    let store = Store::of_worker(&config.database).map_err(|e| AppError::Setting(e.to_string()))?;
    let listener = http::bind(config.http_listen).await.map_err(|e| AppError::Listen("http.listen", e))?;

    let hard = CancellationToken::new();
    let names = configured::claim_names(&config);
    let composer = Composer::new(&config.instance).with_names(names).by(clock.clone());
    let reconnecting = Schedule::reconnecting;
    let publisher =
        Publisher::start(broker.clone(), Purpose::Publish, reconnecting(), clock.clone(), hard.clone());
    let metrics = Metrics::new(VERSION);
    metrics.begin(admissions.keys().map(|name| &**name));
    let rules = configured::rules(&config);
    let senders = configured::senders(&config, &rules.events)?;
    let ports = Ports {
        store,
        verifiers: Announcer::new(publisher, composer.clone(), clock.clone(), spans.clone()),
        refusals: Refusals::start(broker.clone(), reconnecting(), clock.clone(), hard.clone()),
        admissions,
        senders,
        keyring,
        signing_key: config.take_signing_key(),
        clock,
        spans,
        metrics,
    };
    let me = Identity::new(config.instance, config.lease);
    let worker = Idle::new((me, rules, ports), Arc::new(broker.window()), stop.clone());
    Ok(start(worker, migrate, Outside { broker, composer, listener, export, stop, hard }))
}

/// What a worker is connected to.
struct Outside {
    broker: Arc<Broker>,
    composer: Composer,
    listener: TcpListener,
    export: Export,
    stop: CancellationToken,
    hard: CancellationToken,
}

fn start(worker: Idle, migrate: bool, outside: Outside) -> Running {
    let Outside { broker, composer, listener, export, stop, hard } = outside;
    let channels = QUEUES.map(|_| mpsc::unbounded_channel());
    let sinks = channels.each_ref().map(|(sink, _)| sink.clone());
    let (connected, consuming) = watch::channel(false);
    let (drained, schedule) = (CancellationToken::new(), Schedule::reconnecting());
    let intake = Intake {
        broker: broker.clone(),
        schedule: schedule.clone(),
        sinks: sinks.clone(),
        window: worker.window(),
        returns: worker.returns(),
        connected,
        stop: stop.clone(),
        drained: drained.clone(),
    };
    let sessions = Sessions {
        deliveries: channels.map(|(_, deliveries)| deliveries),
        reports: Reports { broker: broker.clone(), schedule: schedule.clone(), stop },
        // Until the end: heartbeats go on while the last work is finished.
        beats: Beats { broker: broker.clone(), schedule, stop: hard.clone() },
        snapshots: Snapshots { broker, composer },
    };
    let steps = worker.start(sessions, migrate);
    let endpoints = http::Endpoints::new(steps.worker().clone(), consuming);
    let http = tokio::spawn(http::serve(listener, endpoints, hard.clone()));
    Running { steps, consume: tokio::spawn(intake.run()), http, export, drained, hard, _sinks: sinks }
}

/// Returns when asked to stop, or when something ended that never should.
async fn supervise(running: &mut Running, stop: &CancellationToken) -> Result<(), AppError> {
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        ended = &mut running.consume => match ended {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(AppError::Step("consume")),
        },
        _ = &mut running.http => Err(AppError::Step("http")),
        ended = running.steps.ended() => Err(ended.into()),
    };
    // A stop that was asked for ends the steps too: it is no failure of theirs.
    if stop.is_cancelled() { Ok(()) } else { ended }
}

/// The end after SIGTERM or SIGINT, which `cli/run.rs` hears: a second one ends the process at once.
///
/// 1. `stop` is cancelled already: no delivery is taken, and what waits for its call is handed back at no
///    cost.
/// 2. Within `shutdown_grace`, what is at a provider is finished and recorded, what is in hand committed and
///    acknowledged ([`Steps::drain`]).
/// 3. The broker's session closes: what was not acknowledged is delivered to others.
/// 4. A last heartbeat says what was published; the lease ends, and others take over what is left.
async fn finish(running: Running, grace: Duration) {
    let Running { mut steps, consume, http: _, export, drained, hard, _sinks } = running;
    tracing::info!(grace_s = grace.as_secs(), "stopping: finishing what is in flight");
    let in_time = tokio::time::timeout(grace, steps.drain()).await.is_ok();
    drained.cancel();
    // Where its end was seen, it must not be polled again: that would panic.
    if !consume.is_finished() {
        drop(tokio::time::timeout(LAST_WRITES, consume).await);
    }
    steps.say_goodbye().await;
    hard.cancel();
    let has_left = steps.leave(LAST_WRITES).await;
    export.finish().await;
    if in_time && has_left {
        tracing::info!("stopped; nothing was left in flight");
    } else {
        tracing::warn!(
            in_time,
            "stopped before everything in flight was finished; other workers take it over"
        );
    }
}
