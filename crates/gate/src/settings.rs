//! What can be set, all of it in the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use revocation_verifier::{Options, OptionsError, StalenessPolicy};
use tracing_subscriber::EnvFilter;

use crate::answer::Realm;
use crate::log;

const AMQP_URL: &str = "AMQP_URL";
const AMQP_URL_FILE: &str = "AMQP_URL_FILE";
const AMQP_CA_FILE: &str = "AMQP_CA_FILE";
const SERVICE: &str = "GATE_SERVICE";
const INSTANCE: &str = "GATE_INSTANCE";
const POLICY: &str = "GATE_STALENESS_POLICY";
const LISTEN: &str = "GATE_LISTEN";
const LIFETIME: &str = "GATE_MAX_TOKEN_LIFETIME";
const SKIP_REFRESH_TOKENS: &str = "GATE_SKIP_REFRESH_TOKENS";
const REALM: &str = "GATE_REALM";
const LOG: &str = "GATE_LOG";

const DEFAULT_LISTEN: &str = "127.0.0.1:9310";

/// Every setting and what it means, as `--help` shows them.
pub(super) const SETTINGS: [(&str, &str); 11] = [
    (AMQP_URL, "the broker, amqp:// or amqps://; required, or:"),
    (AMQP_URL_FILE, "a file that holds it"),
    (AMQP_CA_FILE, "the certificate (PEM) of a private authority that signed the broker's"),
    (SERVICE, "the service's name, as operators know it; required"),
    (INSTANCE, "this process's name among those of its service; default: host name and process id"),
    (POLICY, "while revocations cannot be read: fail_open (accept) or fail_closed (refuse); required"),
    (LISTEN, "address and port; default 127.0.0.1:9310"),
    (LIFETIME, "the longest lifetime of the tokens that the service accepts; default 30d"),
    (SKIP_REFRESH_TOKENS, "true: hold no tokens that publishers hinted as refresh_token; default false"),
    (REALM, "the realm of challenges; default: none"),
    (LOG, "what is logged, as a level or a filter; default info,lapin=error"),
];

/// The gate's settings, all valid. No `Debug`: they hold the broker's password.
pub struct Settings {
    pub(super) options: Options,
    pub(super) service: String,
    pub(super) listen: SocketAddr,
    pub(super) realm: Option<Realm>,
    pub(super) log: Option<EnvFilter>,
}

/// A setting that is missing or cannot be used. It never shows a value that may be secret.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct SettingError {
    setting: String,
    problem: String,
}

fn wrong(setting: impl Into<String>, problem: impl Into<String>) -> SettingError {
    SettingError { setting: setting.into(), problem: problem.into() }
}

impl Settings {
    /// Reads the settings from an environment; variables that are not the gate's are left alone. An empty
    /// value counts as not set.
    ///
    /// # Errors
    /// A setting is missing, unknown or cannot be used.
    pub fn from_environment<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingError> {
        let given = Given::read(variables)?;
        let service = given.service()?;
        let options = given.options(&service)?;
        let listen = given.get(LISTEN).unwrap_or(DEFAULT_LISTEN);
        let listen = listen.parse().map_err(|_| {
            wrong(LISTEN, format!("{listen:?} is no address and port, such as {DEFAULT_LISTEN}"))
        })?;
        let realm = |text: &str| {
            Realm::parse(text).ok_or_else(|| wrong(REALM, "must be printable ASCII without \" and \\"))
        };
        let log = log::filter(given.get(LOG).unwrap_or(log::DEFAULT))
            .map_err(|error| wrong(LOG, error.to_string()))?;
        let realm = given.get(REALM).map(realm).transpose()?;
        Ok(Self { options, service, listen, realm, log: Some(log) })
    }
}

