//! Imports go one way: no file of `src` needs, by whatever way round, a file that needs it. What a file
//! shares with the files of its own folder does not count: those are its parts.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{File, assert_none, files};

/// Where a circle is left, by its first file's module.
const ROUND: [&str; 0] = [];

/// A module's path from the crate's root.
type Module = Vec<String>;

/// The modules of a crate, and what each of them imports.
struct Imports {
    files: BTreeMap<Module, Vec<(bool, Vec<String>)>>,
}

#[test]
fn no_file_imports_one_that_imports_it() {
    let sources = files("src", "rs");
    let imports = Imports::of(&sources);
    assert!(imports.files.len() > 100, "the files were found");
    let circles = imports.circles();
    let module_of = |circle: &[String]| circle[0].split('/').next().unwrap_or_default().to_owned();
    let new = circles.iter().filter(|circle| !ROUND.contains(&&*module_of(circle)));
    assert_none("files that need each other", new.map(|circle| circle.join(", ")).collect());
    let is_round = |module: &&str| circles.iter().any(|circle| module_of(circle) == **module);
    let undone = ROUND.iter().filter(|module| !is_round(module));
    assert_none("no circle is left there", undone.map(|module| (*module).to_owned()).collect());
}

#[test]
fn a_circle_is_found_through_what_a_folder_shows() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        file("src/a/mod.rs", "mod b;\nmod c;\nmod d;\npub use c::{C,\n    D};\n"),
        file("src/a/b.rs", "use super::{C};\n"),
        file("src/a/c.rs", "use super::d::{self, x::Y};\n// use super::b::B;\n"),
        file("src/a/d.rs", "pub(super) use super::b::B;\nuse super::b;\n#[cfg(test)]\nmod tests {}\n"),
        file("src/a/e.rs", "use super::c;\n"),
    ];
    assert_eq!(Imports::of(&sources).circles(), [["a/b", "a/c", "a/d"]]);
    assert!(Imports::of(&sources[..3]).circles().is_empty());
}

impl Imports {
    fn of(sources: &[File]) -> Self {
        let module = |file: &File| {
            let path = file.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
            (path != "main").then(|| path.split('/').map(str::to_owned).collect::<Module>())
        };
        let of_files = sources.iter().filter_map(|file| Some((module(file)?, uses(file))));
        Self { files: of_files.collect() }
    }

    /// What a path in a file means, from the crate's root; `None`: another crate's.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let rest = &path[ups..];
        let from = &module[..module.len().saturating_sub(ups)];
        match rest.first()?.as_str() {
            "crate" => Some(rest[1..].to_vec()),
            "self" => Some([from, &rest[1..]].concat()),
            first if ups > 0 || self.files.contains_key(&[from, &[first.to_owned()]].concat()) => {
                Some([from, rest].concat())
            }
            _ => None,
        }
    }

    /// The file that has what a path names, through what folders show of their files.
    fn file_of(&self, path: &[String]) -> Option<Module> {
        let file = (1..=path.len()).rev().map(|parts| path[..parts].to_vec());
        let file = file.into_iter().find(|module| self.files.contains_key(module))?;
        let name = path.get(file.len());
        let shown = self.files[&file].iter().find(|(is_shown, path)| *is_shown && path.last() == name);
        match shown.and_then(|(_, path)| self.absolute(&file, path)) {
            Some(shown) if !shown.starts_with(&file) || shown.len() > file.len() + 1 => self.file_of(&shown),
            _ => Some(file),
        }
    }

    fn needs(&self, module: &Module) -> BTreeSet<Module> {
        let private = self.files[module].iter().filter(|(is_shown, _)| !is_shown);
        let needed = private.filter_map(|(_, path)| self.file_of(&self.absolute(module, path)?));
        let is_part = |of: &Module, part: &Module| part.starts_with(of);
        needed.filter(|needed| !is_part(module, needed) && !is_part(needed, module)).collect()
    }

    /// Files that reach each other, each circle once.
    fn circles(&self) -> Vec<Vec<String>> {
        let needs: BTreeMap<_, _> = self.files.keys().map(|module| (module, self.needs(module))).collect();
        let reached = |from: &Module| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(module) = open.pop() {
                open.extend(needs[module].iter().filter(|next| reached.insert((*next).clone())));
            }
            reached
        };
        let reached: BTreeMap<_, _> = self.files.keys().map(|module| (module, reached(module))).collect();
        let circle = |one: &Module| {
            let others = reached[one].iter().filter(|other| reached[other].contains(one));
            others.map(|module| module.join("/")).collect::<Vec<_>>()
        };
        let circles: BTreeSet<_> = self.files.keys().map(circle).filter(|circle| circle.len() > 1).collect();
        circles.into_iter().collect()
    }
}

/// The paths that a file's `use` lines name, and whether it shows them to others.
fn uses(file: &File) -> Vec<(bool, Vec<String>)> {
    let code = file.code().map(|(_, line)| line).take_while(|line| !line.starts_with("mod tests {"));
    let code = code.collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some((before, names)) = statement.rsplit_once("use ").filter(|(before, _)| is_start(before))
        else {
            continue;
        };
        let is_shown = before.trim_end().ends_with("pub") || before.trim_end().ends_with(')');
        spell(&[], names, &mut |path| found.push((is_shown, path)));
    }
    found
}

/// Whether a statement may begin behind this: else the word is part of something else.
fn is_start(before: &str) -> bool {
    let before = before.trim_end();
    before.is_empty() || before.ends_with(['}', ']', ')']) || before.ends_with("pub")
}

/// Each path of a `use`, its braces spelled out.
fn spell(before: &[String], names: &str, found: &mut impl FnMut(Vec<String>)) {
    let (head, list) = names.split_once('{').map_or((names, None), |(head, list)| (head, Some(list)));
    let head = head.split(" as ").next().unwrap_or_default();
    let parts = head.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty());
    let path: Vec<_> = before.iter().cloned().chain(parts).collect();
    let Some(list) = list else { return found(path) };
    let (mut depth, mut from) = (0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !list[from..at].trim().is_empty() {
                    spell(&path, &list[from..at], found);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}
