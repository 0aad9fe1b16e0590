//! The source keeps its shape: who may import what, how long files are, what must not appear.
#![cfg(test)]

mod circles;
mod claims;
mod contract;
mod dependencies;
mod homes;
mod ops;
mod pages;
mod security;
mod source;

use std::fs;
use std::path::PathBuf;

use source::*;

const LONGEST_FILE: usize = 300;
const LONGEST_TEST: usize = 350;
const LONGEST_LINE: usize = 110;

/// A library, and the only folder of `src` that may name it.
const ADAPTERS: [(&str, &str); 3] =
    [("lapin", "src/broker/"), ("reqwest", "src/provider/"), ("sqlx", "src/store/")];

/// Modules without I/O, which import each other only.
const PURE: [&str; 15] = [
    "approval",
    "authorization",
    "checkpoint",
    "clock",
    "config",
    "event",
    "invalidation",
    "outcome",
    "receive",
    "report",
    "retry",
    "seal",
    "target",
    "trace",
    "visible",
];
/// Nothing that does I/O or needs a runtime.
const IMPURE_LIBRARIES: [&str; 6] = ["lapin", "reqwest", "sqlx", "axum", "tokio", "futures"];
/// What does I/O in the standard library, and the one file of pure modules that may.
const IMPURE_CALLS: [&str; 6] =
    ["std::fs", "std::env", "io::stdin", "io::stderr", "read_to_string(", "File::open"];
const READS_THE_MACHINE: &str = "src/config/machine.rs";

/// Module, and which others of the crate it may import beside the pure ones.
const IMPORTS: [(&str, &[&str]); 10] = [
    // A library beside the worker, which it knows nothing of.
    ("admission", &["provider", "store"]),
    ("broker", &["again"]),
    ("order", &["broker"]),
    ("provider", &[]),
    ("store", &["again"]),
    // The backlog is shown as it was counted; spans are sent by the HTTP client of providers.
    ("telemetry", &["store", "provider", "VERSION"]),
    (
        "worker",
        &[
            "again",
            "admission",
            "broker",
            "provider",
            "senders",
            "store",
            "telemetry",
            "failpoint",
            "VERSION",
        ],
    ),
    // Keys are fetched, and that is counted.
    ("senders", &["provider", "telemetry"]),
    // What status and page say alike, of what the store has read.
    ("attention", &["store"]),
    ("http", &["attention", "store", "telemetry", "worker", "VERSION"]),
];

/// Modules whose times are on record, in messages or decide something.
const TIMED: [&str; 8] =
    ["admission", "broker", "event", "http", "invalidation", "provider", "store", "worker"];

/// Waiting in tests is for a thing, never for a time. The scripted provider's slow answers are what is
/// tested.
const MAY_SLEEP: [&str; 1] = ["tests/scripted_idp/mod.rs"];

#[test]
fn only_its_adapter_names_a_library() {
    for (library, folder) in ADAPTERS {
        let foreign = files("src", "rs").into_iter().filter(|file| !file.path.starts_with(folder));
        let found: Vec<_> = foreign
            .flat_map(|file| {
                [file.uses(&format!("{library}::")), file.uses(&format!("use {library}"))].concat()
            })
            .collect();
        assert_none(&format!("{library} is for {} alone", folder), found);
    }
}

#[test]
fn pure_modules_import_each_other_only() {
    for file in
        files("src", "rs").iter().filter(|file| file.module().is_some_and(|module| PURE.contains(&module)))
    {
        let foreign = file.imports().into_iter().filter(|(module, _)| !PURE.contains(&module.as_str()));
        assert_none(
            "a pure module imports what is not pure",
            foreign.map(|(module, place)| format!("{place} {module}")).collect(),
        );
        let libraries = IMPURE_LIBRARIES.iter().flat_map(|library| file.uses(&format!("{library}::")));
        assert_none("a pure module uses a library with I/O", libraries.collect());
        if file.path != READS_THE_MACHINE && !file.path.contains("tests") {
            let calls = IMPURE_CALLS.iter().flat_map(|call| file.uses(call));
            assert_none("a pure module does I/O", calls.collect());
        }
    }
}