/// The variables that are set. No `Debug`: one holds a password.
struct Given(BTreeMap<&'static str, String>);

impl Given {
    fn read<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, SettingError> {
        let mut given = BTreeMap::new();
        for (name, value) in variables {
            let (name, value) = (name.into().to_string_lossy().into_owned(), value.into());
            let known = SETTINGS.iter().find(|(known, _)| *known == name);
            if known.is_none() && name.starts_with("GATE_") {
                return Err(wrong(name, "there is no such setting; --help lists them"));
            }
            if let Some((known, _)) = known.filter(|_| !value.is_empty()) {
                given.insert(*known, value.into_string().map_err(|_| wrong(name, "is not UTF-8"))?);
            }
        }
        Ok(Self(given))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn options(&self, service: &str) -> Result<Options, SettingError> {
        let (url, url_setting) = self.url()?;
        let mut options = Options::new(url, service, self.policy()?);
        if let Some(instance) = self.get(INSTANCE) {
            options = options.instance(instance);
        }
        if let Some(lifetime) = self.get(LIFETIME) {
            let parsed = humantime::parse_duration(lifetime);
            options = options.max_token_lifetime(
                parsed.map_err(|error| wrong(LIFETIME, format!("{error}; write it as in 30d or 12h")))?,
            );
        }
        if let Some(skip) = self.get(SKIP_REFRESH_TOKENS) {
            let parsed = skip.parse();
            options = options.skip_refresh_tokens(
                parsed.map_err(|_| wrong(SKIP_REFRESH_TOKENS, format!("{skip:?} is not true or false")))?,
            );
        }
        if let Some(path) = self.get(AMQP_CA_FILE) {
            options = options.ca_pem(certificate(path)?);
        }
        let named = |error: OptionsError| match error {
            OptionsError::Url => wrong(url_setting, "is not an amqp:// or amqps:// URL"),
            OptionsError::Name("instance") => wrong(INSTANCE, error.to_string()),
            OptionsError::Name(_) => wrong(SERVICE, error.to_string()),
            OptionsError::Lifetime => wrong(LIFETIME, "must be 1 s to 10 years"),
        };
        options.check().map_err(named)?;
        Ok(options)
    }

    fn service(&self) -> Result<String, SettingError> {
        let why = "is required: the name of the service as operators are to see it";
        self.get(SERVICE).map(str::to_owned).ok_or_else(|| wrong(SERVICE, why))
    }

    /// The broker's URL, and the setting that it came from.
    fn url(&self) -> Result<(String, &'static str), SettingError> {
        match (self.get(AMQP_URL), self.get(AMQP_URL_FILE)) {
            (Some(_), Some(_)) => {
                Err(wrong(AMQP_URL_FILE, format!("{AMQP_URL} is set, too; set one of them")))
            }
            (None, None) => Err(wrong(AMQP_URL, format!("is required, or {AMQP_URL_FILE}"))),
            (Some(url), None) => Ok((url.to_owned(), AMQP_URL)),
            (None, Some(path)) => {
                Ok((file(AMQP_URL_FILE, path)?.trim_end_matches(['\r', '\n']).to_owned(), AMQP_URL_FILE))
            }
        }
    }

    fn policy(&self) -> Result<StalenessPolicy, SettingError> {
        let explained = "fail_open (a token revoked in the meantime goes on working) or fail_closed (nobody \
            gets in); \
            there is no default, because only the service's owner can choose what happens while revocations \
            cannot be read";
        let given = self.get(POLICY).ok_or_else(|| wrong(POLICY, format!("is required: {explained}")))?;
        StalenessPolicy::parse(given).ok_or_else(|| wrong(POLICY, format!("{given:?} is not {explained}")))
    }
}

fn certificate(path: &str) -> Result<String, SettingError> {
    let pem = file(AMQP_CA_FILE, path)?;
    if pem.contains("-----BEGIN CERTIFICATE-----") {
        Ok(pem)
    } else {
        Err(wrong(AMQP_CA_FILE, format!("{path} holds no certificate in PEM")))
    }
}

/// Who may write it decides whom the gate believes. Windows puts a byte order mark before a text.
fn file(setting: &str, path: &str) -> Result<String, SettingError> {
    let cannot = |error| wrong(setting, format!("cannot read {path}: {error}"));
    let about = std::fs::metadata(path).map_err(cannot)?;
    if about.is_file() && about.permissions().mode() & 0o002 != 0 {
        let why = "may be written by everybody on this machine: chmod 600 it, and replace what it holds";
        return Err(wrong(setting, format!("{path} {why}")));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
