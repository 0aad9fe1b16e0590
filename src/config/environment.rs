//! What the process's surroundings say: variables, directory, host name, terminal. Read once; tests make
//! their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::machine;

/// Prefix of the variables that name a setting: `REVOCATION__SECTION__KEY`.
pub(super) const PREFIX: &str = "REVOCATION__";

/// Variables with names of their own, and the settings they stand for.
pub(super) const CONVENTIONAL: [(&str, [&str; 2]); 9] = [
    ("AMQP_URL", ["amqp", "url"]),
    ("AMQP_URL_FILE", ["amqp", "url_file"]),
    ("DATABASE_URL", ["database", "url"]),
    ("DATABASE_URL_FILE", ["database", "url_file"]),
    ("SEALING_KEYS", ["sealing", "keys"]),
    ("SEALING_KEYS_FILE", ["sealing", "keys_file"]),
    ("EVIDENCE_SIGNING_KEY", ["evidence", "signing_key"]),
    ("EVIDENCE_SIGNING_KEY_FILE", ["evidence", "signing_key_file"]),
    (RUST_LOG, ["log", "level"]),
];

/// Often set for a whole machine, so `REVOCATION__LOG__LEVEL` beside it is no contradiction but wins.
pub(super) const RUST_LOG: &str = "RUST_LOG";

const HOSTNAME: &str = "HOSTNAME";

/// Where settings come from besides the file. It holds secrets and cannot be printed.
#[derive(Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    unreadable: Vec<String>,
    directory: Option<PathBuf>,
    host: Option<String>,
    terminal: bool,
}

impl Environment {
    /// An environment of exactly these variables: no directory to look for a file in, no terminal. An empty
    /// value counts as not set.
    pub fn new<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut variables: BTreeMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        variables.retain(|_, value| !value.is_empty());
        Self { variables, ..Self::default() }
    }

    /// The environment of this process; logs go to standard output.
    pub fn of_process() -> Self {
        let (host, terminal) = (machine::host(), machine::is_terminal());
        Self { host, terminal, ..Self::from_os(machine::variables()).with_directory(".") }
    }

    /// Keeps the variables that are ours, and notes those whose values are not UTF-8.
    fn from_os(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut readable = Vec::new();
        let mut unreadable = Vec::new();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) if is_ours(&name) => readable.push((name, value)),
                (Ok(name), Err(_)) if is_ours(&name) => unreadable.push(name),
                _ => {}
            }
        }
        Self { unreadable, ..Self::new(readable) }
    }

    /// The same, looking for `revocation-worker.toml` in `directory` where no file is named.
    #[must_use]
    pub fn with_directory(self, directory: impl AsRef<Path>) -> Self {
        Self { directory: Some(directory.as_ref().to_owned()), ..self }
    }

    /// The same, with logs going to a terminal or not.
    #[must_use]
    pub fn with_terminal(self, terminal: bool) -> Self {
        Self { terminal, ..self }
    }

    /// The variables that name settings, in order.
    pub(super) fn prefixed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Names of our variables whose values are not UTF-8.
    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// The file to read where none is named, if it is there.
    pub(super) fn default_file(&self) -> Option<PathBuf> {
        self.directory
            .as_ref()
            .map(|directory| directory.join("revocation-worker.toml"))
            .filter(|file| machine::exists(file))
    }

    pub(super) fn host(&self) -> &str {
        let host = self.host.as_deref().map(str::trim).filter(|host| !host.is_empty());
        host.or_else(|| self.get(HOSTNAME)).unwrap_or("worker")
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || name == HOSTNAME || CONVENTIONAL.iter().any(|(known, _)| *known == name)
}

#[cfg(test)]
mod tests;
