//! What is asked of settings beyond form and range.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use revocation_evidence::SigningKey;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::rule::{Rule, by_name, optional};
use super::section::Section;
use super::setting::{Row, Settings, Shape};
use super::table::{AmqpConfig, AuthorizationConfig, Config, LogFormat, RetryConfig, Sealing};
use super::{Secret, evidence};
use crate::approval::ApprovalRules;
use crate::authorization::{Authority, Rights};
use crate::report::Owners;
use crate::seal::{Keyring, SealError};
use crate::target::Kind;

pub(super) const AMQP_REMEDY: &str = "set amqp.url or AMQP_URL to the broker's address, such as \
    amqps://user:password@broker.example.com:5671/vhost";
pub(super) const DATABASE_REMEDY: &str = "set database.url or DATABASE_URL to the database's address, such \
    as postgres://user:password@db.example.com/revocation";

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

/// `default_provider`: one of the providers, where any is configured.
pub(super) fn default_provider() -> Rule<Option<Arc<str>>> {
    optional::<String>().then(|given, key, section| {
        let given = given?;
        let names = section.elsewhere("providers").names().unwrap_or_default();
        if !names.is_empty() && !names.contains(&given) {
            let names = names.join(", ");
            section.refuse(key, format_args!("no provider has the name {given:?}; configured: {names}"));
        }
        Some(given.into())
    })
}

/// `instance`, else host name and process id. It becomes part of a URI reference (docs/contract.md, section
/// 4).
pub(super) fn instance(given: Option<String>, key: &str, section: &mut Section<'_>) -> String {
    let fits = |byte: char| byte.is_ascii_alphanumeric() || "-._~".contains(byte);
    let Some(name) = given else {
        let host = section.environment().host().chars().take(100);
        let host: String = host.map(|byte| if fits(byte) { byte } else { '-' }).collect();
        return format!("{host}-{}", std::process::id());
    };
    if !(1..=128).contains(&name.len()) || !name.chars().all(fits) {
        section.refuse(key, "must have 1 to 128 of the characters A-Z a-z 0-9 - . _ ~");
    }
    name
}

/// `[amqp]` also takes what `[limits]` reads.
pub(super) fn amqp_rows() -> Vec<Row> {
    let other = optional::<i64>().rows("max_message_bytes", "The same as `limits.max_message_bytes`.");
    AmqpConfig::rows().into_iter().chain(other).collect()
}

