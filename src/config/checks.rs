//! What is asked of settings beyond form and range.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use revocation_evidence::SigningKey;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::rule::{Rule, optional};
use super::section::Section;
use super::setting::Shape;
use super::{Secret, signing};
use crate::report::Owners;
use crate::seal::{Keyring, SealError};

pub(super) const AMQP_REMEDY: &str = "set amqp.url or AMQP_URL to the broker's address, such as \
    amqps://user:password@broker.example.com:5671/vhost";
pub(super) const DATABASE_REMEDY: &str = "set database.url or DATABASE_URL to the database's address, such \
    as postgres://user:password@db.example.com/revocation";

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

/// `evidence.signing_key`
pub(super) fn signing_key(given: Option<Secret>, key: &str, section: &mut Section<'_>) -> Option<SigningKey> {
    signing::signing_key(&given?)
        .inspect_err(|problem| {
            let why = format!("{problem}; `revocation-worker keygen --signing` prints a valid one");
            section.refuse(key, why);
        })
        .ok()
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
