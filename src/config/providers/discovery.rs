//! Where endpoints that metadata names may lie.

use url::Url;

use super::{Reader, address};
use crate::config::DiscoveryConfig;

/// Issuers whose endpoints lie at origins of their own, which are as good as theirs.
const KNOWN: [(&str, &[&str]); 1] = [("https://accounts.google.com", &["https://oauth2.googleapis.com"])];

impl Reader<'_> {
    /// `discovery_origins`, with those that are known of the issuer, and `allow_private_addresses`.
    pub(super) fn discovery(&mut self) -> DiscoveryConfig {
        let given = self.raw.discovery_origins.take().map(|words| words.0).unwrap_or_default();
        let known = KNOWN
            .iter()
            .filter(|(issuer, _)| self.raw.issuer.as_deref() == Some(*issuer))
            .flat_map(|(_, origins)| *origins);
        let known: Vec<String> = known.map(|origin| (*origin).to_owned()).collect();
        let given: Vec<String> = given.into_iter().filter_map(|text| self.origin(&text)).collect();
        if self.raw.issuer.is_none() && !given.is_empty() {
            self.refuse(
                "discovery_origins",
                "without effect where there is no issuer to discover endpoints from; set issuer or remove it",
            );
        }
        let allow_private_addresses = self.raw.allow_private_addresses.take().is_some_and(|flag| flag.0);
        DiscoveryConfig { origins: known.into_iter().chain(given).collect(), allow_private_addresses }
    }

    fn origin(&mut self, text: &str) -> Option<String> {
        let allows_http = self.raw.allow_http.as_ref().is_some_and(|flag| flag.0);
        let problem = match (address::check(text, allows_http), Url::parse(text)) {
            (Ok(()), Ok(url)) if url.path() == "/" && url.query().is_none() => {
                return Some(url.origin().ascii_serialization());
            }
            (Ok(()), _) => {
                "each is an origin: scheme and host, a port where it is another than the scheme's, and no \
                    path"
            }
            (Err(problem), _) => problem,
        };
        self.refuse("discovery_origins", problem);
        None
    }
}