#[test]
fn adapters_know_nothing_of_each_other() {
    for (module, others) in IMPORTS {
        let of_it: Vec<_> =
            files("src", "rs").into_iter().filter(|file| file.module() == Some(module)).collect();
        assert!(!of_it.is_empty(), "there is no module {module}");
        let imports = of_it.iter().flat_map(File::imports);
        let foreign = imports.filter(|(import, _)| {
            import != module && !PURE.contains(&import.as_str()) && !others.contains(&import.as_str())
        });
        assert_none(
            &format!("{module} imports more than it may"),
            foreign.map(|(import, place)| format!("{place} {import}")).collect(),
        );
    }
}

/// What there is to say of a kind of provider is in two files of its own: its settings, and its calls with a
/// pure function that says what their answers mean, or declared by the parts of others.
#[test]
fn each_kind_of_provider_has_its_two_files() {
    let sources = files("src", "rs");
    let text = |path: &str| {
        let file = sources.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str()).unwrap_or_default()
    };
    let rows = text("src/config/kinds.rs").split("\nkinds! {\n").nth(1).expect("the list of kinds");
    let rows = rows.split("\n}").next().unwrap_or_default();
    let kinds: Vec<_> = rows.lines().filter_map(|row| row.split('"').nth(1)).collect();
    assert!(kinds.contains(&"keycloak") && kinds.len() > 5, "the kinds were found: {kinds:?}");
    for kind in kinds {
        assert!(text(&format!("src/config/kinds/{kind}.rs")).contains("settings! {"), "{kind}'s settings");
        let file = match kind {
            // A file of this name is the client of all.
            "http" => "src/provider/declared/settings.rs".to_owned(),
            kind => format!("src/provider/{kind}.rs"),
        };
        let calls = text(&file);
        let classifies = calls.contains("fn classify(") && calls.contains("impl Dialect for");
        let is_declared = calls.contains("Result<Declared, ") || calls.contains("Result<Rfc7009, ");
        assert!(
            classifies || is_declared || kind == "http" && calls.contains("impl Declared"),
            "{kind}'s calls"
        );
    }
}

/// A worker's own clock may be wrong: times are the database's.
#[test]
fn only_the_clock_asks_what_time_it_is() {
    let asking = files("src", "rs")
        .into_iter()
        .filter(|file| file.module().is_some_and(|module| TIMED.contains(&module)));
    let found = asking.flat_map(|file| [file.uses("now_utc"), file.uses("SystemTime::now")].concat());
    assert_none("a time that is not the clock's", found.collect());
}

#[test]
fn tests_wait_for_things_not_for_time() {
    let tests = rust()
        .into_iter()
        .filter(|file| file.path.contains("tests") && !MAY_SLEEP.contains(&file.path.as_str()));
    assert_none(
        "a test sleeps",
        tests.flat_map(|file| [file.uses("sleep"), file.uses("sleep_until")].concat()).collect(),
    );
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    assert_none(
        "a lint is allowed",
        rust().iter().flat_map(|file| [file.uses("#[allow"), file.uses("#![allow")].concat()).collect(),
    );
}

#[test]
fn files_are_short_and_named_by_the_domain() {
    let longest = |file: &File| if file.path.starts_with("tests/") { LONGEST_TEST } else { LONGEST_FILE };
    let long = rust().into_iter().filter(|file| file.text.lines().count() >= longest(file));
    assert_none(
        "too long",
        long.map(|file| format!("{}: {} lines", file.path, file.text.lines().count())).collect(),
    );
    let vague =
        ["utils", "util", "common", "helpers", "helper", "types", "manager", "misc", "new", "old", "v2"];
    let named_vaguely =
        |path: &str| path.split('/').any(|part| vague.contains(&part.trim_end_matches(".rs")));
    assert_none(
        "a name that says nothing",
        rust().into_iter().map(|file| file.path).filter(|path| named_vaguely(path)).collect(),
    );
}

#[test]
fn lines_fit_beside_another_file() {
    let of_file = |file: File| {
        let long = file.text.lines().zip(1..).filter(|(line, _)| line.chars().count() > LONGEST_LINE);
        long.map(|(_, number)| format!("{}:{number}", file.path)).collect::<Vec<_>>()
    };
    assert_none("a line is too long", rust().into_iter().flat_map(of_file).collect());
}

