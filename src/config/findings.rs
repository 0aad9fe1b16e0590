//! What is wrong with a configuration: gathered, so that one start shows every mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use thiserror::Error;
use url::Url;

use super::{Secret, secret_file};

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

/// The one setting that is a list of secrets.
const SEALING_KEYS: &str = "sealing.keys";

/// The problems so far.
#[derive(Default)]
pub(super) struct Findings {
    problems: Vec<String>,
    refused: BTreeSet<String>,
    /// Setting to environment variable, where it came from one.
    pub(super) origins: BTreeMap<String, String>,
    /// The configuration file, where there is one.
    pub(super) file: Option<PathBuf>,
    /// Secrets that stand in it.
    in_file: Vec<String>,
    remarks: Vec<String>,
}

impl Findings {
    /// Records that `setting` cannot stand.
    pub(super) fn refuse(&mut self, setting: &str, why: impl Display) {
        let origin =
            self.origins.get(setting).map(|variable| format!(" (from {variable})")).unwrap_or_default();
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

    /// Whether a complaint about a setting whose name begins so stands.
    pub(super) fn has_refused_any(&self, prefix: &str) -> bool {
        self.refused.iter().any(|setting| setting.starts_with(prefix))
    }

    /// A secret given as itself or by file; at most one of the two. `None`: neither, or refused.
    pub(super) fn secret(
        &mut self,
        setting: &str,
        value: Option<Secret>,
        file: Option<PathBuf>,
    ) -> Option<Secret> {
        let secret = match (value, file) {
            (Some(_), Some(_)) => {
                self.refuse(setting, format_args!("given together with {setting}_file; keep one of the two"));
                return None;
            }
            (value, None) => {
                let value = value?;
                self.note_inline(setting, value.expose());
                value
            }
            (None, Some(file)) => self.read_secret(setting, &file)?,
        };
        let problem = if secret.expose().is_empty() {
            Some("empty; remove it or give it a value".to_owned())
        } else {
            secret_file::problem(secret.expose(), setting == SEALING_KEYS)
        };
        if let Some(problem) = problem {
            self.refuse(setting, problem);
            return None;
        }
        Some(secret)
    }

    fn read_secret(&mut self, setting: &str, file: &Path) -> Option<Secret> {
        let (is_list, setting) = (setting == SEALING_KEYS, format!("{setting}_file"));
        match secret_file::read(file, is_list) {
            Ok(text) => {
                let remarks = [secret_file::exposure(file), secret_file::oddity(&text).filter(|_| !is_list)];
                self.remarks.extend(
                    remarks.into_iter().flatten().map(|why| format!("{setting}: {} {why}", file.display())),
                );
                Some(Secret(text))
            }
            Err(why) => {
                self.refuse(&setting, why);
                None
            }
        }
    }

    /// Notes a secret that stands where its setting does: in the configuration file or in a variable.
    pub(super) fn note_inline(&mut self, setting: &str, value: &str) {
        let is_address = Url::parse(value).is_ok_and(|url| url.has_host() && url.password().is_none());
        if !self.origins.contains_key(setting) && !is_address {
            self.in_file.push(setting.to_owned());
        }
    }

    /// What is no fault of the configuration and should be mended all the same, each a sentence.
    pub(super) fn remarks(&mut self) -> Vec<String> {
        let exposed = self
            .file
            .as_deref()
            .filter(|_| !self.in_file.is_empty())
            .and_then(|file| Some((file, secret_file::exposure(file)?)));
        self.remarks
            .extend(exposed.map(|(file, why)| {
                format!("{} holds {} and {why}", file.display(), self.in_file.join(", "))
            }));
        let open =
            self.file.as_deref().filter(|file| self.in_file.is_empty() && secret_file::is_open_to_all(file));
        self.remarks.extend(open.map(|file| {
            let shown = file.display();
            format!("{shown} says where tokens are sent and may be written by everybody: chmod 644 it")
        }));
        std::mem::take(&mut self.remarks)
    }

    /// `value`, if nothing is wrong. Stand-ins for what was refused never get out.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(ConfigError { problems: self.problems }),
        }
    }
}
