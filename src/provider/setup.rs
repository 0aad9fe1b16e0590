//! What a provider's settings must satisfy before a client is built from them.

use thiserror::Error;
use url::{Host, Url};

use crate::config::{ProviderConfig, SenderConfig};

/// A provider's settings that no client can be built from. Displays as `providers.<name>.<setting>: <what is
/// wrong and what to do>`.
#[derive(Debug, Error)]
#[error("{setting}: {problem}")]
pub struct ProviderSetupError {
    /// Full name of the setting.
    pub setting: String,
    /// What is wrong with it and what to do; never its value where that may be secret.
    pub problem: String,
}

/// A provider's name and settings while its client is built.
pub(super) struct Setup<'a> {
    pub(super) name: &'a str,
    pub(super) config: &'a ProviderConfig,
}

impl Setup<'_> {
    /// The section that its settings stand in.
    pub(super) fn section(&self) -> Addresses {
        Addresses { section: format!("providers.{}", self.name), allow_http: self.config.allow_http }
    }

    /// The refusal of one setting.
    pub(super) fn refuse(&self, setting: &str, problem: impl Into<String>) -> ProviderSetupError {
        self.section().refuse(setting, problem)
    }

    /// The URL in `setting`, if tokens may be sent there.
    pub(super) fn url(&self, setting: &str, text: &str) -> Result<Url, ProviderSetupError> {
        self.section().url(setting, text)
    }

    /// The URL in `setting` with `path` after it; slashes at the end of the setting do not matter.
    pub(super) fn url_under(&self, setting: &str, base: &str, path: &str) -> Result<Url, ProviderSetupError> {
        self.section().url_under(setting, base, path)
    }
}

/// The addresses in a section of the settings.
pub(super) struct Addresses {
    /// Its full name.
    pub(super) section: String,
    pub(super) allow_http: bool,
}

impl Addresses {
    /// Those of the sender `name`.
    pub(super) fn of_sender(name: &str, config: &SenderConfig) -> Self {
        Self { section: format!("receive.senders.{name}"), allow_http: config.allow_http }
    }

    /// The refusal of one setting.
    pub(super) fn refuse(&self, setting: &str, problem: impl Into<String>) -> ProviderSetupError {
        ProviderSetupError { setting: format!("{}.{setting}", self.section), problem: problem.into() }
    }

    /// The URL in `setting`, if tokens may be sent there.
    pub(super) fn url(&self, setting: &str, text: &str) -> Result<Url, ProviderSetupError> {
        permitted_url(text, self.allow_http).map_err(|problem| self.refuse(setting, problem))
    }

    /// The URL in `setting` with `path` after it; slashes at the end of the setting do not matter.
    pub(super) fn url_under(&self, setting: &str, base: &str, path: &str) -> Result<Url, ProviderSetupError> {
        let url = self.url(setting, base)?;
        if url.query().is_some() {
            return Err(self.refuse(setting, "has a query; give the scheme, host and path only"));
        }
        self.url(setting, &format!("{}{path}", base.trim_end_matches('/')))
    }
}

/// The URL, if tokens may be sent there: https, or http to loopback or where `allow_http` is set; without
/// credentials or fragment.
pub(super) fn permitted_url(text: &str, allow_http: bool) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("is no URL ({error}); write it as https://host/path"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials in the URL; use client_id and client_secret".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a fragment (#…); remove it".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http || is_loopback(&url) => Ok(url),
        "http" => {
            Err("is plain http; use https, or set allow_http = true if the network between is trusted"
                .to_owned())
        }
        other => Err(format!("has the scheme {other}; use https")),
    }
}

/// A URL for error texts: no query, which may hold anything.
pub(super) fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_https_or_loopback_only() {
        let permitted = [
            "https://id.example.com/revoke?tenant=1",
            "http://127.0.0.1:8080/",
            "http://[::1]/x",
            "http://localhost/x",
            "http://a.localhost",
        ];
        let refused = [
            "http://id.example.com/",
            "http://10.0.0.1/",
            "ftp://id.example.com/",
            "id.example.com/revoke",
            "",
            "/revoke",
        ];
        permitted.iter().for_each(|url| assert!(permitted_url(url, false).is_ok(), "{url}"));
        refused.iter().for_each(|url| assert!(permitted_url(url, false).is_err(), "{url}"));
    }

    #[test]
    fn allow_http_permits_http_and_nothing_else() {
        assert!(permitted_url("http://id.example.com/", true).is_ok());
        assert!(permitted_url("ftp://id.example.com/", true).is_err());
    }

    #[test]
    fn credentials_and_fragments_are_refused_without_quoting_them() {
        for url in [
            "https://user:hunter2@id.example.com/",
            "https://hunter2@id.example.com/",
            "https://id.example.com/#hunter2",
        ] {
            let problem = permitted_url(url, true).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
