//! The settings as written, before any rule beyond their type. Environment values are strings, so every type
//! reads from a string too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Value;

use super::{BasicEncoding, ClientAuth, GenauthProtocol, Secret, SubjectFormat, UserIdType, Verify};

/// A whole number.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Number(pub(super) i64);

impl TryFrom<Value> for Number {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let number = match value {
            Value::Integer(number) => Some(number),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or("must be a whole number")
    }
}

/// A boolean.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Flag(pub(super) bool);

impl TryFrom<Value> for Flag {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let flag = match value {
            Value::Boolean(flag) => Some(flag),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        flag.map(Self).ok_or("must be true or false")
    }
}

/// A duration with its unit.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Span(pub(super) Duration);

impl TryFrom<Value> for Span {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let span = value.as_str().and_then(|text| humantime::parse_duration(text.trim()).ok());
        span.map(Self)
            .ok_or("must be a duration with its unit, such as \"500ms\", \"10m\", \"24h\" or \"7d\"")
    }
}

/// A list of words: an array of strings, or one string with commas between.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Words(pub(super) Vec<String>);

impl TryFrom<Value> for Words {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        const WANTED: &str = "must be a list of strings: [\"a\", \"b\"], or \"a,b\"";
        let array = match value {
            Value::String(text) if text.trim_start().starts_with('[') => {
                text.trim().parse().map_err(|_| WANTED)?
            }
            Value::String(text) => return Ok(Self(split_list(&text))),
            other => other,
        };
        array.try_into().map(Self).map_err(|_| WANTED)
    }
}

/// Lists by name: a table of [`Words`], or one string that holds it.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Lists(pub(super) BTreeMap<String, Words>);

impl TryFrom<Value> for Lists {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        const WANTED: &str = "must hold a list of strings by name: { \"a\" = [\"b\", \"c\"] }";
        let table = match value {
            Value::String(text) => text.trim().parse().map_err(|_| WANTED)?,
            other => other,
        };
        table.try_into().map(Self).map_err(|_| WANTED)
    }
}

