//! The file that an export becomes: written under a temporary name beside it, for its owner's eyes, and
//! renamed when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file to be. Dropped before [`Target::keep`], it leaves nothing behind.
pub(super) struct Target {
    path: PathBuf,
    temporary: PathBuf,
    replaces: bool,
}

impl Target {
    /// At `out`, else under the incident's name in the current directory. Refuses to replace a file, unless
    /// told to.
    pub(super) fn new(out: Option<&Path>, incident: &str, replaces: bool) -> Result<Self, String> {
        let path = out.map_or_else(|| PathBuf::from(format!("{}.tar", safe(incident))), Path::to_owned);
        if !replaces && path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
        let name = path.file_name().ok_or_else(|| format!("write {}: it names no file", path.display()))?;
        let temporary =
            path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        Ok(Self { path, temporary, replaces })
    }

    /// The file's final name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Under the temporary name, with mode 0600.
    pub(super) fn create(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.temporary)
    }

    /// Reads what was written so far.
    pub(super) fn open(&self) -> io::Result<File> {
        File::open(&self.temporary)
    }

    /// Gives the file its name, without replacing one that came in the meantime unless told to.
    pub(super) fn keep(self) -> Result<PathBuf, String> {
        if !self.replaces {
            match fs::hard_link(&self.temporary, &self.path) {
                Ok(()) => return Ok(self.path.clone()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&self.path)),
                Err(_) => {} // A file system without links.
            }
        }
        let renamed = fs::rename(&self.temporary, &self.path);
        renamed.map_err(|error| {
            format!("rename {} to {}: {error}", self.temporary.display(), self.path.display())
        })?;
        Ok(self.path.clone())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Not there: renamed, or never made.
        drop(fs::remove_file(&self.temporary));
    }
}

fn exists(path: &Path) -> String {
    format!("write {}: it exists; give another name with --out, or --force to replace it", path.display())
}

/// An incident's name as a file's name: nothing that a shell or a file system takes for more than a letter,
/// and no hidden file.
fn safe(incident: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = incident.chars().take(200).map(letter).collect();
    if name.starts_with(['.', '-']) || name.is_empty() { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incidents_name_becomes_a_harmless_file_name() {
        for (incident, file) in [
            ("leak-2026.11_a", "leak-2026.11_a"),
            ("../../etc/passwd", "_.._.._etc_passwd"),
            ("-rf", "_-rf"),
            ("..", "_.."),
            ("a b\n\u{202e}é", "a_b___"),
            ("", "_"),
        ] {
            assert_eq!(safe(incident), file);
        }
        assert_eq!(safe(&"x".repeat(255)).len(), 200);
    }
}
