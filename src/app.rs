//! The only wiring: configuration in, a running worker out, an orderly end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, SetOnce, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::VERSION;
use crate::admission::{Admission, Limits};
use crate::authorization::Rates;
use crate::broker::{
    Beats, Broker, BrokerError, Intake, Publisher, QUEUES, Refusals, Reports, Sinks, Snapshots,
};
use crate::clock::Clock;
use crate::config::{ClaimNames, Config, ProviderConfig};
use crate::event::{ProviderRule, Rules};
use crate::http;
use crate::invalidation::Composer;
use crate::provider::{Provider, ProviderSetupError};
use crate::retry::Schedule;
use crate::seal::{Keyring, SealError};
use crate::store::{SchemaError, Store, StoreError};
use crate::telemetry::Metrics;
use crate::worker::{Channels, InFlight, Incidents, Recent, Steps, Unrecorded, Worker};

/// How long the last writes may take once the grace period is over.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Why the worker did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A setting that only its user can judge, such as a sealing key or a provider.
    #[error("{0}")]
    Setting(String),
    /// The schema is missing or old.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker refused, at start.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The address of `[http] listen` cannot be used.
    #[error("http.listen: {0}")]
    Listen(std::io::Error),
    /// A step ended that never should.
    #[error("the worker's step `{0}` ended unexpectedly; restarting the process is safe")]
    Step(&'static str),
}

impl From<SealError> for AppError {
    fn from(error: SealError) -> Self {
        Self::Setting(format!("sealing.keys: {error}"))
    }
}

impl From<ProviderSetupError> for AppError {
    fn from(error: ProviderSetupError) -> Self {
        Self::Setting(error.to_string())
    }
}

impl AppError {
    /// Whether it is the configuration's fault: exit code 2.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Setting(_))
    }
}

/// The clients of the configured providers, by name.
///
/// # Errors
/// A setting of a provider cannot be used.
pub fn providers(configs: &BTreeMap<Arc<str>, ProviderConfig>) -> Result<Vec<Provider>, ProviderSetupError> {
    configs.iter().map(|(name, config)| Provider::new(name.clone(), config)).collect()
}

fn rules(config: &Config) -> Rules {
    let rule = |(name, p): (&Arc<str>, &ProviderConfig)| ProviderRule {
        name: name.clone(),
        issuer: p.issuer.clone(),
        token_ttl: p.token_ttl,
    };
    Rules {
        max_message_bytes: config.limits.max_message_bytes,
        max_targets: config.limits.max_targets,
        max_token_bytes: config.limits.max_token_bytes,
        default_provider: config.default_provider.clone(),
        providers: config.providers.iter().map(rule).collect(),
        authority: config.authorization.authority(),
    }
}

fn claim_names(config: &Config) -> BTreeMap<Arc<str>, ClaimNames> {
    config.providers.iter().map(|(name, provider)| (name.clone(), provider.claims.clone())).collect()
}

fn admissions(
    config: &Config,
    clock: &Clock,
) -> Result<BTreeMap<Arc<str>, Arc<Admission>>, ProviderSetupError> {
    let limits = |name: &str| {
        config.providers.get(name).map(|provider| Limits {
            concurrency: provider.concurrency,
            rate_per_s: provider.rate_per_s.map(f64::from),
            retry_after_max: provider.retry_after_max,
        })
    };
    let providers = providers(&config.providers)?.into_iter();
    let admission = |provider: Provider| {
        let (name, limits) = (provider.name().clone(), limits(provider.name())?);
        Some((name, Admission::new(provider.by(clock.clone()), limits)))
    };
    Ok(providers.filter_map(admission).collect())
}

