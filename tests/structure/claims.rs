//! What comments and documents claim of the source, held against the source.

use std::collections::BTreeSet;

use crate::source::{File, assert_none, files};

/// Who reads a token, or a setting that is a secret, in the clear.
const EXPOSING: [&str; 9] = [
    // Sealing, and the requests of providers.
    "src/seal.rs",
    "src/provider/",
    // Settings: read, checked, and handed to the two clients.
    "src/config/",
    "src/broker/connection.rs",
    "src/store/mod.rs",
    // To the receiver of spans: its headers.
    "src/telemetry/otlp.rs",
    "src/cli/keygen.rs",
    // Plays the applications and services that have tokens.
    "crates/sandbox/",
    "src/cli/sandbox",
];

#[test]
fn tokens_and_secrets_are_exposed_where_target_rs_says() {
    let others = files("src", "rs")
        .into_iter()
        .filter(|file| !file.path.contains("tests"))
        .filter(|file| !EXPOSING.iter().any(|place| file.path.starts_with(place)));
    let found = others.flat_map(|file| file.uses("expose()")).collect();
    assert_none("a token or a secret is exposed", found);
}

/// The fields of `docs/logging.md`: in the first column of its table, in backticks.
fn documented() -> BTreeSet<String> {
    let logging = files("docs", "md").into_iter().find(|file| file.path == "docs/logging.md");
    let text = logging.expect("docs/logging.md").text;
    let cells =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next().map(str::to_owned));
    cells
        .flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>())
        .collect()
}

/// What stands between the parentheses of every call of a macro of `tracing`, texts left out.
fn events(file: &File) -> Vec<String> {
    let code = file.text.replace("\\\"", "");
    ["error!(", "warn!(", "info!(", "debug!(", "trace!("]
        .iter()
        .flat_map(|level| code.split(&format!("tracing::{level}")).skip(1).collect::<Vec<_>>())
        .map(arguments)
        .collect()
}

fn arguments(rest: &str) -> String {
    let (mut depth, mut quoted, mut found) = (1, false, String::new());
    for c in rest.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => continue,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        // Commas inside of an expression separate no fields.
        found.push(if c == ',' && depth > 1 { ' ' } else { c });
    }
    found
}

/// The fields among the arguments: `%name`, `?name`, `name` or `name = expression`.
fn fields(arguments: &str) -> impl Iterator<Item = String> {
    let names = arguments.split(',').map(|argument| argument.split('=').next().unwrap_or_default().trim());
    names
        .map(|name| name.trim_start_matches(['%', '?']).to_owned())
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

#[test]
fn every_field_of_the_log_is_in_its_document_and_the_other_way_round() {
    let logging = files("src", "rs").into_iter().filter(|file| !file.path.contains("sandbox"));
    let logged: BTreeSet<_> =
        logging.flat_map(|file| events(&file)).flat_map(|event| fields(&event).collect::<Vec<_>>()).collect();
    assert!(logged.len() > 40, "the fields were found: {logged:?}");
    let documented = documented();
    assert_none("logged and not in docs/logging.md", logged.difference(&documented).cloned().collect());
    assert_none("in docs/logging.md and never logged", documented.difference(&logged).cloned().collect());
}

#[test]
fn the_search_for_fields_finds_them() {
    let text = "tracing::warn!(%error, a_b = f(x, \"y, z\").g(), ?id,\n c.d, \"failed, \\\"so\\\"; \\\n \
        again\"); tracing::info!(n = 1, \"x\")";
    let file = File { path: "src/event/x.rs".to_owned(), text: text.to_owned() };
    let found: Vec<_> = events(&file).iter().flat_map(|event| fields(event).collect::<Vec<_>>()).collect();
    assert_eq!(found, ["error", "a_b", "id", "n"]);
}
