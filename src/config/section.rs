//! A section while its settings are read: what is given, and where refusals go.

use std::fmt::Display;
use std::path::PathBuf;

use toml::Table;

use super::findings::Findings;
use super::form::{Form, split_list};
use super::{Environment, Secret};

/// One section of a configuration in which every value has the form of its setting.
pub(super) struct Section<'a> {
    tree: &'a Table,
    environment: &'a Environment,
    path: Vec<String>,
    findings: &'a mut Findings,
}

impl<'a> Section<'a> {
    /// The whole configuration.
    pub(super) fn top_of(tree: &'a Table, environment: &'a Environment, findings: &'a mut Findings) -> Self {
        Self { tree, environment, path: Vec::new(), findings }
    }

    /// The section `key` in this one.
    pub(super) fn within(&mut self, key: &str) -> Section<'_> {
        let path = self.path.iter().cloned().chain([key.to_owned()]).collect();
        Section { tree: self.tree, environment: self.environment, path, findings: self.findings }
    }

    /// The section `key` of the whole configuration.
    pub(super) fn elsewhere(&mut self, key: &str) -> Section<'_> {
        let path = vec![key.to_owned()];
        Section { tree: self.tree, environment: self.environment, path, findings: self.findings }
    }

    /// The whole configuration.
    pub(super) fn top(&mut self) -> Section<'_> {
        Section { tree: self.tree, environment: self.environment, path: Vec::new(), findings: self.findings }
    }

    fn table(&self) -> Option<&'a Table> {
        self.path.iter().try_fold(self.tree, |table, key| table.get(key)?.as_table())
    }

    /// A value as it is given.
    pub(super) fn given<T: Form>(&self, key: &str) -> Option<T> {
        T::parse(self.table()?.get(key)?)
    }

    /// Whether a setting, or the file that it is in, is given.
    pub(super) fn has(&self, key: &str) -> bool {
        let is_given = |key: &str| self.table().is_some_and(|table| table.contains_key(key));
        is_given(key) || is_given(&format!("{key}_file"))
    }

    /// Whether a setting is given as this word.
    pub(super) fn is(&self, key: &str, word: &str) -> bool {
        self.given::<String>(key).is_some_and(|given| given == word)
    }

    /// The keys of this section, where it is there.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        Some(self.table()?.keys().cloned().collect())
    }

    /// Its last name: that of a provider, a person, a broker user.
    pub(super) fn last_name(&self) -> &str {
        self.path.last().map(String::as_str).unwrap_or_default()
    }

    /// What the configuration comes from besides the file.
    pub(super) fn environment(&self) -> &'a Environment {
        self.environment
    }

    /// A setting's full name.
    pub(super) fn full_name(&self, key: &str) -> String {
        self.path.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".")
    }

    /// Records that a setting cannot stand.
    pub(super) fn refuse(&mut self, key: &str, why: impl Display) {
        self.findings.refuse(&self.full_name(key), why);
    }

    /// Records that a setting cannot stand, unless a first complaint about it does.
    pub(super) fn unless_refused(&mut self, key: &str, why: impl Display) {
        self.findings.unless_refused(&self.full_name(key), why);
    }

    /// Records that this section cannot stand.
    pub(super) fn refuse_all(&mut self, why: impl Display) {
        self.findings.refuse(&self.path.join("."), why);
    }

    /// Records that a setting is needed, unless what was given for it has been refused already.
    pub(super) fn missing(&mut self, key: &str, remedy: impl Display) {
        self.findings.missing(&self.full_name(key), remedy);
    }

    /// Whether a complaint about a setting stands.
    pub(super) fn has_refused(&self, key: &str) -> bool {
        self.findings.has_refused(&self.full_name(key))
    }

    /// Whether a complaint about anything in this section stands.
    pub(super) fn has_refused_any(&self) -> bool {
        self.findings.has_refused_any(&self.full_name(""))
    }

    /// A secret, by itself or by a file.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        let value = self.given(key);
        let file = self.given::<PathBuf>(&format!("{key}_file"));
        self.findings.secret(&self.full_name(key), value, file)
    }

    /// A list of secrets, by itself or by a file.
    pub(super) fn secret_list(&mut self, key: &str) -> Vec<String> {
        let setting = self.full_name(key);
        let file = self.given::<PathBuf>(&format!("{key}_file"));
        match (self.given(key), file) {
            (Some(list), None) => {
                self.findings.note_inline(&setting, "");
                list
            }
            // An empty stand-in: only that both are given matters here.
            (list, file) => {
                let list = list.map(|_: Vec<String>| Secret::new(String::new()));
                let text = self.findings.secret(&setting, list, file);
                text.map(|text| split_list(text.expose())).unwrap_or_default()
            }
        }
    }

    /// What is no fault of what was read so far and should be mended all the same.
    pub(super) fn remarks(&mut self) -> Vec<String> {
        self.findings.remarks()
    }
}
