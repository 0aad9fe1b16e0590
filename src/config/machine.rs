//! What settings need of the machine they are read on. Of all modules that are said to do no I/O, this file
//! alone does any.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The text of a file.
pub(super) fn text(file: &Path) -> io::Result<String> {
    fs::read_to_string(file)
}

/// Who may read and write a regular file, as its permission bits.
pub(super) fn mode(file: &Path) -> Option<u32> {
    fs::metadata(file).ok().filter(Metadata::is_file).map(|about| about.permissions().mode())
}

pub(super) fn is_symlink(path: &Path) -> bool {
    path.is_symlink()
}

pub(super) fn exists(path: &Path) -> bool {
    path.exists()
}

/// The variables of this process.
pub(super) fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// Whether the logs of this process are read at a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The machine's own name.
pub(super) fn host() -> Option<String> {
    text(Path::new("/proc/sys/kernel/hostname")).ok()
}
