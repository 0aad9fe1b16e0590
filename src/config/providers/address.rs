//! Addresses that tokens and secrets may be sent to.

use url::{Host, Url};

/// Whether `address` is https, or http to loopback or by leave, and holds no credentials.
pub(super) fn check(address: &str, allows_http: bool) -> Result<(), &'static str> {
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
        "http" if allows_http || is_loopback(&host) => Ok(()),
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
