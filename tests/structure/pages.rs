//! The pages that people read: links lead somewhere, what they name is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::source::{File, assert_none, files};

/// README, the two beside it, and all pages in `docs` and in the crates.
fn pages() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = [files("docs", "md"), files("crates", "md")].concat();
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let text = fs::read_to_string(root.join(name)).expect("read a page");
        pages.push(File { path: name.to_owned(), text });
    }
    pages
}

fn page(path: &str) -> File {
    pages().into_iter().find(|page| page.path == path).unwrap_or_else(|| panic!("there is no {path}"))
}

/// The lines that are no code: (number, line).
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut is_code = false;
    let outside = |(_, line): &(usize, &str)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    };
    (1..).zip(text.lines()).filter(outside).collect()
}

/// The blocks of code: how a block is marked, and its text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

/// Where the links of a text lead to.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let named = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, to)| to);
        found.extend(inline.chain(named).map(|to| (number, to.to_owned())));
    }
    found
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut times = BTreeMap::<String, usize>::new();
    let headings = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    let of_heading = |(_, line): (usize, &str)| {
        let title = line.trim_start_matches('#').trim();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let times = times.entry(slug.clone()).or_default();
        *times += 1;
        if *times == 1 { slug } else { format!("{slug}-{}", *times - 1) }
    };
    headings.map(of_heading).collect()
}

/// A path without `..`.
fn tidied(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(tidy.pop()),
            Component::CurDir => {}
            part => tidy.push(part),
        }
    }
    tidy
}

#[test]
fn every_link_leads_somewhere() {
    let (root, mut checked) = (Path::new(env!("CARGO_MANIFEST_DIR")), 0);
    let mut broken = Vec::new();
    for page in pages() {
        for (number, to) in links(&page.text) {
            if to.contains("://") {
                continue;
            }
            let (file, anchor) = to.split_once('#').map_or((to.as_str(), None), |(f, a)| (f, Some(a)));
            let place = if file.is_empty() {
                root.join(&page.path)
            } else {
                tidied(&root.join(&page.path).parent().expect("a folder").join(file))
            };
            let has_anchor = |anchor: &str| {
                let text = fs::read_to_string(&place).unwrap_or_default();
                place.extension().is_some_and(|kind| kind == "md") && anchors(&text).contains(anchor)
            };
            if !place.exists() || !place.starts_with(root) || !anchor.is_none_or(has_anchor) {
                broken.push(format!("{}:{number} {to}", page.path));
            }
            checked += 1;
        }
    }
    assert!(checked > 80, "the links were found: {checked}");
    assert_none("a link that leads nowhere", broken);
}

#[test]
fn readme_is_the_front_door() {
    let readme = page("README.md");
    assert!(readme.text.lines().count() < 150, "README.md is longer than a front door");
    assert!(readme.text.contains("](docs/page.png)"), "README.md shows the page");
    let named: BTreeSet<_> = links(&readme.text).into_iter().map(|(_, to)| to).collect();
    let unnamed = files("docs", "md").into_iter().map(|file| file.path);
    let unnamed = unnamed.filter(|path| !named.contains(path)).collect();
    assert_none("README.md leads to every page", unnamed);
}

/// `.ci/run` calls what README calls every check that CI runs.
#[test]
fn ci_runs_what_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ci = fs::read_to_string(root.join(".ci/run")).expect("read .ci/run");
    let readme = page("README.md").text;
    let told = readme.lines().find(|line| line.ends_with("# every check that CI runs")).expect("a line");
    let told = told.split('#').next().unwrap_or_default().trim();
    assert_eq!(ci.lines().last(), Some(format!("exec {told}").as_str()));
}

/// The verbs that pages have people call are those of `dev`.
#[test]
fn dev_has_each_verb_that_is_called() {
    let dev = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dev")).expect("read dev");
    let (_, cases) = dev.rsplit_once("case $verb in\n").expect("the verbs");
    let cases = cases.lines().filter_map(|line| line.trim().split_once(')'));
    let verbs: BTreeSet<_> = cases.flat_map(|(verbs, _)| verbs.split(" | ")).collect();
    assert!(verbs.contains("test") && verbs.len() > 7, "the verbs were found: {verbs:?}");
    let mut called = 0;
    let mut unknown = Vec::new();
    for page in pages() {
        for call in page.text.split("./dev ").skip(1) {
            let verb = call.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next();
            let verb = verb.unwrap_or_default();
            called += 1;
            if !verbs.contains(verb) {
                unknown.push(format!("{}: ./dev {verb}", page.path));
            }
        }
    }
    assert!(called > 15, "the calls were found: {called}");
    assert_none("./dev has no such verb", unknown);
}

