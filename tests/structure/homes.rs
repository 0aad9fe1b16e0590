//! What has one home: a call that belongs to one file appears in no other.

use crate::source::{assert_none, files};

/// What is done there, the call that does it, where it is looked for, and the only files that make it.
const HOMES: [(&str, &str, &str, &[&str]); 6] = [
    ("acknowledging a delivery", ".ack()", "src/worker", &["src/worker/acknowledge.rs"]),
    ("composing what verifiers are told", ".invalidations(", "src/worker", &["src/worker/announce.rs"]),
    ("publishing what verifiers are told", ".invalidate(", "src/worker", &["src/worker/announce.rs"]),
    ("publishing denials", ".deliver(", "src/worker", &["src/worker/announce/outbox.rs"]),
    ("which members an entry has", "Entry::Session { sid", "src", &["src/invalidation/entry.rs"]),
    // The pure outcome says when a target is tried again.
    ("waiting between tries", ".delay(", "src", &["src/again.rs", "src/outcome.rs"]),
];

#[test]
fn what_has_one_home_is_done_nowhere_else() {
    for (what, call, folder, homes) in HOMES {
        let sources = files(folder, "rs");
        let is_home = |path: &str| homes.contains(&path);
        let at_home = sources.iter().filter(|file| is_home(&file.path));
        assert_eq!(at_home.filter(|file| file.text.contains(call)).count(), homes.len(), "{what}: {call}");
        let away = sources.iter().filter(|file| !is_home(&file.path) && !file.path.contains("tests"));
        let found = away.flat_map(|file| {
            let lines = file.code().filter(|(_, line)| line.contains(call));
            lines.map(|(number, _)| format!("{}:{number}", file.path)).collect::<Vec<_>>()
        });
        assert_none(&format!("{what} belongs into {}", homes.join(" and ")), found.collect());
    }
}

/// A log line that nobody reads is not evaluated: what it counted would not be counted.
#[test]
fn failures_are_counted_outside_of_log_lines() {
    let found = files("src", "rs").into_iter().flat_map(|file| file.uses("= again.failed(),"));
    assert_none("a failure is counted within a log line", found.collect());
}
