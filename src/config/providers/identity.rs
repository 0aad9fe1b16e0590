//! The certificate that a provider is shown.

use std::path::PathBuf;

use crate::config::Secret;
use crate::config::rule::{optional, secret};
use crate::config::section::Section;
use crate::config::setting::settings;

settings! {
    /// The certificate that a provider is shown.
    #[derive(Clone, Default)]
    pub struct IdentityConfig {
        /// The certificate that the provider is shown (mutual TLS, RFC 8705), with its chain: a PEM file.
        pub certificate as "tls_certificate_file": Option<PathBuf> = optional().default("none"),
        /// Its private key, in PEM.
        pub key as "tls_key": Option<Secret> = secret(),
    }
    check is_whole
}

fn is_whole(identity: &IdentityConfig, section: &mut Section<'_>) {
    match (&identity.certificate, &identity.key) {
        (Some(_), None) => section.missing("tls_key", "set tls_key or tls_key_file to the certificate's key"),
        (None, Some(_)) => section.missing("tls_certificate_file", "name the certificate of tls_key"),
        _ => {}
    }
}
