//! A private PostgreSQL.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rand::distributions::{Alphanumeric, DistString};

use super::{
    SandboxError, find,
    place::{Place, Port, own_uid},
    process::{Account, Server, command},
    succeeded,
};

const PACKAGE: &str = "postgresql";
const SUPERUSER: &str = "postgres";
const LOG: &str = "postgres.log";

/// Durability stays as shipped: `fsync` on. Unix sockets are off.
const SETTINGS: [&str; 5] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "log_error_verbosity=terse",
    "timezone=UTC",
];

/// A private PostgreSQL server. Dropping it ends it and removes its data.
pub struct Postgres {
    // Fields drop in this order: the server ends before its directory goes.
    server: Option<Server>,
    place: Place,
    port: Port,
    programs: PathBuf,
    account: Option<Account>,
    password: String,
}

impl Postgres {
    /// Creates a cluster and starts a server on it; returns when it takes connections.
    pub fn start() -> Result<Self, SandboxError> {
        let (place, port) = (Place::new("postgres")?, Port::free()?);
        let password = Alphanumeric.sample_string(&mut rand::thread_rng(), 24);
        let account = if own_uid()? == 0 { Some(unprivileged_account()?) } else { None };
        let mut postgres = Self { server: None, place, port, programs: programs()?, account, password };
        postgres.create_cluster()?;
        postgres.boot()?;
        Ok(postgres)
    }

    /// A superuser's URL of the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/postgres", self.password, self.port.number())
    }

    /// The cluster's directory.
    pub fn data_dir(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// Ends every process of the server with SIGKILL, as a crash would, and waits until none is left.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Shuts down in order, closing all connections (SIGINT, a "fast" shutdown).
    pub fn stop(&mut self) -> Result<(), SandboxError> {
        let log = self.log();
        self.server.take().map_or(Ok(()), |server| server.stop("INT", &log))
    }

    /// Starts again on the same data and port, after a `kill` or `stop` or from running.
    pub fn restart(&mut self) -> Result<(), SandboxError> {
        self.stop()?;
        self.boot()
    }

    /// Freezes the server: connections open, and hang.
    pub fn pause(&self) -> Result<(), SandboxError> {
        self.server.as_ref().map_or(Ok(()), Server::pause)
    }

    /// Thaws it.
    pub fn resume(&self) -> Result<(), SandboxError> {
        self.server.as_ref().map_or(Ok(()), Server::resume)
    }

    fn log(&self) -> PathBuf {
        self.place.path().join(LOG)
    }

    fn create_cluster(&self) -> Result<(), SandboxError> {
        let (data, password) = (self.place.dir("data")?, self.place.file("password", &self.password)?);
        if let Some(Account { uid, gid }) = self.account {
            for path in [&data, &password] {
                chown(path, Some(uid), Some(gid))
                    .map_err(SandboxError::io(format!("hand over {}", path.display())))?;
            }
        }
        let initdb = self.programs.join("initdb");
        let mut command = command(&initdb, self.account)?;
        // Plain passwords: the connection is loopback, and SCRAM would cost a debug build more than the
        // queries under test.
        command.args([
            "--auth=password",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "--username",
            SUPERUSER,
        ]);
        command.arg("--pwfile").arg(&password).arg("--pgdata").arg(&data);
        bare_environment(&mut command, self.place.path());
        succeeded(&initdb, command.output())?;
        fs::remove_file(&password).map_err(SandboxError::io(format!("remove {}", password.display())))
    }

    fn boot(&mut self) -> Result<(), SandboxError> {
        let (path, out, err) = self.place.log(LOG)?;
        let mut server =
            Server::start("PostgreSQL", &self.programs.join("postgres"), self.account, |command| {
                command.arg("-D").arg(self.data_dir()).arg("-p").arg(self.port.number().to_string());
                command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
                bare_environment(command, self.place.path());
                command.stdout(out).stderr(err);
            })?;
        server.wait_until(&path, || self.is_ready())?;
        self.server = Some(server);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let mut pg_isready = Command::new(self.programs.join("pg_isready"));
        pg_isready.args(["--quiet", "--host=127.0.0.1", "--dbname=postgres", "--username", SUPERUSER]);
        pg_isready.arg("--port").arg(self.port.number().to_string()).stderr(Stdio::null());
        pg_isready.status().is_ok_and(|status| status.success())
    }
}

/// Without the caller's PG* settings.
fn bare_environment(command: &mut Command, home: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("LC_ALL", "C").env("HOME", home).current_dir(home);
}

/// The newest version's programs in Debian's layout, else the folder on PATH that has `initdb`.
fn programs() -> Result<PathBuf, SandboxError> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let places: Vec<PathBuf> = versions.into_iter().map(|(_, folder)| folder).collect();
    let initdb = find("initdb", PACKAGE, &places)?;
    // On PATH it may be a link into the folder that has the others.
    let initdb = initdb.canonicalize().map_err(SandboxError::io(format!("read {}", initdb.display())))?;
    Ok(initdb.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// Who runs the server when we are root, as which it refuses to run.
fn unprivileged_account() -> Result<Account, SandboxError> {
    let accounts = fs::read_to_string("/etc/passwd").map_err(SandboxError::io("read /etc/passwd"))?;
    let named = |wanted: &str| {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    let missing = || SandboxError::Failed {
        program: "the search for an account".into(),
        detail:
            "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`; run \
            this as another user"
                .into(),
    };
    named("postgres").or_else(|| named("nobody")).ok_or_else(missing)
}
