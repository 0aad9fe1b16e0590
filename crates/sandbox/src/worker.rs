//! The worker as the demo runs it: a child process, configured by its environment alone.

use std::{
    fs::OpenOptions,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    OidcProvider, SandboxError,
    place::{Place, Port},
    process::Server,
};

/// A running worker. Dropping it ends it and removes its directory.
pub struct WorkerProcess {
    // Fields drop in this order: the worker ends before its directory goes.
    _server: Server,
    place: Place,
    port: Port,
}

/// Where a worker finds everything.
pub struct Surroundings<'a> {
    /// The worker's own program.
    pub program: &'a Path,
    /// An entry of `sealing.keys`.
    pub sealing_key: &'a str,
    /// The broker.
    pub amqp_url: &'a str,
    /// The database.
    pub database_url: &'a str,
    /// The provider, known to the worker as `main`.
    pub provider: &'a OidcProvider,
}

impl WorkerProcess {
    /// Starts `run --migrate`; blocks until `/readyz` says so.
    pub fn start(surroundings: &Surroundings<'_>) -> Result<Self, SandboxError> {
        let (place, port) = (Place::new("worker")?, Port::free()?);
        let (log, out, err) = place.log("worker.log")?;
        let environment = environment(surroundings, port.number());
        let mut server = Server::start("the worker", surroundings.program, None, |command| {
            command.env_clear().envs(environment).args(["run", "--migrate"]);
            // A directory of its own, where no configuration file of the caller's is found.
            command.current_dir(place.path()).stdout(out).stderr(err);
        })?;
        server.wait_until(&log, || is_ready(port.number()))?;
        Ok(Self { _server: server, place, port })
    }

    /// Base URL of health and metrics.
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.place.path().join("worker.log")
    }

    /// Writes a file that only this user can read into the worker's directory; it goes with the worker.
    pub fn leave_file(&self, name: &str, content: &str) -> Result<PathBuf, SandboxError> {
        let path = self.place.path().join(name);
        let write = |path: &Path| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(content.as_bytes())
        };
        write(&path).map_err(SandboxError::io(format!("write {}", path.display())))?;
        Ok(path)
    }
}

fn environment(surroundings: &Surroundings<'_>, port: u16) -> [(&'static str, String); 14] {
    let Surroundings { amqp_url, database_url, sealing_key, provider, .. } = surroundings;
    [
        ("AMQP_URL", (*amqp_url).to_owned()),
        ("DATABASE_URL", (*database_url).to_owned()),
        ("SEALING_KEYS", (*sealing_key).to_owned()),
        ("REVOCATION__INSTANCE", "sandbox".to_owned()),
        ("REVOCATION__HTTP__LISTEN", format!("127.0.0.1:{port}")),
        ("REVOCATION__LOG__FORMAT", "human".to_owned()),
        ("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", "guest".to_owned()),
        // Whoever orders over the broker's user is not who approves in the database.
        ("REVOCATION__PEOPLE__ALICE__BROKER_USERS", "guest".to_owned()),
        ("REVOCATION__PEOPLE__BOB__DATABASE_ROLES", "postgres".to_owned()),
        ("REVOCATION__DEFAULT_PROVIDER", "main".to_owned()),
        ("REVOCATION__PROVIDERS__MAIN__KIND", "rfc7009".to_owned()),
        ("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", provider.revocation_endpoint()),
        ("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", provider.client_id().to_owned()),
        ("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", provider.client_secret().to_owned()),
    ]
}

fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
