//! Every setting but those of providers: its sentence, unit, default and range, once (docs/contract.md,
//! section 9).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use revocation_evidence::SigningKey;

use super::authorization::AuthorizationConfig;
use super::keycloak_events::KeycloakEvents;
use super::providers::{ProviderConfig, providers, retry_after_max};
use super::quantity::{DAY, MILLISECOND, MINUTE, SECOND, YEAR, within};
use super::receive::ReceiveConfig;
use super::rule::{flag, optional, optional_section, or, required_secret, secret, section, trusted_file};
use super::section::Section;
use super::setting::{Row, Settings, choices, defaults, settings};
use super::telemetry::TelemetryConfig;
use super::{People, Secret, checks, people};
use crate::report::Owners;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

settings! {
    /// The whole configuration, valid.
    pub struct Config {
        /// Provider of events that name none, and whose targets' `iss` leads to none.
        pub default_provider: Option<Arc<str>> = checks::default_provider(),
        /// Name of this worker in audit rows and messages: 1 to 128 of the characters A-Z a-z 0-9 - . _ ~.
        pub instance: String = optional().default("host name and process id").then(checks::instance),
        /// How long `run` finishes what is in flight after SIGTERM.
        pub shutdown_grace: Duration = within(10 * SECOND, Duration::ZERO..=10 * MINUTE),
        /// How long a worker's work stays its own without a sign of life; then others take it over.
        pub lease: Duration = within(30 * SECOND, 2 * SECOND..=10 * MINUTE),
        /// The broker.
        pub amqp: AmqpConfig = section().rows_of(amqp_rows),
        /// The database.
        pub database: DatabaseConfig = section(),
        /// The keys that tokens are stored sealed with.
        pub sealing_keys as "sealing": Vec<Secret> = section::<Sealing>().then(some_keys),
        /// What signs the archives of incidents.
        pub evidence: EvidenceConfig = section(),
        /// When an attempt that failed is made again.
        pub retry: RetryConfig = section(),
        /// The messages to verifiers.
        pub invalidation: InvalidationConfig = section(),
        /// Who may order what, and when a second person is needed.
        pub authorization: AuthorizationConfig = section(),
        /// Whose word counts on verifiers.
        pub verifier_owners as "verifiers": Owners =
            section::<Verifiers>().then(|verifiers, _, _| verifiers.owners),
        /// Which broker users and database roles are whose, so that two persons are two; `migrate` tells the
        /// database. Without any such section it keeps what it was told last: at first nobody, and then
        /// nobody can approve an incident.
        pub people: Option<People> = people::people(),
        /// Events of Keycloak's RabbitMQ listener (aznamier/keycloak-event-listener-rabbitmq).
        pub keycloak_realms as "keycloak_events": BTreeMap<String, Arc<str>> =
            section::<KeycloakEvents>().then(|events, _, _| events.realms),
        /// How large an event may be.
        pub limits: LimitsConfig = section(),
        /// Health and metrics.
        pub http_listen as "http": SocketAddr = section::<Http>().then(|http, _, _| http.listen),
        /// The logs.
        pub log: LogConfig = section(),
        /// The spans of traces.
        pub telemetry: TelemetryConfig = section(),
        /// What `receive` takes by HTTP, and from whom.
        pub receive: Option<ReceiveConfig> = optional_section(),
        /// The identity providers. A name has 1 to 64 of the characters A-Z a-z 0-9 - _.
        pub providers: BTreeMap<Arc<str>, ProviderConfig> = providers(),
        /// What is no fault and should be mended all the same, each a sentence: secrets that stand open to
        /// others on this machine.
        pub remarks: Vec<String> = checks::remarks(),
    }
    check operators_are_people
}

settings! {
    /// `[amqp]`
    pub struct AmqpConfig {
        /// Address of the broker: `amqp://` or `amqps://`.
        pub url: Secret = required_secret(checks::AMQP_REMEDY).then(checks::address(["amqp", "amqps"])),
        /// PEM roots trusted in addition to the system's.
        pub ca_file: Option<PathBuf> = trusted_file(),
        /// Most deliveries that are asked for at a time.
        pub prefetch: u16 = within(300, 1..=2000),
        /// What unacknowledged deliveries may take in memory, in bytes.
        pub bytes_in_hand: usize = within(64 * MIB, 64 * KIB..=16 * KIB * MIB),
        /// Whether to declare the topology, or only to check that it is there.
        pub declare: bool = flag(true),
    }
}

settings! {
    /// `[database]`
    pub struct DatabaseConfig {
        /// Address of the database: `postgres://` or `postgresql://`.
        pub url: Secret = required_secret(checks::DATABASE_REMEDY)
            .then(checks::address(["postgres", "postgresql"])),
        /// Most connections of the pool.
        pub max_connections: u32 = within(8, 4..=1000),
    }
}

settings! {
    /// `[sealing]`
    pub(super) struct Sealing {
        /// `<id>:<base64 of 32 bytes>` each, as `keygen` prints them; the first seals, all open.
        pub(super) keys: Vec<Secret> = checks::sealing_keys().default("no default"),
    }
}

settings! {
    /// `[evidence]`
    pub struct EvidenceConfig {
        /// `<id>:<base64 of 32 bytes>`, as `keygen --signing` prints it: the Ed25519 seed that signs what
        /// `incident export` writes, and whose archives `incident verify` knows. Without it, one that is
        /// derived from the first of `sealing.keys` signs, and those of all are known.
        pub signing_key: Option<SigningKey> = secret().then(checks::signing_key),
        /// How often a worker makes a checkpoint of the audit record, which `audit verify` compares with it.
        /// Each covers what is older than 10 s. The key above signs it, else the derived one.
        pub checkpoint_every: Duration = within(20 * SECOND, SECOND..=10 * MINUTE),
    }
}

