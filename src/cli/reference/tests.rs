//! The page is what clap says, and clap takes what the pages have people type.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::super::{Cli, NAME};
use super::*;

#[test]
fn the_commands_reference_is_what_the_commands_say() {
    // Other builds lack the sandbox.
    if !cfg!(feature = "sandbox") {
        return;
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let page = commands_reference();
    if std::env::var_os("RENEW_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    let renew = "RENEW_DOCS=1 cargo test --all-features --lib commands_reference";
    assert!(written == page, "docs/commands.md is old: {renew}");
}

#[test]
fn every_command_and_argument_has_a_sentence_of_its_own() {
    let mut tree = tree();
    tree.build();
    for (name, command) in all(&tree, "").into_iter().filter(|(name, _)| !name.contains("help")) {
        assert!(command.get_about().is_some(), "{name}");
        let silent = command.get_arguments().find(|argument| argument.get_help().is_none());
        assert!(silent.is_none(), "{name}: {:?}", silent.map(Arg::get_id));
    }
}

#[test]
fn clap_finds_no_fault() {
    tree().debug_assert();
}

/// README, the two beside it, all pages in `docs`, the alerts and what is deployed.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut folders) = (Vec::new(), vec![root.join("docs"), root.join("ops")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|kind| kind.to_str()) {
                None if path.is_dir() => folders.push(path),
                Some("md" | "yml" | "service" | "ini") => files.push(path),
                _ => {}
            }
        }
    }
    files.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name)));
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// What a page has people type: lines of blocks, unless these are marked `text`, and code in sentences.
fn typed(text: &str) -> Vec<String> {
    let (mut typed, mut block) = (Vec::new(), None);
    // Lines that go on, and what Prometheus fills in.
    let text = text.replace("\\\n", " ").replace("{{ $labels.", "").replace(" }}", "");
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), block) {
            (Some(mark), None) => block = Some(mark),
            (Some(_), Some(_)) => block = None,
            (None, Some("" | "sh")) => typed.push(line.to_owned()),
            (None, Some(_)) => {}
            (None, None) => typed.extend(line.split('`').skip(1).step_by(2).map(str::to_owned)),
        }
    }
    typed
}

/// The calls of the program in a line of shell, each with its arguments.
fn calls(line: &str) -> Vec<Vec<String>> {
    let (mut words, mut word, mut quote, mut calls) = (Vec::new(), None::<String>, None, Vec::new());
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            // `<NAME>` stands for a word; `<file` is redirected.
            ('|' | ';' | '&' | '>' | '(' | ')' | '<', None) if c != '<' || word.is_none() => {
                words.extend(word.take());
                calls.push(std::mem::take(&mut words));
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    calls.push(words);
    let calls = calls.into_iter().filter_map(|words| {
        let own = words.iter().position(|word| !word.contains('='))?;
        (words[own] == NAME).then(|| words[own..].to_vec())
    });
    calls.filter(|words| words.len() > 1).collect()
}

/// A form instead of a command: usage, or a command's name with something left out.
fn is_form(words: &[String]) -> bool {
    let stands_for_more = |word: &String| word.contains('…') || word.starts_with('[');
    words.iter().any(|word| ["COMMAND", "SHELL"].contains(&word.as_str()) || stands_for_more(word))
}

/// A command by its name alone, as sentences have it.
fn is_name(words: &[String]) -> bool {
    let named = words.iter().skip(1).try_fold(tree(), |at, word| at.find_subcommand(word).cloned());
    named.is_some()
}

/// What stands for the id of a target.
const ID: (&str, &str) = ("ID", "01a22ed4-265f-7414-a0a7-7851a5ebb792-0");

#[test]
fn the_program_takes_what_pages_have_people_type() {
    let (mut taken, mut refused) = (0, Vec::new());
    for (path, text) in pages() {
        for mut words in typed(&text).iter().flat_map(|line| calls(line)) {
            if is_form(&words) || is_name(&words) {
                continue;
            }
            words.iter_mut().filter(|word| *word == ID.0).for_each(|word| ID.1.clone_into(word));
            taken += 1;
            if let Err(error) = Cli::try_parse_from(&words) {
                refused.push(format!("{}: {}: {error}", path.display(), words.join(" ")));
            }
        }
    }
    assert!(taken > 40, "the calls were found: {taken}");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn calls_are_found_in_a_line_of_shell() {
    let found = calls("A=b printf %s \"$T\" | X=y revocation-worker audit --token -   # what; then");
    assert_eq!(found, [["revocation-worker", "audit", "--token", "-"].map(str::to_owned)]);
    let found = calls("K=$(revocation-worker keygen) && revocation-worker retry --provider 'a b' <file");
    let words: Vec<_> = found.iter().map(|words| words.join("+")).collect();
    assert_eq!(words, ["revocation-worker+keygen", "revocation-worker+retry+--provider+a b"]);
}
