//! Starting, signalling and ending a server with all of its children. Linux: it reads /proc.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Instant,
};

use super::{DEADLINE, POLL, SandboxError, find};

/// Who a server runs as when it refuses to run as root.
#[derive(Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A command for `program` that drops to `account`, if there is one.
pub(super) fn command(program: &Path, account: Option<Account>) -> Result<Command, SandboxError> {
    setpriv(program, account, &[])
}

/// A running server program and its children. Dropping it kills them all.
pub(super) struct Server {
    name: &'static str,
    child: Child,
}

impl Server {
    /// Starts `program`, set up by `prepare`, in a process group of its own, so that a terminal's Ctrl-C
    /// leaves it alone.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        account: Option<Account>,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self, SandboxError> {
        let mut command = setpriv(program, account, &["--pdeathsig", "KILL"])?;
        command.stdin(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        prepare(&mut command);
        let child = launch(command).map_err(SandboxError::io(format!("start {}", program.display())))?;
        Ok(Self { name, child })
    }

    /// Waits until `ready` holds; fails when the server ends first or takes too long.
    pub(super) fn wait_until(
        &mut self,
        log: &Path,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), SandboxError> {
        let deadline = Instant::now() + DEADLINE;
        while !ready() {
            if let Some(status) = self.ended()? {
                return Err(self.not_ready(log, format!("ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.not_ready(log, format!("did not answer within {} s", DEADLINE.as_secs())));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits until a program that ends by itself has done so, with success.
    pub(super) fn finish(mut self, log: &Path) -> Result<(), SandboxError> {
        let status = self.child.wait().map_err(SandboxError::io(format!("wait for {}", self.name)))?;
        if status.success() { Ok(()) } else { Err(self.not_ready(log, format!("ended with {status}"))) }
    }

    /// Freezes the server and its children: connections open and stay silent.
    pub(super) fn pause(&self) -> Result<(), SandboxError> {
        // The parent first: frozen, it starts no child that would be missed.
        signal("STOP", &[self.child.id()])?;
        signal("STOP", &self.children())
    }

    /// Thaws what `pause` froze.
    pub(super) fn resume(&self) -> Result<(), SandboxError> {
        signal("CONT", &self.children())?;
        signal("CONT", &[self.child.id()])
    }

    /// Asks the server to shut down in order, with the signal that means so to it, and waits for the end.
    pub(super) fn stop(mut self, name: &str, log: &Path) -> Result<(), SandboxError> {
        let children = family(self.child.id());
        self.resume()?;
        signal(name, &[self.child.id()])?;
        let deadline = Instant::now() + DEADLINE;
        while self.ended()?.is_none() || children.iter().any(Member::lives) {
            if Instant::now() > deadline {
                return Err(self.not_ready(
                    log,
                    format!("did not shut down within {} s of SIG{name}", DEADLINE.as_secs()),
                ));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, SandboxError> {
        self.child.try_wait().map_err(SandboxError::io(format!("wait for {}", self.name)))
    }

    fn children(&self) -> Vec<u32> {
        family(self.child.id()).iter().map(|member| member.pid).collect()
    }

    fn not_ready(&self, log: &Path, problem: String) -> SandboxError {
        SandboxError::NotReady { server: self.name, problem, log_tail: tail(log) }
    }
}

impl Drop for Server {
    /// SIGKILL to all, and a wait until none is left. An error here means that the process is gone already.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = signal("STOP", &[self.child.id()]);
        let children = family(self.child.id());
        let _ = self.child.kill();
        let _ = signal("KILL", &children.iter().map(|member| member.pid).collect::<Vec<_>>());
        let _ = self.child.wait();
        let deadline = Instant::now() + DEADLINE;
        while children.iter().any(Member::lives) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}

/// `setpriv` because the crate forbids unsafe code, and only that could ask the kernel for a death signal
/// itself.
fn setpriv(program: &Path, account: Option<Account>, options: &[&str]) -> Result<Command, SandboxError> {
    let mut command = Command::new(find("setpriv", "util-linux", &[])?);
    if let Some(Account { uid, gid }) = account {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
    }
    command.args(options).arg("--").arg(program);
    Ok(command)
}

/// Starts `command` from a thread that never ends: the kernel sends the death signal when the starting
/// *thread* ends.
fn launch(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static LAUNCHER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let launcher = LAUNCHER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    launcher.send((command, reply)).map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)?
}

/// Sends a signal through the shell's own `kill`; a process that is gone already is no error.
fn signal(name: &str, pids: &[u32]) -> Result<(), SandboxError> {
    if pids.is_empty() {
        return Ok(());
    }
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"kill -s "$0" "$@""#, name]).args(pids.iter().map(u32::to_string));
    let status = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.map(drop).map_err(SandboxError::io(format!("send SIG{name}")))
}

/// One process of a server. The start time tells it from a later one with the same number.
struct Member {
    pid: u32,
    parent: u32,
    started: u64,
    dead: bool,
}

impl Member {
    /// From /proc/PID/stat (proc_pid_stat(5)): the name may hold anything, so fields count from its closing
    /// bracket.
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let dead = matches!(*fields.first()?, "Z" | "X");
        Some(Self { pid, parent: fields.get(1)?.parse().ok()?, started: fields.get(19)?.parse().ok()?, dead })
    }

    fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started && !now.dead)
    }
}

/// All living descendants of a process.
fn family(root: u32) -> Vec<Member> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut by_parent: HashMap<u32, Vec<Member>> = HashMap::new();
    for member in pids.filter_map(Member::read).filter(|member| !member.dead) {
        by_parent.entry(member.parent).or_default().push(member);
    }
    let mut found = by_parent.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(member) = found.get(next) {
        let children = by_parent.remove(&member.pid).unwrap_or_default();
        found.extend(children);
        next += 1;
    }
    found
}

/// The last lines of a log, or why there are none.
fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = fs::File::open(log)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(4096)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(cannot read {}: {error})", log.display()))
}
