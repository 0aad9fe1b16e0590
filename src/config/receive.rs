//! `[receive]`: the HTTP receiver, and who may send it what.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Secret;
use super::checks;
use super::providers::{DiscoveryConfig, endpoint};
use super::quantity::{SECOND, within};
use super::rule::{Rule, beside, by_name, flag, list, optional, or, required, secret, trusted_file};
use super::section::Section;
use super::setting::settings;

settings! {
    /// `[receive]`
    pub struct ReceiveConfig {
        /// Address and port of the inputs. They are plain HTTP: put a proxy that speaks TLS in front.
        pub listen: SocketAddr = checks::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 9310))),
        /// Address and port of the receiver's own `/healthz`, `/readyz` and `/metrics`.
        pub health_listen: SocketAddr = checks::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 9311))),
        /// Who may send. A name has 1 to 64 of the characters A-Z a-z 0-9 - _, and is the last part of the
        /// sender's addresses.
        pub senders: BTreeMap<String, SenderConfig> = senders(),
    }
}

settings! {
    /// `[receive.senders.<name>]`
    pub struct SenderConfig {
        /// The exact `iss` of its tokens, slash for slash.
        pub issuer: String = required("give the exact iss of the sender's tokens"),
        /// Our client's id there: the `aud` of logout tokens.
        pub client_id: Option<String> = optional(),
        /// What else its tokens may have as `aud`.
        pub audience: Vec<String> = list(),
        /// The provider that its logouts go to.
        pub provider: Option<Arc<str>> = provider(),
        /// What it may order: `sid` ends a session, `sub` all that a user has.
        pub may_order: Vec<Orderable> = may_order(),
        /// The claim of logout tokens that names the user as the provider's tokens do.
        pub subject_claim: String = or("sub".to_owned(), "`sub`"),
        /// Other issuers that its subjects may be named with, such as an organisation's own beside that of an
        /// authorization server.
        pub subject_issuers: Vec<String> = list(),
        /// Whether a user who is named by an email has that as `sub` in the provider's tokens. Without it,
        /// such a subject is refused: `email_not_mapped`.
        pub email_is_sub: bool = flag(false),
        /// What it sends as `Authorization` with pushed events, scheme included.
        pub push_authorization: Option<Secret> = secret(),
        /// Where its events are fetched (RFC 8936).
        pub poll_endpoint: Option<String> = endpoint(),
        /// What is sent as `Authorization` there, scheme included.
        pub poll_authorization: Option<Secret> = secret(),
        /// How often they are fetched, where no more are known to wait.
        pub poll_every: Duration = within(10 * SECOND, SECOND..=3600 * SECOND),
        /// What is sent as `Authorization` where its streams are set up, scheme included: for the command
        /// `stream` alone.
        pub stream_authorization: Option<Secret> = secret(),
        /// Where its keys are (JWK Set).
        pub jwks_uri: Option<String> = endpoint().default("what the issuer's metadata says"),
        /// Where else the keys that the metadata names may lie.
        pub discovery: DiscoveryConfig = beside(),
        /// Whether plain http is allowed to hosts other than loopback.
        pub allow_http: bool = flag(false),
        /// PEM roots trusted instead of the system's.
        pub ca_file: Option<PathBuf> = trusted_file(),
        /// Most orders a minute; what comes beyond is answered with 429. Only what is verified counts, so
        /// that nobody else can use it up.
        pub orders_per_minute: u32 = within(600, 1..=1_000_000),
    }
    check refuse_sender
}

/// What a sender can be allowed to order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orderable {
    /// Everything of a user.
    Sub,
    /// A session.
    Sid,
}

impl Orderable {
    /// By its word.
    fn parse(word: &str) -> Option<Self> {
        match word {
            "sub" => Some(Self::Sub),
            "sid" => Some(Self::Sid),
            _ => None,
        }
    }
}

fn senders() -> Rule<BTreeMap<String, SenderConfig>> {
    by_name().then(|senders, _, _| senders.unwrap_or_default())
}

/// One of the providers, where any is configured here.
fn provider() -> Rule<Option<Arc<str>>> {
    optional::<String>().default("`default_provider`").then(|given, key, section| {
        let default = section.top().given::<String>("default_provider");
        let names = section.elsewhere("providers").names().unwrap_or_default();
        match (&given, default) {
            (Some(given), _) if !names.is_empty() && !names.contains(given) => {
                let names = names.join(", ");
                section.refuse(key, format_args!("no provider has this name; configured: {names}"));
            }
            (None, None) => section.missing(key, "name the provider that its logouts go to"),
            _ => {}
        }
        given.map(Into::into)
    })
}

fn may_order() -> Rule<Vec<Orderable>> {
    let words = optional::<Vec<String>>().form("list of `sub`, `sid`").default("both");
    words.then(|given, key, section| {
        let Some(words) = given else { return vec![Orderable::Sub, Orderable::Sid] };
        let found: Vec<_> = words.iter().filter_map(|word| Orderable::parse(word)).collect();
        if found.len() < words.len() || found.is_empty() {
            section.refuse(key, "must list `sub`, `sid` or both: clients and issuers are no sender's to end");
        }
        found
    })
}

fn refuse_sender(sender: &SenderConfig, section: &mut Section<'_>) {
    let name = section.last_name();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
        section.refuse_all("a sender's name has 1 to 64 of the characters A-Z a-z 0-9 - _");
    }
    if sender.client_id.is_none() && sender.audience.is_empty() {
        section.missing("client_id", "give it, or audience: else tokens for anybody would count");
    }
    if sender.poll_endpoint.is_none() && sender.poll_authorization.is_some() {
        section.missing("poll_endpoint", "give it, or remove poll_authorization");
    }
    for (key, is_empty) in [
        ("client_id", sender.client_id.as_deref() == Some("")),
        ("audience", sender.audience.iter().any(String::is_empty)),
        ("subject_claim", sender.subject_claim.is_empty()),
    ] {
        if is_empty {
            section.refuse(key, "must not be empty");
        }
    }
}
