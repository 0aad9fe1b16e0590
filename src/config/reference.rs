//! `docs/settings.md`: every setting with its form, range, default and sentence, as the tables have them. A
//! test holds the page to what they say.

use super::Config;
use super::environment::CONVENTIONAL;
use super::kinds::{KINDS, listed};
use super::setting::{Row, Settings, Shape};

const WIDTH: usize = 110;

const HEAD: &str = "# Settings

<!-- Made from the tables in src/config. Renew it: RENEW_DOCS=1 cargo test --lib settings_reference -->

Settings come from a TOML file (`--config FILE`, by default `revocation-worker.toml` if it is there), then \
from the environment, which wins: `REVOCATION__SECTION__KEY`, for instance \
`REVOCATION__PROVIDERS__MAIN__CLIENT_ID`, and the variables that are named below. In a variable, a name of \
the operator's own is written in upper case, with `_` for `-` and `.`. Any secret can also be given by the \
file that it is in, as `<key>_file`. A duration has its unit: `500ms`, `10m`, `24h`, `7d`. A list is an \
array, or its words with commas between. An unknown or misspelt setting is an error, and a secret is never \
printed.
";

/// The page.
pub fn settings_reference() -> String {
    let mut page = String::new();
    for paragraph in HEAD.split("\n\n") {
        wrap(paragraph.trim_end(), "", &mut page);
        page.push('\n');
    }
    sections(&Config::rows(), "", &mut page);
    page
}

/// The settings of one section, then the sections in it.
fn sections(rows: &[Row], path: &str, page: &mut String) {
    rows.iter().for_each(|row| setting(row, path, page));
    for row in rows {
        let (rows, name) = match row.shape {
            Shape::Section(rows) => (rows(), format!("{path}{}", row.key)),
            Shape::ByName(rows) => (rows(), format!("{path}{}.<name>", row.key)),
            Shape::Plain(_) | Shape::Beside(_) => continue,
        };
        page.push_str(&format!("\n## `[{name}]`\n\n"));
        wrap(row.about.trim(), "", page);
        page.push('\n');
        if row.key == "providers" {
            providers(&rows, page)
        } else {
            sections(&rows, &format!("{name}."), page)
        }
    }
}

/// What every kind has, then what each has.
fn providers(rows: &[Row], page: &mut String) {
    let is_own = |row: &Row| KINDS.iter().any(|kind| (kind.rows)().iter().any(|own| own.key == row.key));
    rows.iter().filter(|row| !is_own(row)).for_each(|row| setting(row, "", page));
    for kind in KINDS {
        page.push_str(&format!("\n### `kind = \"{}\"`\n\n", kind.word));
        (kind.rows)().iter().for_each(|row| setting(row, "", page));
        declared(&(kind.rows)(), page);
    }
}

/// The sections that a kind has. One with the same settings as the one before it is not told twice.
fn declared(rows: &[Row], page: &mut String) {
    let mut before: (&str, Vec<&str>) = ("", Vec::new());
    for row in rows {
        let Shape::Section(below) = row.shape else { continue };
        let below = below();
        let keys: Vec<_> = below.iter().map(|row| row.key).collect();
        page.push_str(&format!("\n#### `[providers.<name>.{}]`\n\n", row.key));
        wrap(row.about.trim(), "", page);
        if keys == before.1 {
            wrap(&format!("It has the settings of `[providers.<name>.{}]`.", before.0), "", page);
            continue;
        }
        page.push('\n');
        below.iter().for_each(|row| setting(row, "", page));
        before = (row.key, keys);
    }
}

fn setting(row: &Row, path: &str, page: &mut String) {
    let Shape::Plain(_) = row.shape else { return };
    let Row { key, about, form, default, is_secret, .. } = row;
    let file = if *is_secret { format!(" (or `{key}_file`)") } else { String::new() };
    let default = match default.as_str() {
        "" => String::new(),
        "no default" => "; no default".to_owned(),
        default => format!("; default: {default}"),
    };
    let full = format!("{path}{key}");
    let variable = CONVENTIONAL.iter().find(|(_, setting)| setting.join(".") == full);
    let variable = variable.map(|(name, _)| format!(" Variable: `{name}`.")).unwrap_or_default();
    let owners: Vec<_> = KINDS.iter().filter(|kind| kind.shares(key)).map(|kind| kind.word).collect();
    let only = match owners.len() {
        0 => String::new(),
        _ => format!(" Only for {}.", listed(&owners, "and")),
    };
    wrap(&format!("- `{key}`{file}: {form}{default}. {}{only}{variable}", about.trim()), "  ", page);
}

/// Breaks a paragraph into lines; all but the first begin with `indent`.
pub(crate) fn wrap(text: &str, indent: &str, page: &mut String) {
    let mut width = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if width == 0 {
            width = length;
        } else if width + 1 + length > WIDTH {
            page.push('\n');
            page.push_str(indent);
            width = indent.len() + length;
        } else {
            page.push(' ');
            width += 1 + length;
        }
        page.push_str(word);
    }
    page.push('\n');
}

#[cfg(test)]
mod tests;
