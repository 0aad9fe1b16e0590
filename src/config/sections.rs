//! The rules of every section but the providers: ranges, addresses, defaults.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use url::Url;

use super::environment::Environment;
use super::findings::Findings;
use super::raw::{
    Number, RawAmqp, RawDatabase, RawHttp, RawInvalidation, RawLimits, RawLog, RawLogFormat, RawRetry,
    RawSealing, RawVerifiers, Span, Words, split_list,
};
use super::{
    AmqpConfig, DAY, DatabaseConfig, InvalidationConfig, LimitsConfig, LogConfig, MINUTE, RetryConfig, Secret,
};
use crate::report::Owners;
use crate::seal::{Keyring, SealError};

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * DAY);

const AMQP_REMEDY: &str = "set amqp.url or AMQP_URL to the broker's address, such as \
    amqps://user:password@broker.example.com:5671/vhost";
const DATABASE_REMEDY: &str = "set database.url or DATABASE_URL to the database's address, such as \
    postgres://user:password@db.example.com/revocation";

/// `[amqp]`, without `max_message_bytes`, which [`limits`] takes.
pub(super) fn amqp(raw: RawAmqp, findings: &mut Findings) -> AmqpConfig {
    let url = findings.required_secret("amqp.url", raw.url, raw.url_file, AMQP_REMEDY);
    check_scheme("amqp.url", &url, ["amqp", "amqps"], findings);
    let prefetch = findings.number("amqp.prefetch", raw.prefetch, 300, 1..=2000);
    let bytes_in_hand =
        findings.number("amqp.bytes_in_hand", raw.bytes_in_hand, 64 << 20, 64 << 10..=16 << 30);
    AmqpConfig {
        url,
        ca_file: raw.ca_file,
        prefetch,
        bytes_in_hand,
        declare: raw.declare.is_none_or(|flag| flag.0),
    }
}

/// `[database]`
pub(super) fn database(raw: RawDatabase, findings: &mut Findings) -> DatabaseConfig {
    let url = findings.required_secret("database.url", raw.url, raw.url_file, DATABASE_REMEDY);
    check_scheme("database.url", &url, ["postgres", "postgresql"], findings);
    DatabaseConfig {
        url,
        max_connections: findings.number("database.max_connections", raw.max_connections, 8, 4..=1000),
    }
}

fn check_scheme(setting: &str, address: &Secret, schemes: [&str; 2], findings: &mut Findings) {
    let is_valid = Url::parse(address.expose())
        .is_ok_and(|url| schemes.contains(&url.scheme()) && !url.cannot_be_a_base());
    if !is_valid {
        let [one, other] = schemes;
        let form = format_args!(
            "must start with {one}:// or {other}://, with special characters in its password percent-encoded"
        );
        findings.unless_refused(setting, format_args!("not a valid address: it {form}"));
    }
}

/// `[sealing]`: the keys as given, each of them valid, at least one.
pub(super) fn sealing(raw: RawSealing, findings: &mut Findings) -> Vec<Secret> {
    let keys = sealing_if_set(raw, findings);
    if keys.is_empty() {
        findings.missing(
            "sealing.keys",
            "run `revocation-worker keygen` and put its output into sealing.keys or SEALING_KEYS",
        );
    }
    keys
}

/// The same for commands that can do without.
pub(super) fn sealing_if_set(raw: RawSealing, findings: &mut Findings) -> Vec<Secret> {
    let keys: Vec<Secret> = match (raw.keys, raw.keys_file) {
        (Some(Words(keys)), None) => {
            findings.note_inline("sealing.keys", "");
            keys.into_iter().map(Secret::new).collect()
        }
        (keys, file) => {
            // An empty stand-in: only that both are given matters here.
            let text = findings.secret("sealing.keys", keys.map(|_| Secret::new(String::new())), file);
            text.map(|text| split_list(text.expose()).into_iter().map(Secret::new).collect())
                .unwrap_or_default()
        }
    };
    match Keyring::parse(&keys) {
        Ok(_) | Err(SealError::NoKey) => {}
        Err(error) => findings.refuse("sealing.keys", error.to_string().trim_start_matches("sealing.keys: ")),
    }
    keys
}

/// `[retry]`
pub(super) fn retry(raw: RawRetry, findings: &mut Findings) -> RetryConfig {
    let default = RetryConfig::default();
    let (least, most) = (Duration::from_millis(1), Duration::from_secs(7 * DAY));
    let retry = RetryConfig {
        initial: findings.span("retry.initial", raw.initial, default.initial, least..=most),
        max: findings.span("retry.max", raw.max, default.max, least..=most),
        give_up_after: findings.span(
            "retry.give_up_after",
            raw.give_up_after,
            default.give_up_after,
            SECOND..=YEAR,
        ),
        resweep_every: findings.span(
            "retry.resweep_every",
            raw.resweep_every,
            default.resweep_every,
            SECOND..=YEAR,
        ),
        retry_after_max: findings.span(
            "retry.retry_after_max",
            raw.retry_after_max,
            default.retry_after_max,
            SECOND..=YEAR,
        ),
    };
    if retry.initial > retry.max {
        let [initial, max] = [retry.initial, retry.max].map(humantime::format_duration);
        findings.refuse(
            "retry.initial",
            format_args!("{initial} is longer than retry.max, {max}; lower the one or raise the other"),
        );
    }
    retry
}