/// Settings by section, as docs/settings.md has them, which is made from the tables.
fn settings() -> BTreeMap<String, BTreeSet<String>> {
    let mut settings = BTreeMap::<String, BTreeSet<String>>::new();
    let mut section = String::new();
    for line in page("docs/settings.md").text.lines() {
        if let Some(name) = line.strip_prefix("## `[").and_then(|rest| rest.strip_suffix("]`")) {
            name.clone_into(&mut section);
        } else if let Some(rest) = line.strip_prefix("- `") {
            let keys = rest.split_once(": ").map_or(rest, |(keys, _)| keys).split('`').step_by(2);
            let words = keys.flat_map(|keys| keys.split(|c: char| !(c.is_ascii_lowercase() || c == '_')));
            settings.entry(section.clone()).or_default().extend(words.map(str::to_owned));
        }
    }
    settings
}

/// A file that is called like a setting.
const NO_SETTING: &str = "verifiers.ndjson";

#[test]
fn every_setting_that_is_named_is_one() {
    let settings = settings();
    let (mut named, mut unknown) = (0, Vec::new());
    for page in pages() {
        for (number, line) in prose(&page.text) {
            for span in line.split('`').skip(1).step_by(2) {
                let name = span.split(" = ").next().unwrap_or_default();
                let is_plain = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
                let Some((section, key)) = name.rsplit_once('.') else { continue };
                if section.is_empty() || name == NO_SETTING {
                    continue;
                }
                let Some(keys) = settings.get(section).filter(|_| name.chars().all(is_plain)) else {
                    continue;
                };
                named += 1;
                let is_section = settings.contains_key(&format!("{name}.<name>"));
                if !keys.contains(key) && !is_section && !settings.contains_key(name) {
                    unknown.push(format!("{}:{number} {name}", page.path));
                }
            }
        }
    }
    assert!(named > 20, "the settings were found: {named}");
    assert_none("there is no such setting", unknown);
}

/// docs/operations.md has what to do about each alert, and about no other.
#[test]
fn each_alert_has_its_section() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let alerts = fs::read_to_string(root.join("ops/alerts.yml")).expect("read the alerts");
    let alerts: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 15, "the alerts were found: {alerts:?}");
    let text = page("docs/operations.md").text;
    let (_, sections) = text.split_once("\n## Alerts\n").expect("the alerts' part");
    let sections: Vec<_> = sections.split("\n### ").skip(1).collect();
    let titles: Vec<_> = sections.iter().filter_map(|section| section.lines().next()).collect();
    assert_eq!(titles, alerts, "in the order of ops/alerts.yml");
    let silent = sections.iter().flat_map(|section| {
        let missing = ["**Meaning.** ", "**First look.** ", "**Remedy.** "]
            .into_iter()
            .filter(|says| !section.contains(&format!("\n\n{says}")));
        missing.map(|says| format!("{}: {says}", section.lines().next().unwrap_or_default()))
    });
    assert_none("an alert's section is silent", silent.collect());
}

/// Whatever is code says which language it is in, so that what is only an example is marked `text`.
#[test]
fn blocks_are_marked() {
    let is_made = |page: &File| page.text.contains("<!-- Made from ");
    let unmarked = pages().into_iter().filter(|page| !is_made(page)).flat_map(|page| {
        let bare = blocks(&page.text).into_iter().filter(|(mark, _)| mark.is_empty());
        bare.map(|(_, text)| format!("{}: {}", page.path, text.lines().next().unwrap_or_default()))
            .collect::<Vec<_>>()
    });
    assert_none("a block of code without its language", unmarked.collect());
}

#[test]
fn the_searches_of_pages_find_what_they_look_for() {
    let text =
        "# A `b` c … d\n\n## A b\n## A b\nsee [x](y.md#z) and ![p](q.png)\n```sh\n[no](link)\n```\n[n]: to\n";
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-b", "a-b-1", "a-b-c--d"]);
    let found: Vec<_> = links(text).into_iter().map(|(_, to)| to).collect();
    assert_eq!(found, ["y.md#z", "q.png", "to"]);
    assert_eq!(blocks(text), [("sh", "[no](link)")]);
    assert_eq!(tidied(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
}