/// clap breaks help at 100 columns: a longer line leaves a word alone on the next.
#[test]
fn help_is_broken_where_it_says() {
    let long = files("src", "txt").into_iter().flat_map(|file| {
        let long = file.text.lines().filter(|line| line.chars().count() > 98).count();
        (long > 0).then(|| format!("{}: {long} lines", file.path))
    });
    assert_none("clap breaks lines again", long.collect());
}

#[test]
fn no_text_names_a_machine_or_an_unfinished_thing() {
    let mut texts = rust();
    for extension in ["md", "conf", "yaml"] {
        texts.extend(files("docs", extension));
    }
    texts.extend(files("migrations", "sql"));
    texts.extend(files("crates", "toml"));
    texts.extend(files("crates", "md"));
    for name in [
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "deny.toml",
        "Dockerfile",
        "docker-compose.yml",
        "dev",
    ] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        texts.push(File { path: name.to_owned(), text: fs::read_to_string(path).expect("read a file") });
    }
    // In two parts, so that this file does not find itself.
    let machine = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/Us", "ers/"],
        ["local", "host:3000"],
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
    ]
    .map(|parts| parts.concat());
    let found = texts.iter().flat_map(|file| {
        let named = |line: &str| machine.iter().any(|word| line.contains(word.as_str()));
        (1..)
            .zip(file.text.lines())
            .filter(move |(_, line)| named(line))
            .map(|(number, _): (usize, _)| format!("{}:{number}", file.path))
    });
    assert_none("a machine's path or an unfinished thing", found.collect());
}

#[test]
fn each_dependency_says_what_it_is_for_and_is_used() {
    let mut packages = packages();
    assert!(packages.len() > 5, "the crates were found");
    let root = packages[0].dependencies.clone();
    let (shared, own): (Vec<_>, Vec<_>) =
        root.into_iter().partition(|dependency| dependency.section == "[workspace.dependencies]");
    assert!(shared.len() > 20 && own.len() > 20, "the dependencies were found");
    packages[0].dependencies = own;
    for dependency in packages.iter().flat_map(|package| &package.dependencies).chain(&shared) {
        let name = &dependency.name;
        assert!(dependency.is_explained(), "{name} has no comment above it that says what it is for");
    }
    for Package { folder, sources, dependencies } in &packages {
        for dependency in dependencies {
            assert!(dependency.is_used(sources), "{} is not used in {folder:?}", dependency.name);
        }
    }
    for dependency in shared {
        let mut all = packages.iter().flat_map(|package| &package.dependencies);
        let is_inherited = |other: &Dependency| other.line.contains("workspace = true");
        assert!(
            all.any(|other| other.name == dependency.name && is_inherited(other)),
            "{} is not used by any crate",
            dependency.name
        );
    }
}

#[test]
fn the_searches_above_find_what_they_look_for() {
    let file = |text: &str| File { path: "src/event/x.rs".to_owned(), text: text.to_owned() };
    assert_eq!(file("").module(), Some("event"));
    assert_eq!(file("a\nlapin::Channel").uses("lapin::"), ["src/event/x.rs:2"]);
    for (text, word) in [
        ("    use sqlx::{Row};", "sqlx::"),
        ("use reqwest;", "use reqwest"),
        ("#[allow(dead_code)]", "#[allow"),
        ("time::sleep(x)", "sleep"),
    ] {
        assert_eq!(file(text).uses(word), ["src/event/x.rs:1"], "{text}");
    }
    for (text, word) in [
        ("// lapin::Channel", "lapin::"),
        ("\"lapin::Channel\"", "lapin::"),
        ("my_lapin::Channel", "lapin::"),
        ("sleepy", "sleep"),
    ] {
        assert_eq!(file(text).uses(word), [""; 0], "{text}");
    }
    let imports: Vec<_> =
        file("use crate::{store::Store, worker};\npub(in crate::app) fn f(x: crate::cli::X) {}")
            .imports()
            .into_iter()
            .map(|(module, _)| module)
            .collect();
    assert_eq!(imports, ["store", "worker", "app", "cli"]);
}
