//! The program's `sandbox` as a child process, and what there is of it on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::Result;

/// `revocation-worker sandbox …`, not yet started.
pub(crate) fn sandbox(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_revocation-worker"));
    command.arg("sandbox").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that a failed test does not leave behind.
pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        Ok(Self { child: command.spawn()? })
    }

    pub(crate) fn interrupt(&self) -> Result {
        let sent = Command::new("kill").args(["-s", "INT", &self.child.id().to_string()]).status()?;
        assert!(sent.success());
        Ok(())
    }

    /// Directories of its servers, which have its process id in their names.
    pub(crate) fn places(&self) -> Result<Vec<PathBuf>> {
        let bases = fs::read_dir(std::env::temp_dir())?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(BASE));
        let places = bases.filter_map(|base| fs::read_dir(base.path()).ok()).flatten().flatten();
        Ok(places.map(|place| place.path()).filter(|path| self.is_own(path)).collect())
    }

    /// Where processes work that live in one of these directories, removed or not.
    pub(crate) fn working(&self) -> Result<Vec<PathBuf>> {
        let processes = fs::read_dir("/proc")?.flatten();
        let folders = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
        Ok(folders.filter(|path| self.is_own(path)).collect())
    }

    /// All that is there of it.
    pub(crate) fn left(&self) -> Result<Vec<PathBuf>> {
        Ok([self.places()?, self.working()?].concat())
    }

    fn is_own(&self, path: &Path) -> bool {
        let own = format!("-{}-", self.child.id());
        path.iter()
            .skip_while(|part| !part.to_string_lossy().starts_with(BASE))
            .any(|part| part.to_string_lossy().contains(&own))
    }
}

/// Where the servers of all sandboxes live, in the temporary directory.
const BASE: &str = "revocation-worker-sandbox-";

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