settings! {
    /// `[retry]`
    #[derive(Clone, Debug)]
    pub struct RetryConfig {
        /// Ceiling of the first delay.
        pub initial: Duration = within(500 * MILLISECOND, MILLISECOND..=7 * DAY),
        /// Ceiling of every delay.
        pub max: Duration = within(10 * MINUTE, MILLISECOND..=7 * DAY),
        /// Budget of a target whose lifetime is unknown.
        pub give_up_after: Duration = within(DAY, SECOND..=YEAR),
        /// How often parked targets are tried again.
        pub resweep_every: Duration = within(DAY, SECOND..=YEAR),
        /// Longest that a provider's `Retry-After` is waited; what it asks beyond that is not. A provider may
        /// have its own.
        pub retry_after_max: Duration = retry_after_max(),
    }
    check initial_is_no_longer_than_max
}

settings! {
    /// `[invalidation]`
    #[derive(Clone, Debug)]
    pub struct InvalidationConfig {
        /// Retention of the stream: at least the longest token lifetime.
        pub stream_max_age: Duration = within(30 * DAY, MINUTE..=10 * YEAR),
        /// Disk guard of the stream, in bytes.
        pub stream_max_length_bytes: u64 = within(5_000_000_000, 1_000_000..=1_000_000_000_000_000),
        /// Period of the heartbeats. A verifier calls itself stale after 3 s of silence, hence the upper end.
        pub heartbeat: Duration = within(SECOND, 100 * MILLISECOND..=2 * SECOND),
        /// Whether heartbeats are kept in the log, too, for verifiers of releases that look for them there.
        pub heartbeats_in_log: bool = flag(false),
    }
}

settings! {
    /// `[verifiers]`
    struct Verifiers {
        /// Services, and the broker users whose reports count for each service's verifiers:
        /// `{ "shop-api" = ["shop"] }`.
        owners: Owners = optional().default("whoever reported first").then(checks::owners),
    }
}

settings! {
    /// `[limits]`
    pub struct LimitsConfig {
        /// Largest message, in bytes; RabbitMQ 4 takes 16 MiB. Also accepted as `amqp.max_message_bytes`.
        pub max_message_bytes: usize = within(MIB, KIB..=16 * MIB).also_in("amqp"),
        /// Most targets of an event.
        pub max_targets: usize = within(1000, 1..=1000),
        /// Longest token, in bytes.
        pub max_token_bytes: usize = within(16 * KIB, 64..=MIB),
    }
}

settings! {
    /// `[http]`
    struct Http {
        /// Address and port of the page, `/healthz`, `/readyz` and `/metrics`.
        listen: SocketAddr = checks::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 9300))),
    }
}

settings! {
    /// `[log]`
    pub struct LogConfig {
        /// How a line is written. `human` is for terminals.
        pub json as "format": bool =
            optional().default("`human` on a terminal, else `json`").then(is_json),
        /// A tracing filter, such as `info,revocation_worker=debug`.
        pub filter as "level": String = or("info".to_owned(), "`info`").then(checks::filter),
    }
}

choices! {
    /// `log.format`
    pub(super) enum LogFormat {
        /// A JSON object a line.
        Json = "json",
        /// For people.
        Human = "human",
    }
}

/// `[amqp]` also takes what `[limits]` reads.
fn amqp_rows() -> Vec<Row> {
    let other = optional::<i64>().rows("max_message_bytes", "The same as `limits.max_message_bytes`.");
    AmqpConfig::rows().into_iter().chain(other).collect()
}

/// The sealing keys where there must be one.
fn some_keys(sealing: Sealing, _: &str, section: &mut Section<'_>) -> Vec<Secret> {
    if sealing.keys.is_empty() {
        let remedy = "run `revocation-worker keygen` and put its output into sealing.keys or SEALING_KEYS";
        section.missing("sealing.keys", remedy);
    }
    sealing.keys
}

fn initial_is_no_longer_than_max(retry: &RetryConfig, section: &mut Section<'_>) {
    if retry.initial > retry.max {
        let [initial, max] = [retry.initial, retry.max].map(humantime::format_duration);
        let why = format!("{initial} is longer than retry.max, {max}; lower the one or raise the other");
        section.refuse("initial", why);
    }
}

/// With `[people]`, an operator's word is who sent first what he puts back: where he is nobody, he could
/// order in another's name and approve it.
fn operators_are_people(config: &Config, section: &mut Section<'_>) {
    let Some(people) = &config.people else { return };
    for user in config.authorization.operators.iter().filter(|user| !people.have_broker_user(user)) {
        let why = format!("{user} is in nobody's people.<name>.broker_users: list whose broker user that is");
        section.refuse("authorization.operators", why);
    }
}

/// `log.format`
fn is_json(given: Option<LogFormat>, _: &str, section: &mut Section<'_>) -> bool {
    given.map_or(!section.environment().is_terminal(), |format| format == LogFormat::Json)
}

/// Tests and commands without a configuration go by what holds where nothing is given.
macro_rules! default_settings {
    ($($name:ident)+) => { $(
        impl Default for $name {
            fn default() -> Self {
                defaults()
            }
        }
    )+ };
}
default_settings!(RetryConfig InvalidationConfig LimitsConfig);
