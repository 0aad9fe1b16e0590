//! `check`: is everything there that the worker needs, and are its credentials accepted? It changes nothing.

use std::path::Path;

use futures::future::join_all;
use serde::Serialize;
use serde_json::json;

use super::CommandError;
use super::output::{count, printable, say, say_json};
use crate::broker::{Broker, Found, VERIFIERS_QUEUE, Window};
use crate::config::{Config, ConfigError, DatabaseConfig, Environment, ProviderConfig};
use crate::provider::{Provider, remarks};
use crate::seal::Keyring;
use crate::store::Store;

/// Options of `check`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// What was found of one thing, in a sentence.
#[derive(Serialize)]
struct Finding {
    what: String,
    ok: bool,
    says: String,
    /// What to know of it besides; no fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// A setting is at fault, not what it leads to.
    #[serde(skip)]
    is_setting: bool,
}

/// Why something is not as it should be.
enum Problem {
    Setting(String),
    Other(String),
}

impl Problem {
    fn other(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}

impl Finding {
    fn new(what: impl Into<String>, found: Result<String, Problem>) -> Self {
        let (ok, is_setting, says) = match found {
            Ok(says) => (true, false, says),
            Err(Problem::Setting(says)) => (false, true, says),
            Err(Problem::Other(says)) => (false, false, says),
        };
        Self { what: what.into(), ok, says, notes: Vec::new(), is_setting }
    }
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let findings = match Config::load(path, &Environment::of_process()) {
        Ok(config) => look(&config).await,
        Err(error) => refused(&error),
    };
    let is_ok = findings.iter().all(|finding| finding.ok);
    if args.json {
        say_json(&json!({ "ok": is_ok, "checks": findings }));
    } else {
        findings.iter().for_each(show);
    }
    conclude(&findings)
}

fn show(finding: &Finding) {
    let verdict = if finding.ok { "ok     " } else { "PROBLEM" };
    say(format_args!("{verdict}  {}: {}", finding.what, printable(&finding.says)));
    for note in &finding.notes {
        say(format_args!("note     {}: {}", finding.what, printable(note)));
    }
}

fn conclude(findings: &[Finding]) -> Result<(), CommandError> {
    let problems: Vec<&Finding> = findings.iter().filter(|finding| !finding.ok).collect();
    let summary = format!("{} found", count(problems.len(), "problem"));
    match problems.iter().find(|finding| finding.is_setting) {
        Some(setting) => Err(CommandError::Usage(format!("{summary}; first {}", setting.says))),
        None if problems.is_empty() => Ok(()),
        None => Err(CommandError::Failed(summary)),
    }
}

fn refused(error: &ConfigError) -> Vec<Finding> {
    error.problems().iter().map(|problem| Finding::new("configuration", Err(Problem::Setting(problem.clone())))).collect()
}

/// Everything at once: one thing that hangs costs its own deadline, not the sum.
async fn look(config: &Config) -> Vec<Finding> {
    let providers = join_all(config.providers.iter().map(|(name, config)| async move {
        let found = provider(name.clone(), config).await;
        Finding { notes: remarks(config), ..Finding::new(format!("provider {name}"), found) }
    }));
    let (broker, database, providers) = tokio::join!(broker(config), database(&config.database), providers);
    let near = [("configuration", configuration(config)), ("sealing keys", sealing(config))];
    let near = near.map(|(what, found)| Finding::new(what, found));
    let mut findings: Vec<_> = near.into_iter().chain([broker, Finding::new("database", database)]).chain(providers).collect();
    findings[0].notes = rights(config);
    findings.iter_mut().filter(|finding| finding.what == "broker").for_each(|finding| finding.notes.extend(sizes(config)));
    findings
}

/// Whether the window has room for what the limits allow.
fn sizes(config: &Config) -> Vec<String> {
    let (most, budget) = (config.limits.max_message_bytes, config.amqp.bytes_in_hand);
    let is_short = !Window::new(budget, 1).fits(most);
    let short = is_short.then(|| {
        format!("amqp.bytes_in_hand ({budget}) has no room for a message of limits.max_message_bytes ({most}) in each queue: such are taken one at a time")
    });
    Vec::from_iter(short)
}

fn configuration(config: &Config) -> Result<String, Problem> {
    let users = &config.authorization.mass_revocation_users;
    let mass = match users.len() {
        0 => "; no broker user may order mass revocations (authorization.mass_revocation_users)".to_owned(),
        _ => format!("; mass revocations may come from {}", users.join(", ")),
    };
    Ok(format!("valid, with {}{mass}", count(config.providers.len(), "provider")))
}

fn rights(config: &Config) -> Vec<String> {
    let providers: Vec<&str> = config.providers.keys().map(|name| &**name).collect();
    config.authorization.authority().remarks(&providers)
}

fn sealing(config: &Config) -> Result<String, Problem> {
    let keys = count(config.sealing_keys.len(), "key");
    Keyring::parse(&config.sealing_keys).map(|_| format!("{keys}; the first seals, all open")).map_err(|e| Problem::Setting(e.to_string()))
}

async fn broker(config: &Config) -> Finding {
    let probed = async {
        let broker = Broker::new(&config.amqp, &config.invalidation, &config.instance).map_err(Problem::Setting)?;
        broker.probe().await.map(|probed| (broker, probed)).map_err(Problem::other)
    };
    match probed.await {
        Ok((broker, probed)) => {
            let notes = without_reports(&probed, config.amqp.declare).into_iter().collect();
            Finding { notes, ..Finding::new("broker", topology(&broker, probed, config.amqp.declare)) }
        }
        Err(problem) => Finding::new("broker", Err(problem)),
    }
}

fn without_reports(probed: &Found, declare: bool) -> Option<String> {
    let why = match &probed.reports {
        Ok(is_there) if *is_there || declare => return None,
        Ok(_) => format!("amqp.declare is false and {VERIFIERS_QUEUE} is not there"),
        Err(error) => error.to_string(),
    };
    Some(format!("verifiers' reports cannot be read: {why}; everything else goes on without them"))
}

fn topology(broker: &Broker, probed: Found, declare: bool) -> Result<String, Problem> {
    let mut missing = probed.missing;
    missing.extend(matches!(probed.reports, Ok(false)).then_some(VERIFIERS_QUEUE).filter(|_| declare));
    let address = broker.address();
    let clear =
        if broker.is_in_the_clear() { "; tokens travel there in the clear: use amqps:// unless the network is trusted" } else { "" };
    // AMQP does not tell the broker's limit, which cannot be tried without a message of that size.
    let sizes = format!(
        "; a message longer than limits.max_message_bytes is refused, but held in memory before: have max_message_size = {} in rabbitmq.conf \
         (by default it is 128 MiB before RabbitMQ 4.0, then 16 MiB)",
        config.limits.max_message_bytes
    );
    match (missing.join(", "), declare) {
        (none, _) if none.is_empty() => Ok(format!("reached {address}; its exchanges and queues are as needed{clear}{sizes}")),
        (missing, true) => Ok(format!("reached {address}; `run` will declare what is not there yet: {missing}{clear}{sizes}")),
        (missing, false) => {
            Err(Problem::Other(format!("reached {address}, but amqp.declare is false and not there are: {missing}; have them declared")))
        }
    }
}

async fn database(config: &DatabaseConfig) -> Result<String, Problem> {
    let store = Store::new(config).map_err(|e| Problem::Setting(e.to_string()))?;
    store.ping().await.map_err(Problem::other)?;
    let version = store.check_schema().await.map_err(Problem::other)?;
    store.close().await;
    let clear = if store.is_verified() {
        ""
    } else {
        "; its certificate is not checked: add sslmode=verify-full to database.url where it is remote"
    };
    Ok(format!("reached; its schema is at version {version}{clear}"))
}

async fn provider(name: std::sync::Arc<str>, config: &ProviderConfig) -> Result<String, Problem> {
    let provider = Provider::new(name, config).map_err(|e| Problem::Setting(e.to_string()))?;
    provider.probe().await.map_err(Problem::Other)
}
