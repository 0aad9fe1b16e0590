//! The program `revocation-evidence` as an auditor runs it: exit codes, and what it prints.
#![cfg(test)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use revocation_evidence::{Archive, MEMBERS, SigningKey};
use serde_json::{Value, json};
use time::macros::datetime;

const INCIDENT: &str = "leak-\u{202e}gpj\u{7f}";

/// A directory that goes when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("revocation-evidence-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// An archive, and the public key that it can be checked with.
    fn archive(&self) -> (PathBuf, String) {
        let path = self.0.join("leak.tar");
        let key = SigningKey::new("2026-11", &[7; 32]).expect("a key");
        let file = File::create(&path).expect("a file");
        let mut archive = Archive::new(file, INCIDENT, datetime!(2026-11-26 07:00 UTC));
        for _ in 1..MEMBERS.len() {
            let mut member = archive.begin().expect("a member");
            member.line("{}").and_then(|()| member.end()).expect("a line");
        }
        archive.finish(&key).expect("an archive");
        (path, key.public().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn run(options: &[&str], file: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_revocation-evidence"));
    let Output { status, stdout, stderr } = command.args(options).arg(file).output().expect("run it");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn an_archive_is_believed_if_it_is_intact_and_its_signer_is_known() {
    let folder = Folder::new("intact");
    let (file, key) = folder.archive();
    for (options, code, known) in [
        (&["--public-key", &key][..], 0, true),
        (&["--any-signer"], 0, false),
        (&[], 1, false),
        (
            &["--public-key", &SigningKey::new("other", &[8; 32]).expect("a key").public().to_string()],
            1,
            false,
        ),
    ] {
        let (ended, report, complaint) = run(options, &file);
        assert_eq!((ended, complaint.as_str()), (Some(code), ""), "{options:?}");
        assert!(report.is_ascii() && !report.contains('\u{7f}'), "{report}");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(
            (&report["intact"], &report["signer_known"]),
            (&json!(true), &json!(known)),
            "{options:?}"
        );
        assert_eq!((&report["incident"], &report["findings"]), (&json!(INCIDENT), &json!([])));
    }
}

#[test]
fn a_changed_archive_is_not_believed_whoever_signed_it() {
    let folder = Folder::new("changed");
    let (file, key) = folder.archive();
    let mut bytes = fs::read(&file).expect("read it");
    bytes[600] ^= 1;
    fs::write(&file, bytes).expect("write it");
    let (code, report, _) = run(&["--any-signer", "--public-key", &key], &file);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((code, &report["intact"]), (Some(1), &json!(false)));
    assert!(report["findings"].as_array().is_some_and(|findings| !findings.is_empty()), "{report}");
}

#[test]
fn wrong_usage_is_told_from_a_file_that_cannot_be_read() {
    let missing = Path::new("/no/such/file");
    let (code, _, complaint) = run(&[], missing);
    assert!(code == Some(1) && complaint.contains("/no/such/file: "), "{complaint}");
    for options in [&["--public-key", "AAAA"][..], &["--unknown"], &["one"]] {
        let (code, report, complaint) = run(options, missing);
        assert_eq!((code, report.as_str()), (Some(2), ""), "{options:?}");
        assert!(complaint.contains("usage: revocation-evidence "), "{complaint}");
    }
}
