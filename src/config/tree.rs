//! File and environment laid over each other, and checked setting by setting so that every mistake shows at
//! once.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::environment::{CONVENTIONAL, Environment, PREFIX, RUST_LOG};
use super::findings::Findings;
use super::form::{Form, one_of};
use super::setting::{Row, Settings, Shape};
use super::{Config, machine};

/// Reads the file, lays the environment over it, and refuses unknown keys and wrong types into `findings`.
pub(super) fn read(path: Option<&Path>, environment: &Environment, findings: &mut Findings) -> Table {
    let file = path.map(Path::to_owned).or_else(|| environment.default_file());
    let mut tree = file.as_deref().map(|file| read_file(file, findings)).unwrap_or_default();
    findings.file = file;
    overlay(&mut tree, environment, findings);
    sift(&mut tree, &Config::rows(), &[], findings);
    tree
}

fn read_file(file: &Path, findings: &mut Findings) -> Table {
    let name = file.display().to_string();
    let text = machine::text(file).map_err(|error| format!("cannot read the configuration file: {error}"));
    let parsed = text.and_then(|text| text.parse().map_err(|error| syntax(&text, &error)));
    parsed.unwrap_or_else(|problem| {
        findings.refuse(&name, problem);
        Table::new()
    })
}

/// The parser's own `Display` quotes the line, which may hold a secret.
fn syntax(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("not valid TOML at line {}: {}", before.matches('\n').count() + 1, error.message())
}

const NO_SETTING: &str = "names no setting; the form is REVOCATION__SECTION__KEY, \
    REVOCATION__PROVIDERS__NAME__KEY or REVOCATION__PEOPLE__NAME__KEY";

fn overlay(tree: &mut Table, environment: &Environment, findings: &mut Findings) {
    for name in environment.unreadable() {
        findings.refuse(name, "the value of this environment variable is not UTF-8");
    }
    for (name, setting) in CONVENTIONAL {
        if let Some(value) = environment.get(name) {
            set(tree, &setting.map(str::to_owned), name, value, findings);
        }
    }
    for (name, value) in environment.prefixed() {
        match setting_of(name, tree) {
            Some(setting) => set(tree, &setting, name, value, findings),
            None => findings.refuse(name, NO_SETTING),
        }
    }
}

/// The path that `REVOCATION__SECTION__KEY` names.
fn setting_of(variable: &str, tree: &Table) -> Option<Vec<String>> {
    let mut path: Vec<String> = variable.strip_prefix(PREFIX)?.split("__").map(str::to_lowercase).collect();
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let (fits, name) = match words[..] {
        ["providers" | "people", ..] => (path.len() == 3, Some(1)),
        ["authorization", "users", ..] => (matches!(path.len(), 2 | 4), Some(2)),
        ["receive", "senders", ..] => (path.len() == 4, Some(2)),
        ["authorization", "anonymous", ..] => (path.len() == 3, None),
        _ => (path.len() <= 2, None),
    };
    if !fits || path.iter().any(String::is_empty) {
        return None;
    }
    if let Some(place) = name.filter(|place| *place < path.len()) {
        path[place] = configured(&path[place], section(tree, &path[..place]))?;
    }
    Some(path)
}

fn section<'t>(tree: &'t Table, path: &[String]) -> Option<&'t Table> {
    path.iter().try_fold(tree, |tree, key| tree.get(key)?.as_table())
}

/// What `name` stands for among those that are configured: variables have neither upper case, nor hyphens,
/// nor dots. `None`: for more than one.
fn configured(name: &str, names: Option<&Table>) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
    let mut same = names.into_iter().flat_map(Table::keys).filter(|other| plain(other) == plain(name));
    match (names.is_some_and(|names| names.contains_key(name)), same.next(), same.next()) {
        (true, ..) | (_, None, _) => Some(name.to_owned()),
        (_, Some(other), None) => Some(other.clone()),
        _ => None,
    }
}

fn set(tree: &mut Table, setting: &[String], variable: &str, value: &str, findings: &mut Findings) {
    let Some((key, path)) = setting.split_last() else { return };
    let name = setting.join(".");
    if findings.origins.get(&name).is_some_and(|earlier| earlier != RUST_LOG) {
        return findings.refuse(&name, format_args!("also set by {variable}; keep one of the two variables"));
    }
    findings.origins.insert(name.clone(), variable.to_owned());
    // Where the file has a plain value in a section's place, that is the mistake to report.
    let Some(section) = path.iter().try_fold(tree, |tree, key| {
        tree.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
    }) else {
        return;
    };
    // The other way to give the same secret: a variable replaces both ways of the file.
    let twin = name.strip_suffix("_file").map_or_else(|| format!("{name}_file"), str::to_owned);
    if let Some((_, key)) = twin.rsplit_once('.').filter(|_| !findings.origins.contains_key(&twin)) {
        section.remove(key);
    }
    section.insert(key.clone(), value_of(setting, value));
}

/// The broker users' rights may come as one table, since no variable can name every user; what other
/// variables say of a user is laid over it.
fn value_of(setting: &[String], text: &str) -> Value {
    let is_table = setting == ["authorization", "users"];
    let table = is_table.then(|| text.trim().parse().ok()).flatten().filter(Value::is_table);
    table.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Keeps the settings that are known and have the right form.
fn sift(table: &mut Table, rows: &[Row], path: &[&str], findings: &mut Findings) {
    table.retain(|key, value| {
        let path = [path, &[key]].concat();
        match rows.iter().find(|row| row.is_named(key)) {
            Some(row) => fits(row, value, &path, findings),
            None => {
                refuse_all(value, &path, &unknown(rows), findings);
                false
            }
        }
    });
}

fn fits(row: &Row, value: &mut Value, path: &[&str], findings: &mut Findings) -> bool {
    let problem = match (row.shape, value) {
        (Shape::Plain(check), value) => {
            let is_file = path.last().is_some_and(|key| row.is_file(key));
            let checked = if is_file {
                PathBuf::parse(value).map(drop).ok_or_else(PathBuf::wanted)
            } else {
                check(value)
            };
            let Err(problem) = checked else { return true };
            refuse_all(value, path, &problem, findings);
            return false;
        }
        (Shape::Section(rows), Value::Table(section)) => {
            sift(section, &rows(), path, findings);
            return true;
        }
        (Shape::ByName(rows), Value::Table(sections)) => {
            let one = Row { shape: Shape::Section(rows), ..row.clone() };
            sections.retain(|name, section| fits(&one, section, &[path, &[name]].concat(), findings));
            return true;
        }
        (Shape::ByName(_), _) => "must be a section for each name",
        _ => "must be a section",
    };
    findings.refuse(&path.join("."), problem);
    false
}

/// Refuses each value below: a misspelt section is told by what stands in it.
fn refuse_all(value: &Value, path: &[&str], problem: &str, findings: &mut Findings) {
    match value {
        Value::Table(section) if !section.is_empty() => {
            for (key, value) in section {
                refuse_all(value, &[path, &[key]].concat(), problem, findings);
            }
        }
        _ => findings.refuse(&path.join("."), problem),
    }
}

fn unknown(rows: &[Row]) -> String {
    let file = |row: &Row| row.is_secret.then(|| format!("{}_file", row.key));
    let known: Vec<String> =
        rows.iter().flat_map(|row| [Some(row.key.to_owned()), file(row)]).flatten().collect();
    format!("unknown setting; expected {}", one_of(&known))
}
