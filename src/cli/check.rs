//! `check`: is everything there that the worker needs, and are its credentials accepted? It changes nothing.

mod database;
mod expected;
mod senders;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use futures::future::join_all;
use serde::Serialize;
use serde_json::json;

use self::database::database;
use self::expected::Expected;
use super::CommandError;
use super::output::{count, printable, say, say_json};
use crate::attention::RESTART;
use crate::broker::{Broker, Examined, Window};
use crate::config::{Config, ConfigError, Environment, ProviderConfig};
use crate::provider::{Provider, remarks};
use crate::seal::Keyring;
use crate::telemetry::try_receiver;

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
    let (findings, expected) = match Config::load(path, &Environment::of_process()) {
        Ok(config) => examine_all(&config).await,
        Err(error) => (refused(&error), None),
    };
    let is_ok = findings.iter().all(|finding| finding.ok);
    if args.json {
        let mut report = json!({ "ok": is_ok, "checks": findings });
        if let Some(expected) = expected {
            report["verifiers"] = json!(expected);
        }
        say_json(&report);
    } else {
        findings.iter().for_each(show);
        if let Some(expected) = expected {
            say(format_args!("note     verifiers: {}", expected.sentence()));
        }
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
        None => Err(CommandError::advised(summary, "mend what is marked PROBLEM, then check again")),
    }
}

fn refused(error: &ConfigError) -> Vec<Finding> {
    error
        .problems()
        .iter()
        .map(|problem| Finding::new("configuration", Err(Problem::Setting(problem.clone()))))
        .collect()
}

/// Everything at once: one thing that hangs costs its own deadline, not the sum.
async fn examine_all(config: &Config) -> (Vec<Finding>, Option<Expected>) {
    let providers = join_all(config.providers.iter().map(|(name, config)| async move {
        let found = provider(name.clone(), config).await;
        Finding { notes: remarks(config), ..Finding::new(of_provider(name), found) }
    }));
    let senders = senders::examine(config.receive.as_ref());
    let (mut configuration, mut broker, (database, on_record), mut providers, senders, traces) = tokio::join!(
        configuration(config),
        broker(config),
        database(config),
        providers,
        senders,
        traces(config)
    );
    configuration.notes.extend(rights(config));
    broker.notes.extend(sizes(config));
    for name in &on_record.misconfigured {
        let what = of_provider(name);
        let accepted = providers.iter_mut().filter(|finding| finding.ok && finding.what == what);
        accepted.for_each(|finding| finding.notes.push(format!("left alone by a running worker; {RESTART}")));
    }
    let sealing = Finding::new("sealing keys", sealing(config));
    let near = [configuration, sealing, broker, database];
    (near.into_iter().chain(providers).chain(senders).chain(traces).collect(), on_record.expected)
}

fn of_provider(name: &str) -> String {
    format!("provider {name}")
}

/// Whether the window has room for what the limits allow.
fn sizes(config: &Config) -> Vec<String> {
    let (most, budget) = (config.limits.max_message_bytes, config.amqp.bytes_in_hand);
    let is_short = !Window::new(budget, 1).fits(most);
    let short = is_short.then(|| {
        format!(
            "amqp.bytes_in_hand ({budget}) has no room for a message of limits.max_message_bytes \
            ({most}) in each queue: such are taken one at a time"
        )
    });
    Vec::from_iter(short)
}

async fn configuration(config: &Config) -> Finding {
    let found = match port(config.http_listen).await {
        Ok(()) => Ok(settings(config)),
        Err(problem) => Err(Problem::Other(problem)),
    };
    Finding { notes: config.remarks.clone(), ..Finding::new("configuration", found) }
}

/// Whether `run` would get its address. A worker that runs there already is no fault.
async fn port(listen: SocketAddr) -> Result<(), String> {
    match crate::http::could_bind(listen) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse && crate::http::is_worker(listen).await => Ok(()),
        Err(error) => {
            Err(format!("http.listen: {listen}: {error}; choose another address, or end what uses it"))
        }
    }
}

fn settings(config: &Config) -> String {
    let users = &config.authorization.mass_revocation_users;
    let mass = match users.len() {
        0 => "; no broker user may order mass revocations (authorization.mass_revocation_users)".to_owned(),
        _ => format!("; mass revocations may come from {}", users.join(", ")),
    };
    format!("valid, with {}{mass}", count(config.providers.len(), "provider"))
}

fn rights(config: &Config) -> Vec<String> {
    let providers: Vec<&str> = config.providers.keys().map(|name| &**name).collect();
    config.authorization.authority().remarks(&providers)
}

fn sealing(config: &Config) -> Result<String, Problem> {
    let keys = count(config.sealing_keys.len(), "key");
    Keyring::parse(&config.sealing_keys)
        .map(|_| format!("{keys}; the first seals, all open"))
        .map_err(|e| Problem::Setting(e.to_string()))
}

async fn broker(config: &Config) -> Finding {
    let broker = match Broker::new(&config.amqp, &config.invalidation, &config.instance) {
        Ok(broker) => broker,
        Err(error) => return Finding::new("broker", Err(Problem::Setting(error))),
    };
    let providers: Vec<&str> = config.providers.keys().map(|name| &**name).collect();
    match broker.examine(&providers).await {
        Ok(mut examined) => {
            let notes = std::mem::take(&mut examined.notes);
            Finding { notes, ..Finding::new("broker", judge(config, &broker, examined)) }
        }
        Err(error) => Finding::new("broker", Err(Problem::other(error))),
    }
}

fn judge(config: &Config, broker: &Broker, examined: Examined) -> Result<String, Problem> {
    let (address, missing, mut problems) = (broker.address(), examined.missing.join(", "), examined.problems);
    if !missing.is_empty() && !config.amqp.declare {
        problems.push(format!("amqp.declare is false and not there are: {missing}; have them declared"));
    }
    if !problems.is_empty() {
        return Err(Problem::Other(format!("reached {address}, but {}", problems.join("; and "))));
    }
    let clear = if broker.is_in_the_clear() {
        "; tokens travel there in the clear: use amqps:// unless the network is trusted"
    } else {
        ""
    };
    // AMQP does not tell the broker's limit, which cannot be tried without a message of that size.
    let sizes = format!(
        "; a message longer than limits.max_message_bytes is refused, but held in memory before: have \
            max_message_size = {} in rabbitmq.conf \
         (by default it is 128 MiB before RabbitMQ 4.0, then 16 MiB)",
        config.limits.max_message_bytes
    );
    match missing.is_empty() {
        true => Ok(format!("reached {address}; its exchanges and queues are as needed{clear}{sizes}")),
        false => Ok(format!(
            "reached {address}; `run` will declare what is not there yet: {missing}{clear}{sizes}"
        )),
    }
}

/// Whether spans of traces are taken, where they are sent.
async fn traces(config: &Config) -> Option<Finding> {
    let taken = try_receiver(&config.telemetry, &config.instance).await?;
    Some(Finding::new("traces", taken.map_err(Problem::Other)))
}

async fn provider(name: std::sync::Arc<str>, config: &ProviderConfig) -> Result<String, Problem> {
    let provider = Provider::new(name, config).map_err(|e| Problem::Setting(e.to_string()))?;
    provider.probe().await.map_err(Problem::Other)
}
