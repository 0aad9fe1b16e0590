//! docs/contract.md names what the code has, and of what it calls there nothing that is not.

use std::collections::BTreeSet;
use std::process::Command;

use revocation_worker::event::{EventType, RefusalCode};
use revocation_worker::outcome::{Proof, State};
use revocation_worker::target::Kind;

use crate::views::VIEWS;

const PAGE: &str = include_str!("../../../docs/contract.md");

/// The rows of the tables of one section, each as the words in code of its first cell and of its second.
fn rows(section: &str) -> Vec<[Vec<&'static str>; 2]> {
    let heading = format!("\n## {section}. ");
    let text = PAGE.split_once(&heading).expect("the section").1.split("\n## ").next().unwrap_or_default();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let words = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect();
    rows.map(|row| {
        let mut cells = row.split('|').skip(1);
        [cells.next(), cells.next()].map(|cell| words(cell.unwrap_or_default()))
    })
    .collect()
}

/// The commands that the program lists in its help, or in that of one command.
fn commands(of: &[&str]) -> BTreeSet<String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_revocation-worker"));
    let output = program.args(of).arg("--help").output().expect("run it");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("    "));
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_word_of_the_wire_and_of_the_record_is_there() {
    let states =
        [State::Pending, State::Parked, State::Revoked, State::Unsupported, State::Expired, State::Cancelled];
    let proofs = [Proof::Accepted, Proof::AlreadyInvalid, Proof::Verified, Proof::Contradicted];
    let words = EventType::ALL
        .map(EventType::as_str)
        .into_iter()
        .chain(EventType::ALL.map(EventType::routing_key))
        .chain(RefusalCode::ALL.map(RefusalCode::as_str))
        .chain(states.map(State::as_str))
        .chain(proofs.map(Proof::as_str));
    for word in words {
        assert!(PAGE.contains(&format!("`{word}`")), "docs/contract.md lacks {word}");
    }
    for kind in Kind::ALL.map(Kind::as_str) {
        assert!(PAGE.contains(&format!("\n| {kind} | `")), "docs/contract.md has no row for {kind}");
    }
}

#[test]
fn every_view_that_it_names_is_there() {
    let named: Vec<_> = rows("7").into_iter().flat_map(|[first, _]| first).collect();
    assert!(named.len() > 8, "{named:?}");
    for view in named {
        let name = view.strip_prefix("audit.").expect("a view of the schema audit");
        assert!(VIEWS.iter().any(|(there, _)| *there == name), "there is no {view}");
    }
}

#[test]
fn its_commands_are_those_of_the_program() {
    let rows = rows("8");
    let named = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    let first: Vec<_> = rows.iter().flat_map(|[first, _]| first.clone()).collect();
    assert_eq!(named(&first), commands(&[]));
    for [command, its] in rows.iter().filter(|[command, _]| !command.is_empty()) {
        let of_it = commands(command);
        assert!(of_it.is_empty() || named(its) == of_it, "{command:?} has {of_it:?}");
    }
}
