//! Every setting, its unit, its default and its refusal (contract section 9).
//!
//! [`Config::load`] reads a TOML file, then the environment over it, and answers with a valid value or with
//! everything that is wrong.

mod authorization;
mod environment;
mod evidence;
mod findings;
mod kinds;
mod load;
mod people;
mod providers;
mod raw;
mod secret_file;
mod sections;
mod tree;

pub use environment::Environment;
pub use evidence::{ExportSettings, VerifySettings};
pub use findings::ConfigError;
pub use kinds::{
    BaanxConfig, BasicEncoding, BearerConfig, ClientAuth, ClientConfig, GenauthConfig,
    GenauthManagementConfig, GenauthProtocol, GlobalTokenRevocationConfig, GrantConfig, HydraConfig,
    KeycloakConfig, KindConfig, OktaConfig, Rfc7009Config, SubjectFormat, UserIdType,
};
pub use load::{BrokerSettings, DatabaseSettings, RetrySettings};
pub use people::{People, Person};
pub use providers::is_entra;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::approval::ApprovalRules;
use crate::authorization::{Authority, Rights};
use crate::evidence::SigningKey;
use crate::report::Owners;
use crate::target::Kind;

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// A secret setting. It cannot be printed.
#[derive(Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The whole configuration, valid.
pub struct Config {
    /// Provider of events that name none.
    pub default_provider: Option<Arc<str>>,
    /// Name of this worker in audit rows and messages: `instance`, else host name and process id.
    pub instance: String,
    /// How long `run` finishes what is in flight after SIGTERM. Default 10 s.
    pub shutdown_grace: Duration,
    /// `lease`: how long a worker's work stays its own without a sign of life; then others take it over. 2 s
    /// to 10 min. Default 30 s.
    pub lease: Duration,
    /// `[amqp]`
    pub amqp: AmqpConfig,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[sealing] keys`, as given: `<id>:<base64 of 32 bytes>`; the first seals, all open.
    pub sealing_keys: Vec<Secret>,
    /// `[evidence]`
    pub evidence: EvidenceConfig,
    /// `[retry]`
    pub retry: RetryConfig,
    /// `[invalidation]`
    pub invalidation: InvalidationConfig,
    /// `[authorization]`
    pub authorization: AuthorizationConfig,
    /// `[verifiers] owners`: services, and the broker users whose reports count for each service's verifiers.
    /// Default: whoever reported first.
    pub verifier_owners: Owners,
    /// `[people.<name>] broker_users` and `database_roles`: whose they are; `migrate` tells the database.
    /// Default: what it was told last, at first nobody, and then nobody can approve an incident.
    pub people: Option<People>,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[http] listen`. Default `127.0.0.1:9300`.
    pub http_listen: SocketAddr,
    /// `[log]`
    pub log: LogConfig,
    /// `[providers.<name>]`, by name.
    pub providers: BTreeMap<Arc<str>, ProviderConfig>,
    /// What is no fault and should be mended all the same, each a sentence: secrets that stand open to others
    /// on this machine.
    pub remarks: Vec<String>,
}

/// `[amqp]`
pub struct AmqpConfig {
    /// `url` or `AMQP_URL`: `amqp://` or `amqps://`. No default.
    pub url: Secret,
    /// `ca_file`: PEM roots trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// `prefetch`: most deliveries that are asked for at a time, 1 to 2000. Default 300.
    pub prefetch: u16,
    /// `bytes_in_hand`: what unacknowledged deliveries may take in memory, bytes, 64 KiB to 16 GiB. Default
    /// 64 MiB.
    pub bytes_in_hand: usize,
    /// `declare`: declare the topology (true) or only check that it is there. Default true.
    pub declare: bool,
}

/// `[database]`
pub struct DatabaseConfig {
    /// `url` or `DATABASE_URL`. No default.
    pub url: Secret,
    /// `max_connections` of the pool, at least 4. Default 8.
    pub max_connections: u32,
}

