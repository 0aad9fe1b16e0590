//! The files of this package, and what a search finds in them.

use std::fs;
use std::path::Path;

#[derive(Clone)]
pub(crate) struct File {
    /// From the package's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn files(folder: &str, extension: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("read a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|given| given == extension) {
                found.push(File {
                    path: relative(root, &path),
                    text: fs::read_to_string(&path).expect("read a file"),
                });
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} in {folder}");
    found
}

pub(crate) fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).expect("inside the package").to_string_lossy().replace('\\', "/")
}

/// The sources of the worker and of all crates.
pub(crate) fn rust() -> Vec<File> {
    ["src", "tests", "benches", "crates"].into_iter().flat_map(|folder| files(folder, "rs")).collect()
}

/// The worker, or one of the crates.
pub(crate) struct Package {
    /// From the workspace's root; empty for the worker.
    pub(crate) folder: String,
    pub(crate) sources: Vec<File>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// All packages, the worker first.
pub(crate) fn packages() -> Vec<Package> {
    let manifests = files("crates", "toml").into_iter().map(|file| file.path);
    let folders = manifests.filter_map(|path| path.strip_suffix("Cargo.toml").map(str::to_owned));
    let (of_crates, of_worker): (Vec<_>, Vec<_>) =
        rust().into_iter().partition(|file| file.path.starts_with("crates/"));
    let crates = folders.map(|folder| {
        let own = of_crates.iter().filter(|file| file.path.starts_with(&folder)).cloned();
        let dependencies = dependencies(&manifest(&format!("{folder}Cargo.toml")));
        Package { sources: own.collect(), dependencies, folder }
    });
    let worker = Package {
        folder: String::new(),
        sources: of_worker,
        dependencies: dependencies(&manifest("Cargo.toml")),
    };
    std::iter::once(worker).chain(crates).collect()
}

pub(crate) fn manifest(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("read a manifest")
}

/// A line of a manifest's dependencies.
#[derive(Clone)]
pub(crate) struct Dependency {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) line: String,
    /// The line above it.
    pub(crate) before: String,
}

pub(crate) fn dependencies(manifest: &str) -> Vec<Dependency> {
    let (mut section, mut before, mut found) = ("", "", Vec::new());
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once(" = ")
        {
            let name = name.trim_end_matches(".workspace").to_owned();
            found.push(Dependency {
                section: section.to_owned(),
                name,
                line: line.to_owned(),
                before: before.to_owned(),
            });
        }
        before = line;
    }
    found
}

impl Dependency {
    /// What it is for stands at the workspace's line already, unless this line is about a part of the crate
    /// only.
    pub(crate) fn is_explained(&self) -> bool {
        let inherited = self.line.contains("workspace = true") && !self.line.contains("optional = true");
        inherited || (self.before.starts_with("# ") && self.before.len() > 5)
    }

    pub(crate) fn is_used(&self, sources: &[File]) -> bool {
        let word = self.name.replace('-', "_");
        sources.iter().any(|file| {
            !file.uses(&format!("{word}::")).is_empty() || file.text.contains(&format!("use {word}"))
        })
    }
}

impl File {
    /// The module of `src` that it belongs to.
    pub(crate) fn module(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split(['/', '.']).next()
    }

    /// Its code: lines without comments, and with what stands in quotes left out.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, String)> {
        (1..).zip(self.text.lines()).map(|(number, line)| {
            let unquoted = line.replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
            (number, unquoted.split("//").next().unwrap_or_default().to_owned())
        })
    }

    /// Where its code has a word, as `path:line`.
    pub(crate) fn uses(&self, word: &str) -> Vec<String> {
        let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let open_ended = !is_inside(word.chars().last());
        let has = |line: &str| {
            line.match_indices(word).any(|(at, _)| {
                let (before, after) = (line[..at].chars().last(), line[at + word.len()..].chars().next());
                !is_inside(before) && (open_ended || !is_inside(after))
            })
        };
        self.code()
            .filter(|(_, line)| has(line))
            .map(|(number, _)| format!("{}:{number}", self.path))
            .collect()
    }

    /// The modules of this crate that it names.
    pub(crate) fn imports(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (number, line) in self.code() {
            for part in line.split("crate::").skip(1) {
                let names =
                    part.strip_prefix('{').map_or(part, |list| list.split('}').next().unwrap_or_default());
                for name in if part.starts_with('{') { names.split(',').collect() } else { vec![names] } {
                    let module = name
                        .trim()
                        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                        .next()
                        .unwrap_or_default();
                    found.push((module.to_owned(), format!("{}:{number}", self.path)));
                }
            }
        }
        found
    }
}

#[track_caller]
pub(crate) fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}
