//! Where endpoints that an issuer's metadata names may lie.

use url::Url;

use super::address;
use crate::config::rule::{flag, list};
use crate::config::section::Section;
use crate::config::setting::settings;

/// Issuers whose endpoints lie at origins of their own, which are as good as theirs.
const KNOWN: [(&str, &[&str]); 1] = [("https://accounts.google.com", &["https://oauth2.googleapis.com"])];

settings! {
    /// Where endpoints that an issuer's metadata names may lie.
    #[derive(Clone, Debug, Default)]
    pub struct DiscoveryConfig {
        /// Origins beside the issuer's own.
        pub origins as "discovery_origins": Vec<String> =
            list().default("none; for Google's issuer, `https://oauth2.googleapis.com`").then(origins),
        /// Whether hosts that only `discovery_origins` names may lead to loopback, private and link-local
        /// addresses.
        pub allow_private_addresses: bool = flag(false),
    }
}

/// The origins that are given, after those that are known of the issuer.
fn origins(given: Vec<String>, key: &str, section: &mut Section<'_>) -> Vec<String> {
    let issuer: Option<String> = section.given("issuer");
    let origins: Vec<_> = given.iter().filter_map(|text| origin(text, key, section)).collect();
    if issuer.is_none() && !given.is_empty() {
        let why =
            "without effect where there is no issuer to discover endpoints from; set issuer or remove it";
        section.unless_refused(key, why);
    }
    let known = KNOWN.iter().filter(|(known, _)| issuer.as_deref() == Some(*known));
    let known = known.flat_map(|(_, origins)| *origins).map(|origin| (*origin).to_owned());
    known.chain(origins).collect()
}

fn origin(text: &str, key: &str, section: &mut Section<'_>) -> Option<String> {
    let problem = match (address::check(text, section), Url::parse(text)) {
        (Ok(()), Ok(url)) if url.path() == "/" && url.query().is_none() => {
            return Some(url.origin().ascii_serialization());
        }
        (Ok(()), _) => {
            "each is an origin: scheme and host, a port where it is another than the scheme's, and no path"
        }
        (Err(problem), _) => problem,
    };
    section.refuse(key, problem);
    None
}
