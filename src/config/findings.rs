//! What is wrong with a configuration: gathered, so that one start shows every mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use zeroize::Zeroizing;

use super::Secret;
use super::raw::{Number, Span};

/// Everything that is wrong with the configuration, one problem a line. It never quotes a secret.
#[derive(Debug, Error)]
#[error("{}", .problems.join("\n"))]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    /// The problems, each a sentence that starts with the setting's name.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// The problems so far.
#[derive(Default)]
pub(super) struct Findings {
    problems: Vec<String>,
    refused: BTreeSet<String>,
    /// Setting to environment variable, where it came from one.
    pub(super) origins: BTreeMap<String, String>,
}

impl Findings {
    /// Records that `setting` cannot stand.
    pub(super) fn refuse(&mut self, setting: &str, why: impl Display) {
        let origin = self.origins.get(setting).map(|variable| format!(" (from {variable})")).unwrap_or_default();
        self.problems.push(format!("{setting}{origin}: {why}"));
        self.refused.insert(setting.to_owned());
    }

    /// Records that `setting` is needed, unless what was given for it has been refused already.
    pub(super) fn missing(&mut self, setting: &str, remedy: impl Display) {
        self.unless_refused(setting, format_args!("not set; {remedy}"));
    }

    /// Refuses `setting`, unless a first complaint about it stands.
    pub(super) fn unless_refused(&mut self, setting: &str, why: impl Display) {
        if !self.has_refused(setting) {
            self.refuse(setting, why);
        }
    }

    /// Whether a complaint about `setting`, or the file that it is in, stands.
    pub(super) fn has_refused(&self, setting: &str) -> bool {
        self.refused.contains(setting) || self.refused.contains(&format!("{setting}_file"))
    }

    /// `given` within `range`, else `default`.
    pub(super) fn number<T>(&mut self, setting: &str, given: Option<Number>, default: T, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let Some(Number(number)) = given else { return default };
        match T::try_from(number).ok().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                self.refuse(setting, format_args!("{number} is out of range; choose {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    /// `given` within `range`, else `default`.
    pub(super) fn span(&mut self, setting: &str, given: Option<Span>, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        let Some(Span(span)) = given else { return default };
        if range.contains(&span) {
            return span;
        }
        let [given, least, most] = [&span, range.start(), range.end()].map(|span| humantime::format_duration(*span));
        self.refuse(setting, format_args!("{given} is out of range; choose {least} to {most}"));
        default
    }

    /// [`Self::secret`] that must be there; an empty stand-in where it is not.
    pub(super) fn required_secret(&mut self, setting: &str, value: Option<Secret>, file: Option<PathBuf>, remedy: &str) -> Secret {
        let secret = self.secret(setting, value, file);
        if secret.is_none() {
            self.missing(setting, remedy);
        }
        secret.unwrap_or_else(|| Secret::new(String::new()))
    }

    /// A secret given as itself or by file; at most one of the two. `None`: neither, or refused.
    pub(super) fn secret(&mut self, setting: &str, value: Option<Secret>, file: Option<PathBuf>) -> Option<Secret> {
        let secret = match (value, file) {
            (Some(_), Some(_)) => {
                self.refuse(setting, format_args!("given together with {setting}_file; keep one of the two"));
                return None;
            }
            (value, None) => value?,
            (None, Some(file)) => self.read_secret(&format!("{setting}_file"), &file)?,
        };
        if secret.expose().is_empty() {
            self.refuse(setting, "empty; remove it or give it a value");
            return None;
        }
        Some(secret)
    }

    fn read_secret(&mut self, setting: &str, file: &Path) -> Option<Secret> {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
                Some(Secret::new(line.to_owned()))
            }
            Err(error) => {
                self.refuse(setting, format_args!("cannot read {}: {error}; check the path and its permissions", file.display()));
                None
            }
        }
    }

    /// `value`, if nothing is wrong. Stand-ins for what was refused never get out.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.fail()) }
    }

    /// What is wrong, where something is.
    pub(super) fn fail(self) -> ConfigError {
        ConfigError { problems: self.problems }
    }
}