/// The words of a list with commas or line breaks between.
pub(super) fn split_list(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

impl TryFrom<Value> for Secret {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Self::new(text)),
            _ => Err("must be a string in quotes"),
        }
    }
}

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct RawConfig {
    pub(super) default_provider: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) shutdown_grace: Option<Span>,
    pub(super) lease: Option<Span>,
    pub(super) amqp: RawAmqp,
    pub(super) database: RawDatabase,
    pub(super) sealing: RawSealing,
    pub(super) evidence: RawEvidence,
    pub(super) retry: RawRetry,
    pub(super) invalidation: RawInvalidation,
    pub(super) authorization: RawAuthorization,
    pub(super) verifiers: RawVerifiers,
    pub(super) people: Option<BTreeMap<String, RawPerson>>,
    pub(super) limits: RawLimits,
    pub(super) http: RawHttp,
    pub(super) log: RawLog,
    pub(super) providers: BTreeMap<String, RawProvider>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawAmqp {
    pub(super) url: Option<Secret>,
    pub(super) url_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) prefetch: Option<Number>,
    pub(super) bytes_in_hand: Option<Number>,
    pub(super) declare: Option<Flag>,
    pub(super) max_message_bytes: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawDatabase {
    pub(super) url: Option<Secret>,
    pub(super) url_file: Option<PathBuf>,
    pub(super) max_connections: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawSealing {
    pub(super) keys: Option<Words>,
    pub(super) keys_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawEvidence {
    pub(super) signing_key: Option<Secret>,
    pub(super) signing_key_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawRetry {
    pub(super) initial: Option<Span>,
    pub(super) max: Option<Span>,
    pub(super) give_up_after: Option<Span>,
    pub(super) resweep_every: Option<Span>,
    pub(super) retry_after_max: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawInvalidation {
    pub(super) stream_max_age: Option<Span>,
    pub(super) stream_max_length_bytes: Option<Number>,
    pub(super) heartbeat: Option<Span>,
    pub(super) heartbeats_in_log: Option<Flag>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawAuthorization {
    pub(super) logout_users: Option<Words>,
    pub(super) mass_revocation_users: Option<Words>,
    pub(super) approval_required_for: Option<Words>,
    pub(super) approval_above_targets: Option<Number>,
    pub(super) operators: Option<Words>,
    pub(super) users: BTreeMap<String, RawRights>,
    pub(super) anonymous: Option<RawRights>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawRights {
    pub(super) sources: Option<Words>,
    pub(super) kinds: Option<Words>,
    pub(super) providers: Option<Words>,
    pub(super) wide_targets_per_minute: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawVerifiers {
    pub(super) owners: Option<Lists>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a person's broker_users and database_roles")]
pub(super) struct RawPerson {
    pub(super) broker_users: Option<Words>,
    pub(super) database_roles: Option<Words>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawLimits {
    pub(super) max_message_bytes: Option<Number>,
    pub(super) max_targets: Option<Number>,
    pub(super) max_token_bytes: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawHttp {
    pub(super) listen: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawLog {
    pub(super) format: Option<RawLogFormat>,
    pub(super) level: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawLogFormat {
    Json,
    Human,
}

/// The settings of every kind of provider together.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a section")]
pub(super) struct RawProvider {
    pub(super) kind: Option<RawKind>,
    pub(super) issuer: Option<String>,
    pub(super) subject_claims: Option<Words>,
    pub(super) client_claims: Option<Words>,
    pub(super) token_ttl: Option<Span>,
    pub(super) connect_timeout: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) concurrency: Option<Number>,
    pub(super) rate_per_s: Option<Number>,
    pub(super) retry_after_max: Option<Span>,
    pub(super) allow_http: Option<Flag>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) discovery_origins: Option<Words>,
    pub(super) allow_private_addresses: Option<Flag>,
    pub(super) verify: Option<Verify>,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) introspection_endpoint: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) client_secret_file: Option<PathBuf>,
    pub(super) client_auth: Option<ClientAuth>,
    pub(super) basic_encoding: Option<BasicEncoding>,
    pub(super) app_host: Option<String>,
    pub(super) protocol: Option<GenauthProtocol>,
    pub(super) base_url: Option<String>,
    pub(super) client_key: Option<Secret>,
    pub(super) client_key_file: Option<PathBuf>,
    pub(super) us_env: Option<Flag>,
    pub(super) management_host: Option<String>,
    pub(super) access_key_id: Option<String>,
    pub(super) access_key_secret: Option<Secret>,
    pub(super) access_key_secret_file: Option<PathBuf>,
    pub(super) app_ids: Option<Words>,
    pub(super) user_id_type: Option<UserIdType>,
    pub(super) global_token_revocation_endpoint: Option<String>,
    pub(super) subject_format: Option<SubjectFormat>,
    pub(super) bearer_token: Option<Secret>,
    pub(super) bearer_token_file: Option<PathBuf>,
    pub(super) token_endpoint: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) realm: Option<String>,
    pub(super) api_token: Option<Secret>,
    pub(super) api_token_file: Option<PathBuf>,
    pub(super) authorization_server_id: Option<String>,
    pub(super) admin_url: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawKind {
    Rfc7009,
    Genauth,
    Baanx,
    GlobalTokenRevocation,
    Keycloak,
    Okta,
    Hydra,
}

impl RawKind {
    pub(super) const NAMES: &'static str =
        "rfc7009, genauth, baanx, global_token_revocation, keycloak, okta or hydra";

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rfc7009 => "rfc7009",
            Self::Genauth => "genauth",
            Self::Baanx => "baanx",
            Self::GlobalTokenRevocation => "global_token_revocation",
            Self::Keycloak => "keycloak",
            Self::Okta => "okta",
            Self::Hydra => "hydra",
        }
    }
}