/// `[evidence]`
pub struct EvidenceConfig {
    /// `signing_key`, `signing_key_file` or `EVIDENCE_SIGNING_KEY`: `<id>:<base64 of 32 bytes>`, the Ed25519
    /// seed that signs what `incident export` writes, and whose archives `incident verify` knows. Default:
    /// derived from the first of `sealing.keys`; verified are then those of all.
    pub signing_key: Option<SigningKey>,
}

/// `[retry]`
#[derive(Clone, Debug)]
pub struct RetryConfig {
    /// `initial`: ceiling of the first delay. Default 500 ms.
    pub initial: Duration,
    /// `max`: ceiling of every delay. Default 10 min.
    pub max: Duration,
    /// `give_up_after`: budget of a target whose lifetime is unknown. Default 24 h.
    pub give_up_after: Duration,
    /// `resweep_every`: how often parked targets are tried again. Default 24 h.
    pub resweep_every: Duration,
    /// `retry_after_max`: longest that a provider's `Retry-After` is waited; what it asks beyond that is not.
    /// Default 24 h. A provider may have its own.
    pub retry_after_max: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(10 * MINUTE),
            give_up_after: Duration::from_secs(DAY),
            resweep_every: Duration::from_secs(DAY),
            retry_after_max: Duration::from_secs(DAY),
        }
    }
}

/// `[invalidation]`
#[derive(Clone, Debug)]
pub struct InvalidationConfig {
    /// `stream_max_age`: retention of the stream, at least the longest token lifetime. Default 30 days.
    pub stream_max_age: Duration,
    /// `stream_max_length_bytes`: disk guard of the stream. Default 5 GB.
    pub stream_max_length_bytes: u64,
    /// `heartbeat` period. Default 1 s.
    pub heartbeat: Duration,
    /// `heartbeats_in_log`: keep heartbeats in the log, too, for verifiers of releases that look for them
    /// there. Default false.
    pub heartbeats_in_log: bool,
}

impl Default for InvalidationConfig {
    fn default() -> Self {
        Self {
            stream_max_age: Duration::from_secs(30 * DAY),
            stream_max_length_bytes: 5_000_000_000,
            heartbeat: Duration::from_secs(1),
            heartbeats_in_log: false,
        }
    }
}

/// `[authorization]`
pub struct AuthorizationConfig {
    /// `logout_users`: broker users that may publish `auth.logout.v1`. Default: any.
    pub logout_users: Option<Vec<String>>,
    /// `mass_revocation_users`: broker users that may publish `auth.mass_revocation.v1`. Default: none.
    pub mass_revocation_users: Vec<String>,
    /// `operators`: broker users of those who run `dead requeue`. What they put back has the rights of who
    /// sent it first; what others put back needs their own, too. Default: none.
    pub operators: Vec<String>,
    /// `users`: what each of these broker users may order, by name. Default: no limits.
    pub users: BTreeMap<String, Rights>,
    /// `anonymous`: what events without the property `user_id` may order. Default: what every one of `users`
    /// may.
    pub anonymous: Option<Rights>,
    /// `approval_required_for`: target kinds of which one is enough for a mass revocation to wait until a
    /// second person approves it: `token`, `session`, `subject`, `client`, `issuer`, or `none`. Default:
    /// `client` and `issuer`.
    pub approval_required_for: Vec<Kind>,
    /// `approval_above_targets`: an incident of more targets than this waits for approval, whatever their
    /// kinds; 0 to 1,000,000,000. Default 10000.
    pub approval_above_targets: i64,
}

impl AuthorizationConfig {
    /// The settings that say who may order what.
    pub fn authority(&self) -> Authority {
        Authority {
            logout_users: self.logout_users.clone(),
            mass_revocation_users: self.mass_revocation_users.clone(),
            operators: self.operators.clone(),
            users: self.users.clone(),
            anonymous: self.anonymous.clone(),
        }
    }

    /// The two settings that say when a second person has to approve.
    pub fn approval(&self) -> ApprovalRules {
        ApprovalRules {
            kinds: self.approval_required_for.clone(),
            above_targets: self.approval_above_targets,
        }
    }
}

