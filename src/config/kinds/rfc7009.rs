//! `kind = "rfc7009"`: any OAuth server with token revocation.

use super::client::{ClientConfig, client};
use crate::config::providers::endpoint;
use crate::config::rule::choice;
use crate::config::section::Section;
use crate::config::setting::{choices, settings};

settings! {
    /// `kind = "rfc7009"`
    pub struct Rfc7009Config {
        /// Where tokens are revoked; absent: discovered from `issuer`.
        pub revocation_endpoint: Option<String> = endpoint(),
        /// Where tokens are introspected; absent: discovered from `issuer` where `verify = "introspect"`.
        pub introspection_endpoint: Option<String> = endpoint(),
        /// Client credentials.
        pub client: ClientConfig = client(),
        /// How id and secret enter the `Authorization: Basic` header: form-encoded first, or as they are.
        pub basic_encoding: BasicEncoding = choice(BasicEncoding::Rfc6749),
    }
    check can_be_discovered
}

choices! {
    /// How id and secret enter the `Authorization: Basic` header.
    pub enum BasicEncoding {
        /// Form-encoded before base64 (RFC 6749 section 2.3.1).
        Rfc6749 = "rfc6749",
        /// As they are.
        Raw = "raw",
    }
}

/// Where an endpoint is left out, `issuer` must be an address to discover it from.
fn can_be_discovered(_: &Rfc7009Config, section: &mut Section<'_>) {
    let absent = ["revocation_endpoint", "introspection_endpoint"].into_iter().find(|key| {
        !section.has(key) && (*key == "revocation_endpoint" || section.is("verify", "introspect"))
    });
    match absent {
        Some(_) if section.has("issuer") => drop(endpoint().read("issuer", section)),
        Some(absent) => section.missing(absent, "give its address, or set issuer to have it discovered"),
        None => {}
    }
}
