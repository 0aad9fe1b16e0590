//! Looks for a secret in whatever a program may have left behind, in every form that a careless line of code
//! gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

/// Knows the forms of some secrets.
pub(crate) struct Scanner {
    /// Secret (by its place in the list given) and form, with the bytes to look for.
    needles: BTreeMap<String, Vec<u8>>,
    /// Which pairs of bytes a needle begins with: a hundred megabytes are looked through in one pass.
    begins: Vec<bool>,
}

impl Scanner {
    /// Looks for these secrets. Findings name a secret by its place in the list, never by itself.
    pub(crate) fn new(secrets: &[&str]) -> Self {
        let named = |(place, secret): (usize, &&str)| {
            forms(secret).into_iter().map(move |(form, bytes)| (format!("secret {place} {form}"), bytes))
        };
        let needles: BTreeMap<_, _> = secrets.iter().enumerate().flat_map(named).collect();
        let mut begins = vec![false; 1 << 16];
        needles.values().for_each(|needle| begins[pair(needle)] = true);
        Self { needles, begins }
    }

    /// The forms found in some bytes, sorted.
    pub(crate) fn findings(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = BTreeSet::new();
        for (place, two) in bytes.windows(2).enumerate() {
            if self.begins[pair(two)] {
                found.extend(
                    self.needles
                        .iter()
                        .filter(|(_, needle)| bytes[place..].starts_with(needle))
                        .map(|(name, _)| name.as_str()),
                );
            }
        }
        found.into_iter().collect()
    }

    /// The forms found in the files of a directory and below; returns also how many bytes were looked at.
    pub(crate) fn findings_in(&self, directory: &Path) -> (Vec<String>, u64) {
        let (mut found, mut looked_at) = (Vec::new(), 0);
        for entry in
            std::fs::read_dir(directory).expect("read a directory").map(|entry| entry.expect("an entry"))
        {
            let path = entry.path();
            if path.is_dir() {
                let (below, bytes) = self.findings_in(&path);
                found.extend(below);
                looked_at += bytes;
            } else if let Ok(bytes) = std::fs::read(&path) {
                looked_at += u64::try_from(bytes.len()).expect("a size");
                found.extend(
                    self.findings(&bytes).into_iter().map(|form| format!("{form} in {}", path.display())),
                );
            }
        }
        (found, looked_at)
    }
}

/// A secret in every form: (name, bytes).
pub(crate) fn forms(secret: &str) -> Vec<(String, Vec<u8>)> {
    let join = |format: fn(&u8) -> String, between: &str| {
        secret.as_bytes().iter().map(format).collect::<Vec<_>>().join(between).into_bytes()
    };
    let mut forms = vec![
        ("raw".to_owned(), secret.as_bytes().to_vec()),
        ("in hex".to_owned(), join(|byte| format!("{byte:02x}"), "")),
        ("in upper-case hex".to_owned(), join(|byte| format!("{byte:02X}"), "")),
        ("as a list of bytes".to_owned(), join(u8::to_string, ", ")),
        ("as a dense list of bytes".to_owned(), join(u8::to_string, ",")),
        ("percent-encoded".to_owned(), join(|byte| format!("%{byte:02X}"), "")),
        ("percent-encoded in lower case".to_owned(), join(|byte| format!("%{byte:02x}"), "")),
        (
            "form-encoded".to_owned(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into_bytes(),
        ),
        (
            "escaped for JSON".to_owned(),
            serde_json::to_string(secret).expect("JSON").trim_matches('"').as_bytes().to_vec(),
        ),
    ];
    for (name, alphabet) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
        forms.extend(
            (0..3).map(|before| {
                (format!("in {name}, {before} bytes in"), inner_base64(secret, alphabet, before))
            }),
        );
    }
    forms
}

/// What base64 shows of a secret that stands `before` bytes (modulo 3) into what was encoded: without the
/// characters that its neighbours share.
fn inner_base64(secret: &str, alphabet: &Alphabet, before: usize) -> Vec<u8> {
    let encoded =
        GeneralPurpose::new(alphabet, NO_PAD).encode([&vec![0; before][..], secret.as_bytes()].concat());
    let first = (before * 8).div_ceil(6);
    let last = (before + secret.len()) * 8 / 6;
    encoded.as_bytes()[first..last].to_vec()
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}