/// `[limits]`
pub struct LimitsConfig {
    /// `max_message_bytes`. Default 1 MiB. (Also accepted as `amqp.max_message_bytes`.)
    pub max_message_bytes: usize,
    /// `max_targets` an event. Default and most: 1000.
    pub max_targets: usize,
    /// `max_token_bytes`. Default 16 KiB.
    pub max_token_bytes: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { max_message_bytes: 1024 * 1024, max_targets: 1000, max_token_bytes: 16 * 1024 }
    }
}

/// `[log]`
pub struct LogConfig {
    /// `format`: `json` or `human`. Default `human` on a terminal, else `json`.
    pub json: bool,
    /// `level` or `RUST_LOG`: a tracing filter. Default `info`.
    pub filter: String,
}

/// `[providers.<name>]`: what every kind has.
pub struct ProviderConfig {
    /// `issuer`: matches targets that name no provider; discovery for `rfc7009` and
    /// `global_token_revocation`.
    pub issuer: Option<String>,
    /// `subject_claims` and `client_claims`.
    pub claims: ClaimNames,
    /// `token_ttl`: how long a denial lasts where the token's end is unknown or lies beyond reason. Default
    /// 30 days.
    pub token_ttl: Duration,
    /// `connect_timeout`. Default 3 s.
    pub connect_timeout: Duration,
    /// `timeout` of one call, body included. Default 10 s.
    pub timeout: Duration,
    /// `concurrency`: most calls at once from one worker, 1 to 1024. Default 32.
    pub concurrency: usize,
    /// `rate_per_s`: most calls a second from the whole fleet, 1 to 100000. Default: no limit.
    pub rate_per_s: Option<u32>,
    /// `retry_after_max`: longest that its `Retry-After` is waited. Default: that of `[retry]`.
    pub retry_after_max: Duration,
    /// `allow_http`: plain http to hosts other than loopback. Default false.
    pub allow_http: bool,
    /// `ca_file`: PEM roots trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Where endpoints that metadata names may lie.
    pub discovery: DiscoveryConfig,
    /// `verify = "introspect"`: ask the introspection endpoint before each revocation of a token and after
    /// each accepted one. Default `off`.
    pub verify: Verify,
    /// `kind` and its own settings.
    pub kind: KindConfig,
}

/// What a provider's tokens call user and client, beside `sub`, and `client_id` and `azp`: up to 8 names
/// each, none a standard claim's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimNames {
    /// `subject_claims`. Default: `uid` for kind `okta` or where `issuer` is Okta's, `oid` where `issuer` is
    /// Entra's, else none.
    pub subject: Vec<String>,
    /// `client_claims`. Default: `cid` for kind `okta` or where `issuer` is Okta's, `appid` where `issuer` is
    /// Entra's, else none.
    pub client: Vec<String>,
    /// In whose tokens they count where a target names no issuer: `issuer`, else what follows from `base_url`
    /// and `authorization_server_id` of kind `okta`.
    pub issuer: Option<String>,
    /// The other issuer of the same tokens: each tenant of Entra has one for version 1 tokens and one for
    /// version 2, and an application may get either.
    pub twin: Option<String>,
}

/// Where endpoints that an issuer's metadata names may lie.
#[derive(Clone, Debug, Default)]
pub struct DiscoveryConfig {
    /// `discovery_origins`: origins beside the issuer's own. Default: none; for Google's issuer,
    /// `https://oauth2.googleapis.com`.
    pub origins: Vec<String>,
    /// `allow_private_addresses`: whether hosts that only `discovery_origins` names may lead to loopback,
    /// private and link-local addresses. Default false.
    pub allow_private_addresses: bool,
}

/// `verify`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// The provider's yes is enough.
    Off,
    /// RFC 7662 introspection must not answer `active:true` afterwards; whether it answered so before decides
    /// how far the end is proven.
    Introspect,
}
