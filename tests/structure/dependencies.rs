//! What stands in deny.toml is true of the dependencies: as far as it can be seen without cargo-deny and its
//! database.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::source::{Dependency, dependencies, manifest};

fn file(name: &str) -> toml::Table {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("read it");
    text.parse().expect("TOML")
}

fn rules() -> Value {
    serde_json::to_value(file("deny.toml")).expect("JSON")
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Every crate that is in the programs or used by their tests, on this platform.
fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "metadata",
        "--offline",
        "--locked",
        "--format-version=1",
        "--all-features",
    ]);
    let ran = cargo
        .arg(format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH))
        .output()
        .expect("run cargo");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

/// Name and licence of each of them.
fn licences() -> BTreeMap<String, String> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let licences = packages.map(|package| (text(&package["name"]), text(&package["license"])));
    licences.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether an SPDX expression is met: of those joined by OR (in old manifests `/`) one, of those joined by
/// AND all.
fn is_met(licence: &str, allowed: &BTreeSet<String>) -> bool {
    // As crates write them, parentheses stand round alternatives only.
    let parts = licence.replace('/', " OR ").replace(['(', ')'], " ");
    parts.split(" AND ").all(|part| part.split(" OR ").any(|name| allowed.contains(name.trim())))
}

#[test]
fn every_licence_is_one_that_deny_toml_allows() {
    let rules = rules();
    let allowed = texts(&rules["licenses"]["allow"]);
    let mut exceptions = BTreeMap::new();
    for exception in rules["licenses"]["exceptions"].as_array().expect("exceptions") {
        exceptions.insert(text(&exception["crate"]), texts(&exception["allow"]));
    }
    let licences = licences();
    assert!(licences.len() > 200, "the crates were found");
    for (name, licence) in &licences {
        let of_it = exceptions.get(name).cloned().unwrap_or_default();
        assert!(is_met(licence, &allowed) || is_met(licence, &of_it), "{name}: {licence}");
    }
    for name in exceptions.keys() {
        assert!(licences.contains_key(name), "{name} is not among the crates: its exception can go");
    }
}

#[test]
fn licences_are_read_as_they_are_written() {
    let allowed: BTreeSet<_> = ["MIT", "ISC"].map(str::to_owned).into();
    for met in ["MIT", "MIT OR Apache-2.0", "Apache-2.0/MIT", "ISC AND (Apache-2.0 OR MIT)", "MIT AND ISC"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 OR GPL-3.0", "MIT-0"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn each_exception_says_why_and_is_still_needed() {
    let (rules, lock) = (rules(), serde_json::to_value(file("Cargo.lock")).expect("JSON"));
    let packages: BTreeSet<_> =
        lock["package"].as_array().expect("packages").iter().map(|package| text(&package["name"])).collect();
    let ignored = rules["advisories"]["ignore"].as_array().expect("exceptions");
    let mut named = BTreeSet::new();
    for exception in ignored {
        let (id, reason) = (text(&exception["id"]), text(&exception["reason"]));
        let (name, why) = reason.split_once(' ').expect("the crate's name and the reason");
        assert!(id.starts_with("RUSTSEC-") && why.len() > 20, "{id}: {reason}");
        assert!(packages.contains(name), "{name} is not among the crates: {id} can go");
        named.insert(name.to_owned());
    }
    assert!(named.contains("backoff") && named.contains("instant"), "{named:?}");
}

#[test]
fn every_crate_comes_from_where_deny_toml_allows() {
    let (rules, lock) = (rules(), serde_json::to_value(file("Cargo.lock")).expect("JSON"));
    let registries = texts(&rules["sources"]["allow-registry"]);
    for package in lock["package"].as_array().expect("packages") {
        let source = text(&package["source"]);
        let is_ours = source.is_empty() && text(&package["name"]).starts_with("revocation-");
        assert!(
            is_ours || source.strip_prefix("registry+").is_some_and(|registry| registries.contains(registry)),
            "{package}"
        );
    }
}

/// The crates, by their ids, that a package builds on: itself, what it depends on, and so on. Not for tests.
fn built_on(metadata: &Value, package: &str) -> BTreeSet<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let (mut found, mut next) = (BTreeSet::new(), vec![package.to_owned()]);
    while let Some(id) = next.pop() {
        let node = nodes.iter().find(|node| node["id"] == id.as_str()).expect("a node");
        let needed = node["deps"].as_array().expect("dependencies").iter().filter(|dependency| {
            let mut kinds = dependency["dep_kinds"].as_array().expect("kinds").iter();
            kinds.any(|kind| kind["kind"] != "dev")
        });
        let needed: Vec<_> = needed.map(|dependency| text(&dependency["pkg"])).collect();
        next.extend(needed.into_iter().filter(|id| !found.contains(id)));
        found.insert(id);
    }
    found
}

/// Services embed it, and not all of them build with the newest compiler.
#[test]
fn the_verifier_asks_for_no_newer_compiler_than_its_dependencies_do() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let verifier = packages.iter().find(|package| package["name"] == "revocation-verifier").expect("it");
    let mut needed = built_on(&metadata, &text(&verifier["id"]));
    assert!(needed.remove(&text(&verifier["id"])) && needed.len() > 50, "the crates were found");
    let version = |package: &Value| -> Vec<u32> {
        let version = text(&package["rust_version"]);
        version.split('.').take(2).filter_map(|part| part.parse().ok()).collect()
    };
    let of_others = packages.iter().filter(|package| needed.contains(&text(&package["id"])));
    assert_eq!(Some(version(verifier)), of_others.map(version).max());
}

/// What services take on when they embed the denylist: a new crate here is a decision.
#[test]
fn the_verifier_stays_small() {
    // async-rs comes with lapin anyway.
    let embedded = [
        "async-rs",
        "backon",
        "base64",
        "futures",
        "lapin",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "time",
        "tokio",
        "tracing",
        "uuid",
    ];
    let manifest = manifest("crates/verifier/Cargo.toml");
    assert!(!manifest.contains("\ndefault ="), "the verifier has no features that one must turn off");
    let services = |dependency: &Dependency| dependency.section == "[dependencies]";
    for dependency in dependencies(&manifest).into_iter().filter(services) {
        let is_optional = dependency.line.contains("optional = true");
        let allowed = if is_optional { &["prometheus-client"][..] } else { &embedded };
        assert!(
            allowed.contains(&dependency.name.as_str()),
            "{} must not come with the verifier: {}",
            dependency.name,
            dependency.line
        );
    }
}