/// An address with one of two schemes. `schemes`: the one to be recommended first.
pub(super) fn address(schemes: [&'static str; 2]) -> impl Fn(Secret, &str, &mut Section<'_>) -> Secret {
    move |address, key, section| {
        let is_valid = Url::parse(address.expose())
            .is_ok_and(|url| schemes.contains(&url.scheme()) && !url.cannot_be_a_base());
        if !is_valid {
            let [one, other] = schemes;
            let why = format!(
                "not a valid address: it must start with {one}:// or {other}://, with special characters in \
                    its password percent-encoded"
            );
            section.unless_refused(key, why);
        }
        address
    }
}

/// `sealing.keys`: a list, or a file that holds one. Each is valid; there may be none.
pub(super) fn sealing_keys() -> Rule<Vec<Secret>> {
    optional::<Vec<String>>().or_file().then(|_, key, section| {
        let keys: Vec<Secret> = section.secret_list(key).into_iter().map(Secret::new).collect();
        match Keyring::parse(&keys) {
            Ok(_) | Err(SealError::NoKey) => {}
            Err(error) => section.refuse(key, error.to_string().trim_start_matches("sealing.keys: ")),
        }
        keys
    })
}

/// The sealing keys where there must be one.
pub(super) fn some_keys(sealing: Sealing, _: &str, section: &mut Section<'_>) -> Vec<Secret> {
    if sealing.keys.is_empty() {
        let remedy = "run `revocation-worker keygen` and put its output into sealing.keys or SEALING_KEYS";
        section.missing("sealing.keys", remedy);
    }
    sealing.keys
}

/// `evidence.signing_key`
pub(super) fn signing_key(given: Option<Secret>, key: &str, section: &mut Section<'_>) -> Option<SigningKey> {
    evidence::signing_key(&given?)
        .inspect_err(|problem| {
            let why = format!("{problem}; `revocation-worker keygen --signing` prints a valid one");
            section.refuse(key, why);
        })
        .ok()
}

pub(super) fn initial_is_no_longer_than_max(retry: &RetryConfig, section: &mut Section<'_>) {
    if retry.initial > retry.max {
        let [initial, max] = [retry.initial, retry.max].map(humantime::format_duration);
        let why = format!("{initial} is longer than retry.max, {max}; lower the one or raise the other");
        section.refuse("initial", why);
    }
}

/// Target kinds by name. `none` alone is the empty list, which a variable of the environment cannot hold
/// otherwise.
pub(super) fn kinds() -> Rule<Option<Vec<Kind>>> {
    optional::<Vec<String>>().form("list of kinds").then(|given, key, section| {
        let names = given?;
        let found: Vec<Kind> = names.iter().filter_map(|name| Kind::parse(name)).collect();
        if names != ["none"] && found.len() < names.len() {
            let known = Kind::ALL.map(Kind::as_str).join(", ");
            section.refuse(key, format_args!("must list kinds of targets ({known}), or be none"));
        }
        Some(found)
    })
}

/// The same with a default.
pub(super) fn kinds_or(default: &'static [Kind]) -> Rule<Vec<Kind>> {
    let shown: Vec<_> = default.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
    kinds().default(shown.join(", ")).then(|kinds, _, _| kinds.unwrap_or_else(|| default.to_vec()))
}

/// `authorization.users`
pub(super) fn users() -> Rule<BTreeMap<String, Rights>> {
    by_name::<Rights>().then(|users, key, section| {
        let users = users.unwrap_or_default();
        for user in users.keys().filter(|user| !(1..=255).contains(&user.len())) {
            section.within(key).refuse(user, "the name of a broker user has 1 to 255 bytes");
        }
        users
    })
}

/// With `[people]`, an operator's word is who sent first what he puts back: where he is nobody, he could
/// order in another's name and approve it.
pub(super) fn operators_are_people(config: &Config, section: &mut Section<'_>) {
    let Some(people) = &config.people else { return };
    for user in config.authorization.operators.iter().filter(|user| !people.have_broker_user(user)) {
        let why = format!("{user} is in nobody's people.<name>.broker_users: list whose broker user that is");
        section.refuse("authorization.operators", why);
    }
}

/// `verifiers.owners`
pub(super) fn owners(
    given: Option<BTreeMap<String, Vec<String>>>,
    key: &str,
    section: &mut Section<'_>,
) -> Owners {
    let owners = given.unwrap_or_default();
    for (service, users) in &owners {
        if !(1..=200).contains(&service.len()) {
            section.within(key).refuse(service, "a service's name has 1 to 200 bytes");
        }
        if users.is_empty() || users.iter().any(String::is_empty) {
            let why =
                "names no broker user; list the users that its verifiers connect as, or remove the service";
            section.within(key).refuse(service, why);
        }
    }
    Owners::new(owners.into_iter().map(|(service, users)| (service, users.into_iter().collect())).collect())
}

/// `http.listen`
pub(super) fn listen(default: SocketAddr) -> Rule<SocketAddr> {
    let rule = optional::<String>().form("address and port").default(format!("`{default}`"));
    rule.then(move |given, key, section| {
        let Some(listen) = given else { return default };
        listen.parse().unwrap_or_else(|_| {
            let why = "must be an IP address and a port, such as 127.0.0.1:9300 or [::]:9300";
            section.refuse(key, why);
            default
        })
    })
}

/// `log.format`
pub(super) fn is_json(given: Option<LogFormat>, _: &str, section: &mut Section<'_>) -> bool {
    given.map_or(!section.environment().is_terminal(), |format| format == LogFormat::Json)
}

/// `log.level`
pub(super) fn filter(given: String, key: &str, section: &mut Section<'_>) -> String {
    if EnvFilter::try_new(&given).is_err() {
        section.refuse(key, "must be a level or a filter, such as info or info,revocation_worker=debug");
    }
    given
}

/// No setting: what is to be said of those that were read before.
pub(super) fn remarks() -> Rule<Vec<String>> {
    Rule::new(Shape::Beside(Vec::new), |_, section| section.remarks())
}