/// A verifier that starts reads the stream back to the longest denial: one that the stream has dropped by
/// then would be accepted again.
fn warn_of_short_stream(config: &Config) {
    let kept = config.invalidation.stream_max_age;
    for (provider, longer) in config.providers.iter().filter(|(_, p)| p.token_ttl > kept) {
        tracing::warn!(%provider, token_ttl_s = longer.token_ttl.as_secs(), stream_max_age_s = kept.as_secs(),
            "invalidation.stream_max_age is shorter than the provider's token_ttl: a verifier that starts \
                late misses denials that are still needed");
    }
}

/// The running worker with everything that belongs to it.
struct Running {
    worker: Arc<Worker>,
    steps: Steps,
    intake: JoinHandle<Result<(), BrokerError>>,
    http: JoinHandle<()>,
    drained: CancellationToken,
    hard: CancellationToken,
    /// Keeps the steps running when consuming ends, so that its reason is the one that is told.
    _sinks: Sinks,
}

/// Runs the worker until `stop` is cancelled, then lets it finish within `shutdown_grace`.
///
/// # Errors
/// See [`AppError`].
pub async fn run(config: Config, migrate: bool, stop: CancellationToken) -> Result<(), AppError> {
    config.remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
    warn_of_short_stream(&config);
    let keyring = Keyring::parse(&config.sealing_keys)?;
    let clock = Clock::default();
    let admissions = admissions(&config, &clock)?;
    let broker = Arc::new(
        Broker::new(&config.amqp, &config.invalidation, &config.instance).map_err(AppError::Setting)?,
    );
    let store = Store::new(&config.database).map_err(|e| AppError::Setting(e.to_string()))?;
    let listener = http::bind(config.http_listen).await.map_err(AppError::Listen)?;
    let (notes_tx, notes) = mpsc::unbounded_channel();
    let hard = CancellationToken::new();
    let publisher =
        Publisher::start(broker.clone(), "publish", Schedule::reconnecting(), clock.clone(), hard.clone());
    let refusals = Refusals::start(broker.clone(), Schedule::reconnecting(), clock.clone(), hard.clone());
    let worker = Arc::new(Worker {
        number: SetOnce::new(),
        lease: config.lease,
        rules: rules(&config),
        keyring,
        schedule: Schedule::new(&config.retry),
        give_up_after: config.retry.give_up_after,
        heartbeat: config.invalidation.heartbeat,
        admissions,
        store,
        publisher,
        refusals,
        composer: Composer::new(&config.instance).with_names(claim_names(&config)).by(clock.clone()),
        clock,
        metrics: Metrics::new(VERSION),
        database_up: AtomicBool::new(true),
        window: Arc::new(broker.window()),
        returns: watch::Sender::new(0),
        notes: notes_tx,
        verifier_owners: config.verifier_owners,
        rates: Rates::default(),
        people: config.people,
        approval: config.authorization.approval(),
        incidents: Incidents::default(),
        recent: Recent::default(),
        due: Notify::new(),
        in_flight: InFlight::default(),
        unrecorded: Unrecorded::default(),
        tasks: TaskTracker::new(),
        stop: stop.clone(),
        instance: config.instance,
    });
    let mut running = start(worker, broker, listener, notes, hard, migrate);
    let ended = supervise(&mut running, &stop).await;
    finish(running, config.shutdown_grace).await;
    ended
}

