//! Where a private server lives: its own temporary directory and loopback ports, each held by a file lock, so
//! that processes side by side never share one and what a killed process left behind is swept by the next.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    net::Ipv4Addr,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use rand::Rng;
use tokio::net::TcpSocket;

use super::SandboxError;

/// Below the kernel's range for outgoing connections, which therefore never take a port while its server is
/// down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

const LOCK: &str = "lock";

/// A temporary directory, removed on drop.
pub(super) struct Place {
    path: PathBuf,
    _lock: File,
}

impl Place {
    pub(super) fn new(server: &str) -> Result<Self, SandboxError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = base()?;
        sweep(&base);
        let path = base.join(format!("{server}-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        create_dir(&path)?;
        // Locked before it gets its name: a sweep that runs now must not take the directory for an abandoned
        // one.
        let unnamed = path.join("unlocked");
        let lock =
            File::create(&unnamed).map_err(SandboxError::io(format!("create {}", unnamed.display())))?;
        lock.lock().map_err(SandboxError::io(format!("lock {}", unnamed.display())))?;
        fs::rename(&unnamed, path.join(LOCK))
            .map_err(SandboxError::io(format!("rename {}", unnamed.display())))?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new directory in this place.
    pub(super) fn dir(&self, name: &str) -> Result<PathBuf, SandboxError> {
        let path = self.path.join(name);
        create_dir(&path).map(|()| path)
    }

    /// A new file in this place.
    pub(super) fn file(&self, name: &str, content: &str) -> Result<PathBuf, SandboxError> {
        let path = self.path.join(name);
        fs::write(&path, content).map_err(SandboxError::io(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// A new log in this place: where it is, and two handles that add to it.
    pub(super) fn log(&self, name: &str) -> Result<(PathBuf, File, File), SandboxError> {
        let path = self.path.join(name);
        let opened = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = opened.map_err(SandboxError::io(format!("open {}", path.display())))?;
        Ok((path, out, err))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed now is swept by a later start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A loopback port that no other sandbox and no other process that asks here takes until this is dropped,
/// also while nothing listens on it.
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// One on which nobody listens.
    pub fn free() -> Result<Self, SandboxError> {
        let locks = base()?.join("ports");
        fs::create_dir_all(&locks).map_err(SandboxError::io(format!("create {}", locks.display())))?;
        let first = rand::thread_rng().gen_range(PORTS);
        for number in (first..PORTS.end).chain(PORTS.start..first) {
            let path = locks.join(number.to_string());
            let lock = File::create(&path).map_err(SandboxError::io(format!("create {}", path.display())))?;
            match lock.try_lock() {
                Ok(()) if is_free(number) => {
                    return Ok(Self { number, _lock: lock });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => {
                    return Err(SandboxError::Io { action: format!("lock {}", path.display()), source });
                }
            }
        }
        Err(SandboxError::Failed {
            program: "the search for a port".into(),
            detail: format!("no port of {PORTS:?} is free"),
        })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// Whether nobody listens there. Asked without listening: a process that another thread starts meanwhile
/// would hold a listening socket until it runs its own program.
fn is_free(port: u16) -> bool {
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())
    };
    bind().is_ok()
}

/// The numeric id of the user this process runs as.
pub(super) fn own_uid() -> Result<u32, SandboxError> {
    fs::metadata("/proc/self").map(|meta| meta.uid()).map_err(SandboxError::io("read /proc/self"))
}

/// The directory above all of this user's places.
pub(super) fn base() -> Result<PathBuf, SandboxError> {
    let uid = own_uid()?;
    let path = std::env::temp_dir().join(format!("revocation-worker-sandbox-{uid}"));
    if !path.is_dir() {
        create_dir(&path).or_else(|error| if path.is_dir() { Ok(()) } else { Err(error) })?;
    }
    let owner =
        fs::symlink_metadata(&path).map_err(SandboxError::io(format!("read {}", path.display())))?.uid();
    if owner != uid {
        let detail = format!(
            "{} belongs to user {owner}, not to this one ({uid}); remove it or set TMPDIR",
            path.display()
        );
        return Err(SandboxError::Failed { program: "the check of the temporary directory".into(), detail });
    }
    Ok(path)
}

/// Others may pass through, as the servers' own accounts must, but not list.
fn create_dir(path: &Path) -> Result<(), SandboxError> {
    DirBuilder::new().mode(0o711).create(path).map_err(SandboxError::io(format!("create {}", path.display())))
}

/// Removes the places whose process is gone: their lock is free. Best effort.
fn sweep(base: &Path) {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}
