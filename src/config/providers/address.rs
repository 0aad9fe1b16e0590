//! Addresses that tokens and secrets may be sent to.

use url::{Host, Url};

use crate::config::rule::{Rule, optional, required};
use crate::config::section::Section;

/// An address that tokens and client secrets are sent to.
pub(in crate::config) fn endpoint() -> Rule<Option<String>> {
    optional().form("address").then(|address: Option<String>, key, section| {
        address.inspect(|address| refuse_bad(address, key, section))
    })
}

/// Such an address that must be there.
pub(in crate::config) fn required_endpoint(remedy: &'static str) -> Rule<String> {
    required(remedy).form("address").then(|address, key, section| {
        if !address.is_empty() {
            refuse_bad(&address, key, section);
        }
        address
    })
}

/// Such an address that paths are appended to.
pub(in crate::config) fn base(remedy: &'static str) -> Rule<String> {
    required_endpoint(remedy).then(|address, _, _| without_slash(address))
}

/// The same where it may be absent.
pub(in crate::config) fn optional_base() -> Rule<Option<String>> {
    endpoint().then(|address, _, _| address.map(without_slash))
}

fn without_slash(address: String) -> String {
    address.trim_end_matches('/').to_owned()
}

fn refuse_bad(address: &str, key: &str, section: &mut Section<'_>) {
    if let Err(why) = check(address, section) {
        section.unless_refused(key, why);
    }
}

/// Whether `address` is https, or http to loopback or by leave, and holds no credentials.
pub(super) fn check(address: &str, section: &Section<'_>) -> Result<(), &'static str> {
    let url = Url::parse(address)
        .map_err(|_| "not a valid address; give one such as https://id.example.com/oauth2/revoke")?;
    let host =
        url.host().ok_or("has no host; give an address such as https://id.example.com/oauth2/revoke")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password; use client_id and client_secret");
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (#...); remove it");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&host) || section.given("allow_http") == Some(true) => Ok(()),
        "http" => Err(
            "must start with https://, as tokens and secrets are sent there; set allow_http = true only for \
                a trusted network",
        ),
        _ => Err("must start with https://"),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
