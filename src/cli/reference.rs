//! `docs/commands.md`: every command with its arguments, as clap has them. A test holds the page to what they
//! say.

use clap::{Arg, Command};

use super::tree;
use crate::config::wrap;

const HEAD: &str = "# Commands

<!-- Made from the commands in src/cli. Renew it: RENEW_DOCS=1 cargo test --all-features --lib \
    commands_reference -->

`revocation-worker COMMAND --help` says the same in a terminal, `revocation-worker man` as a manual, \
`revocation-worker completions SHELL` has a shell complete it. Exit code 0: done; 1: failed, and the last \
line says what to do; 2: wrong usage or configuration. `--json` prints exact values; tables are for people: \
80 characters wide unless `--wide` is given, long words cut in the middle, times by how long ago, and in \
colour on a terminal unless `NO_COLOR` is set. `--config FILE` goes with every command.
";

/// The page.
fn commands_reference() -> String {
    let mut page = String::new();
    for paragraph in HEAD.split("\n\n") {
        wrap(paragraph.trim_end(), "", &mut page);
        page.push('\n');
    }
    let mut tree = tree().disable_help_subcommand(true);
    tree.build();
    let commands = all(&tree, "");
    page.push_str("| command | does |\n|---|---|\n");
    for (name, command) in &commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!("| [`{name}`](#{}) | {about} |\n", name.replace(' ', "-")));
    }
    commands.iter().for_each(|(name, command)| section(name, command, &mut page));
    page
}

/// The commands that do something, by name.
fn all<'c>(command: &'c Command, before: &str) -> Vec<(String, &'c Command)> {
    let own = command.get_subcommands().flat_map(|own| {
        let name = format!("{before}{}", own.get_name());
        let further = all(own, &format!("{name} "));
        let alone = (!own.is_subcommand_required_set()).then_some((name, own));
        alone.into_iter().chain(further)
    });
    own.collect()
}

fn section(name: &str, command: &Command, page: &mut String) {
    page.push_str(&format!("\n## {name}\n\n"));
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    for paragraph in about.unwrap_or_default().split("\n\n") {
        wrap(&format!("{}.", paragraph.trim_end_matches('.')), "", page);
        page.push('\n');
    }
    let usage = command.clone().render_usage().to_string();
    page.push_str(&format!("```\n{}\n```\n", usage.trim_start_matches("Usage: ")));
    let is_own = |argument: &&Arg| {
        !argument.is_global_set() && !matches!(argument.get_id().as_str(), "help" | "version")
    };
    let own: Vec<_> = command.get_arguments().filter(is_own).collect();
    if !own.is_empty() {
        page.push('\n');
    }
    own.into_iter().for_each(|argument| wrap(&told(argument), "  ", page));
    let examples = command.get_after_long_help().or(command.get_after_help());
    if let Some(examples) = examples {
        page.push_str(&format!("\n```\n{}\n```\n", examples.to_string().trim_end()));
    }
}

fn told(argument: &Arg) -> String {
    let value = argument.get_value_names().unwrap_or_default().join("> <");
    let takes_value = argument.get_action().takes_values();
    let form = match (argument.get_long(), takes_value) {
        (Some(long), true) => format!("--{long} <{value}>"),
        (Some(long), false) => format!("--{long}"),
        (None, _) => format!("<{value}>"),
    };
    let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> =
        argument.get_possible_values().iter().map(|one| format!("`{}`", one.get_name())).collect();
    let values =
        if takes_value && !values.is_empty() { format!(": {}", values.join(", ")) } else { String::new() };
    let defaults: Vec<_> = argument.get_default_values().iter().filter_map(|one| one.to_str()).collect();
    let default = match takes_value && !defaults.is_empty() {
        true => format!(" [default: {}]", defaults.join(", ")),
        false => String::new(),
    };
    format!("- `{form}`: {about}{values}{default}")
}

mod tests;