/// `[invalidation]`
pub(super) fn invalidation(raw: RawInvalidation, findings: &mut Findings) -> InvalidationConfig {
    let default = InvalidationConfig::default();
    // A verifier calls itself stale after 3 s of silence (contract section 4), hence the upper end.
    let beat = Duration::from_millis(100)..=2 * SECOND;
    let ages = Duration::from_secs(MINUTE)..=10 * YEAR;
    let lengths = 1_000_000..=1_000_000_000_000_000;
    let length = raw.stream_max_length_bytes;
    InvalidationConfig {
        stream_max_age: findings.span(
            "invalidation.stream_max_age",
            raw.stream_max_age,
            default.stream_max_age,
            ages,
        ),
        stream_max_length_bytes: findings.number(
            "invalidation.stream_max_length_bytes",
            length,
            default.stream_max_length_bytes,
            lengths,
        ),
        heartbeat: findings.span("invalidation.heartbeat", raw.heartbeat, default.heartbeat, beat),
        heartbeats_in_log: raw.heartbeats_in_log.is_some_and(|flag| flag.0),
    }
}

/// `[verifiers] owners`
pub(super) fn verifier_owners(raw: RawVerifiers, findings: &mut Findings) -> Owners {
    let mut owners = BTreeMap::new();
    for (service, Words(users)) in raw.owners.map(|owners| owners.0).unwrap_or_default() {
        let setting = format!("verifiers.owners.{service}");
        if !(1..=200).contains(&service.len()) {
            findings.refuse(&setting, "a service's name has 1 to 200 bytes");
        }
        if users.is_empty() || users.iter().any(String::is_empty) {
            findings.refuse(
                &setting,
                "names no broker user; list the users that its verifiers connect as, or remove the service",
            );
        }
        owners.insert(service, users.into_iter().collect());
    }
    Owners::new(owners)
}

/// `[limits]` and `amqp.max_message_bytes`.
pub(super) fn limits(
    raw: RawLimits,
    amqp_max_message_bytes: Option<Number>,
    findings: &mut Findings,
) -> LimitsConfig {
    let default = LimitsConfig::default();
    let (setting, bytes) = match (raw.max_message_bytes, amqp_max_message_bytes) {
        (Some(_), Some(_)) => {
            findings.refuse(
                "limits.max_message_bytes",
                "given together with amqp.max_message_bytes, which means the same; keep one",
            );
            ("limits.max_message_bytes", None)
        }
        (None, Some(bytes)) => ("amqp.max_message_bytes", Some(bytes)),
        (bytes, None) => ("limits.max_message_bytes", bytes),
    };
    LimitsConfig {
        // RabbitMQ 4 takes messages of at most 16 MiB.
        max_message_bytes: findings.number(
            setting,
            bytes,
            default.max_message_bytes,
            1024..=16 * 1024 * 1024,
        ),
        max_targets: findings.number("limits.max_targets", raw.max_targets, default.max_targets, 1..=1000),
        max_token_bytes: findings.number(
            "limits.max_token_bytes",
            raw.max_token_bytes,
            default.max_token_bytes,
            64..=1024 * 1024,
        ),
    }
}

/// `[http]`
pub(super) fn http_listen(raw: RawHttp, findings: &mut Findings) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9300));
    let Some(listen) = raw.listen else { return default };
    listen.parse().unwrap_or_else(|_| {
        findings
            .refuse("http.listen", "must be an IP address and a port, such as 127.0.0.1:9300 or [::]:9300");
        default
    })
}

/// `[log]`
pub(super) fn log(raw: RawLog, environment: &Environment, findings: &mut Findings) -> LogConfig {
    let json = raw.format.map_or(!environment.is_terminal(), |format| format == RawLogFormat::Json);
    let filter = raw.level.unwrap_or_else(|| "info".to_owned());
    if EnvFilter::try_new(&filter).is_err() {
        findings
            .refuse("log.level", "must be a level or a filter, such as info or info,revocation_worker=debug");
    }
    LogConfig { json, filter }
}

/// `lease`
pub(super) fn lease(given: Option<Span>, findings: &mut Findings) -> Duration {
    findings.span("lease", given, 30 * SECOND, 2 * SECOND..=600 * SECOND)
}

/// `shutdown_grace`
pub(super) fn shutdown_grace(given: Option<Span>, findings: &mut Findings) -> Duration {
    findings.span("shutdown_grace", given, 10 * SECOND, Duration::ZERO..=600 * SECOND)
}

/// `instance`, else host name and process id. It becomes part of a URI reference (contract section 4).
pub(super) fn instance(given: Option<String>, environment: &Environment, findings: &mut Findings) -> String {
    let fits = |byte: char| byte.is_ascii_alphanumeric() || "-._~".contains(byte);
    let Some(name) = given else {
        let host: String =
            environment.host().chars().take(100).map(|byte| if fits(byte) { byte } else { '-' }).collect();
        return format!("{host}-{}", std::process::id());
    };
    if !(1..=128).contains(&name.len()) || !name.chars().all(fits) {
        findings.refuse("instance", "must have 1 to 128 of the characters A-Z a-z 0-9 - . _ ~");
    }
    name
}
