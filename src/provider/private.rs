//! Hosts that only metadata leads to, which must not lie inside: their names are looked up here, and
//! addresses that no provider on the Internet has are refused when the connection is made. Configured hosts
//! are not touched by it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use url::{Host, Url};

use crate::config::{BearerConfig, DiscoveryConfig, KindConfig, ProviderConfig};

/// A guarded host that leads inside.
#[derive(Debug, Error)]
#[error(
    "{0} leads to a loopback, private, link-local or the like address; set allow_private_addresses = true if \
        that is meant"
)]
pub(super) struct PrivateAddress(String);

/// The hosts of `discovery_origins` that no other setting names; none where `allow_private_addresses` is set.
#[derive(Clone)]
pub(super) struct Guard(Arc<HashSet<String>>);

impl Guard {
    /// The guard of a provider's settings.
    pub(super) fn new(config: &ProviderConfig) -> Self {
        Self::over(&config.discovery, configured(config))
    }

    /// The guard of settings that name, beside their `discovery_origins`, the addresses `configured`.
    pub(super) fn over<'a>(discovery: &DiscoveryConfig, configured: impl Iterator<Item = &'a str>) -> Self {
        let host = |text: &str| Url::parse(text).ok().and_then(|url| Some(url.host()?.to_string()));
        let configured: HashSet<String> = configured.filter_map(host).collect();
        let origins = discovery.origins.iter().filter(|_| !discovery.allow_private_addresses);
        Self(Arc::new(
            origins.filter_map(|origin| host(origin)).filter(|host| !configured.contains(host)).collect(),
        ))
    }

    /// Whether any host is guarded.
    pub(super) fn is_needed(&self) -> bool {
        !self.0.is_empty()
    }

    /// Refuses a guarded host that is written as an address: for such a one nothing is looked up.
    pub(super) fn check(&self, url: &Url) -> Result<(), PrivateAddress> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        let host = url.host().map(|host| host.to_string()).unwrap_or_default();
        if self.0.contains(&host) && is_private(address) { Err(PrivateAddress(host)) } else { Ok(()) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guarded = self.0.contains(name.as_str());
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One of them is enough: a name that leads both ways was made to.
            if guarded && addresses.iter().any(|address| is_private(address.ip())) {
                return Err(PrivateAddress(name.as_str().to_owned()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// What the settings name beside `discovery_origins`.
fn configured(config: &ProviderConfig) -> impl Iterator<Item = &str> {
    let endpoints = match &config.kind {
        KindConfig::Rfc7009(kind) => {
            [kind.revocation_endpoint.as_deref(), kind.introspection_endpoint.as_deref()]
        }
        KindConfig::GlobalTokenRevocation(kind) => match &kind.bearer {
            BearerConfig::Granted(grant) => [kind.endpoint.as_deref(), Some(grant.token_endpoint.as_str())],
            BearerConfig::Fixed(_) | BearerConfig::Signed(_) => [kind.endpoint.as_deref(), None],
        },
        _ => [None, None],
    };
    endpoints.into_iter().chain([config.issuer.as_deref()]).flatten()
}

/// Whether no server on the Internet has this address.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| is_private_v6(address), is_private_v4),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        // This network; shared by carriers (RFC 6598); protocol assignments; benchmarks (RFC 2544); reserved,
        // with the broadcast address.
        || matches!((a, b, c), (0, _, _) | (100, 64..128, _) | (192, 0, 0) | (198, 18..20, _) | (240.., _, _))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        // Site-local (RFC 3879), and NAT64 of a network's own (RFC 8215).
        || matches!((first, second, third), (0xfec0..0xff00, _, _) | (0x64, 0xff9b, 1))
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_known_in_every_form() {
        let inside = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
        ];
        for address in inside {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        let outside = [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "169.253.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:4860:4860::8888",
        ];
        for address in outside {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }
}