fn start(
    worker: Arc<Worker>,
    broker: Arc<Broker>,
    listener: tokio::net::TcpListener,
    notes: mpsc::UnboundedReceiver<crate::worker::Note>,
    hard: CancellationToken,
    migrate: bool,
) -> Running {
    let channels = QUEUES.map(|_| mpsc::unbounded_channel());
    let sinks = channels.each_ref().map(|(sink, _)| sink.clone());
    let deliveries = channels.map(|(_, deliveries)| deliveries);
    let returns = worker.returns.subscribe();
    let (connected, consuming) = watch::channel(false);
    let drained = CancellationToken::new();
    let (stop, schedule) = (worker.stop.clone(), Schedule::reconnecting());
    let reports = Reports { broker: broker.clone(), schedule: schedule.clone(), stop: stop.clone() };
    // Until the end: heartbeats go on while the last work is finished.
    let beats = Beats { broker: broker.clone(), schedule: schedule.clone(), stop: hard.clone() };
    let snapshots = Snapshots { broker: broker.clone(), composer: worker.composer.clone() };
    let intake = Intake {
        broker,
        schedule,
        sinks: sinks.clone(),
        window: worker.window.clone(),
        returns,
        connected,
        stop,
        drained: drained.clone(),
    };
    let steps = worker.start(Channels { deliveries, notes, reports, beats, snapshots }, migrate);
    let health = http::Health { worker: worker.clone(), consuming, ping: Arc::default() };
    let http = tokio::spawn(http::serve(listener, health, hard.clone()));
    Running { worker, steps, intake: tokio::spawn(intake.run()), http, drained, hard, _sinks: sinks }
}

/// Returns when asked to stop, or when something ended that never should.
async fn supervise(running: &mut Running, stop: &CancellationToken) -> Result<(), AppError> {
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        ended = &mut running.intake => match ended {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(AppError::Step("consume")),
        },
        _ = &mut running.http => Err(AppError::Step("http")),
        ended = &mut running.steps.enter => match ended {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(AppError::Step("enter")),
        },
        _ = &mut running.steps.intake => Err(AppError::Step("intake")),
        _ = &mut running.steps.accept => Err(AppError::Step("accept")),
        _ = &mut running.steps.refuse => Err(AppError::Step("refuse")),
        _ = &mut running.steps.record => Err(AppError::Step("record")),
        _ = &mut running.steps.claim => Err(AppError::Step("claim")),
        _ = &mut running.steps.reports => Err(AppError::Step("reports")),
        _ = &mut running.steps.beats => Err(AppError::Step("beats")),
        _ = &mut running.steps.fold => Err(AppError::Step("fold")),
        _ = &mut running.steps.upkeep => Err(AppError::Step("upkeep")),
        _ = &mut running.steps.steer => Err(AppError::Step("steer")),
    };
    // A stop that was asked for ends the steps too: it is no failure of theirs.
    if stop.is_cancelled() { Ok(()) } else { ended }
}

/// Stops taking, finishes what is in flight, hands the rest back, leaves.
async fn finish(running: Running, grace: Duration) {
    let Running { worker, steps, intake, http: _, drained, hard, _sinks } = running;
    worker.stop.cancel();
    tracing::info!(grace_s = grace.as_secs(), "stopping: finishing what is in flight");
    let flushed = async {
        for step in [steps.intake, steps.accept, steps.refuse, steps.claim, steps.reports, steps.fold] {
            ended(step).await;
        }
        // Only now: to the recorder, a closed tracker with no task in it is the end of all work.
        worker.tasks.close();
        worker.tasks.wait().await;
        ended(steps.record).await;
    };
    let in_time = tokio::time::timeout(grace, flushed).await.is_ok();
    drained.cancel();
    drop(tokio::time::timeout(LAST_WRITES, ended(intake)).await);
    steps.beats.abort();
    worker.say_goodbye().await;
    hard.cancel();
    steps.upkeep.abort();
    steps.steer.abort();
    let left = async {
        match worker.number.get() {
            Some(number) => worker.store.end(*number).await,
            None => Ok(()),
        }
    };
    let left = tokio::time::timeout(LAST_WRITES, left).await;
    worker.store.close().await;
    worker.database_up.store(false, Ordering::Relaxed);
    match (in_time, left) {
        (true, Ok(Ok(()))) => tracing::info!("stopped; nothing was left in flight"),
        _ => tracing::warn!(
            in_time,
            "stopped before everything in flight was finished; other workers take it over"
        ),
    }
}

/// Waits for a step. The one whose end `supervise` saw must not be polled again: that would panic.
async fn ended<T>(step: JoinHandle<T>) {
    if !step.is_finished() {
        drop(step.await);
    }
}
