//! Files that hold secrets: read as people see them, and as closed to others as a secret should be.

use std::io::ErrorKind;
use std::path::Path;

use zeroize::Zeroizing;

use super::machine;
use crate::visible::{described, is_seen};

/// Where container engines mount secrets, for everybody in the container to read.
const ENGINE_SECRETS: &str = "/run/secrets";

/// The secret in a file, or a list of them: without a byte order mark and without the end of the last line.
///
/// # Errors
/// It cannot be read, is no text, has something in it that does not show, or anybody may write it. The
/// sentence never quotes the secret.
pub(super) fn read(file: &Path, is_list: bool) -> Result<Zeroizing<String>, String> {
    let shown = file.display();
    let text = machine::text(file).map(Zeroizing::new).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => format!("{shown} is not UTF-8 text: save it as UTF-8"),
        _ => format!("cannot read {shown}: {error}; check the path and its permissions"),
    })?;
    if is_open_to_all(file) {
        return Err(format!(
            "{shown} may be written by everybody on this machine: chmod 600 it, and replace the secret"
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    match problem(line, is_list) {
        None => Ok(Zeroizing::new(line.to_owned())),
        Some(flaw) => Err(format!("{shown} {flaw}")),
    }
}

/// Whether everybody on this machine may write a file, and so put another's word in its place.
pub(super) fn is_open_to_all(file: &Path) -> bool {
    machine::mode(file).is_some_and(|mode| mode & 0o002 != 0)
}

/// What nobody sees of a secret that may be meant all the same, as the rest of a sentence.
pub(super) fn oddity(secret: &str) -> Option<&'static str> {
    (secret.trim() != secret).then_some("begins or ends with a blank, which is taken as part of the secret")
}

/// What does not show in a secret. Only lists, and keys in PEM or JSON, have lines.
pub(super) fn problem(secret: &str, is_list: bool) -> Option<String> {
    let has_lines = is_list || secret.starts_with("-----BEGIN ") || secret.starts_with('{');
    let is_fine = |c: char| is_seen(c) || (has_lines && "\r\n\t".contains(c));
    let hidden = secret.chars().find(|c| !is_fine(*c));
    hidden.map(|hidden| format!("has {}, which does not show: remove it", described(hidden)))
}

/// Who else may read a file, or write it, as the rest of a sentence. Its group may read: that is how
/// containers are given secrets.
pub(super) fn exposure(file: &Path) -> Option<&'static str> {
    let mode = machine::mode(file)?;
    match () {
        () if mode & 0o002 != 0 => Some("may be written by everybody on this machine: chmod 600 it"),
        () if mode & 0o020 != 0 => Some("may be written by its group: chmod 600 it, or 640"),
        () if mode & 0o004 != 0 && !is_mounted(file) => {
            Some("may be read by everybody on this machine: chmod 600 it, or 640")
        }
        () => None,
    }
}

/// Whether a container engine or Kubernetes put it there, which choose its mode and keep others out by other
/// means.
fn is_mounted(file: &Path) -> bool {
    file.starts_with(ENGINE_SECRETS)
        || file.parent().is_some_and(|directory| machine::is_symlink(&directory.join("..data")))
}

#[cfg(test)]
mod tests;
