//! A private RabbitMQ, with a name server (epmd) of its own.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use url::Url;

use super::{
    SandboxError, find,
    place::{Place, Port},
    process::Server,
    succeeded,
};

const PACKAGE: &str = "rabbitmq-server";

/// Debian's own folder: the program of the same name on PATH is a wrapper that insists on the user
/// `rabbitmq`.
const DEBIAN_PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

/// Each server has its own name server, so all can have the same name.
const NODE: &str = "rabbit@localhost";

const LOG: &str = "log/console.log";

/// Base64 of `guest:guest`.
const GUEST: &str = "Z3Vlc3Q6Z3Vlc3Q=";

/// A private RabbitMQ server. Dropping it ends it and removes its data.
pub struct RabbitMq {
    // Fields drop in this order: the broker, its name server, their directory.
    server: Option<Server>,
    _epmd: Server,
    place: Place,
    ports: Ports,
    program: PathBuf,
}

struct Ports {
    amqp: Port,
    management: Port,
    distribution: Port,
    epmd: Port,
}

impl RabbitMq {
    /// Starts a broker; returns when it speaks AMQP.
    pub fn start() -> Result<Self, SandboxError> {
        let program = find("rabbitmq-server", PACKAGE, &[DEBIAN_PROGRAMS.into()])?;
        let place = Place::new("rabbitmq")?;
        let ports = Ports {
            amqp: Port::free()?,
            management: Port::free()?,
            distribution: Port::free()?,
            epmd: Port::free()?,
        };
        for name in ["data", "log", "home"] {
            place.dir(name)?;
        }
        place.file("enabled_plugins", "[rabbitmq_management].\n")?;
        place.file("rabbitmq.conf", &settings(&ports))?;
        let mut rabbitmq = Self { server: None, _epmd: start_epmd(&place, &ports)?, place, ports, program };
        rabbitmq.boot()?;
        Ok(rabbitmq)
    }

    /// The URL of the virtual host `/`, as user guest.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.ports.amqp.number())
    }

    /// The URL of the management interface; user and password are guest.
    pub fn management_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.management.number())
    }

    /// Creates a virtual host on which guest may do anything; returns its URL. About 30 ms.
    pub fn vhost(&self, name: &str) -> Result<String, SandboxError> {
        self.put(&["vhosts", name], "{}")?;
        self.grant("guest", name)?;
        let base = format!("amqp://guest:guest@127.0.0.1:{}", self.ports.amqp.number());
        append(&base, &[name]).map(String::from)
    }

    /// Creates a user, who may do nothing until `grant`.
    pub fn add_user(&self, name: &str, password: &str) -> Result<(), SandboxError> {
        self.put(&["users", name], &serde_json::json!({ "password": password, "tags": "" }).to_string())
    }

    /// Lets a user do anything on a virtual host.
    pub fn grant(&self, user: &str, vhost: &str) -> Result<(), SandboxError> {
        self.put(&["permissions", vhost, user], r#"{"configure":".*","write":".*","read":".*"}"#)
    }

    /// Runs `rabbitmqctl` with these arguments; returns what it printed. About half a second.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, SandboxError> {
        let program = find("rabbitmqctl", PACKAGE, &[DEBIAN_PROGRAMS.into()])?;
        let mut command = Command::new(&program);
        environment(&mut command, &self.place, &self.ports);
        succeeded(&program, command.arg("--quiet").args(arguments).stdin(Stdio::null()).output())
    }

    /// A script that calls this broker's `rabbitmqctl` where `RABBITMQCTL` says.
    pub fn script(&self, path: &Path) -> Result<Command, SandboxError> {
        let mut command = Command::new(path);
        environment(&mut command, &self.place, &self.ports);
        command.env("RABBITMQCTL", find("rabbitmqctl", PACKAGE, &[DEBIAN_PROGRAMS.into()])?);
        Ok(command)
    }

    /// The directory with the broker's data.
    pub fn data_dir(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// The directory with the broker's logs.
    pub fn log_dir(&self) -> PathBuf {
        self.place.path().join("log")
    }

    /// Ends the broker with SIGKILL, as a crash would, and waits until no process is left.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Shuts down in order.
    pub fn stop(&mut self) -> Result<(), SandboxError> {
        let log = self.log();
        self.server.take().map_or(Ok(()), |server| server.stop("TERM", &log))
    }

    /// Starts again on the same data and ports, after a `kill` or `stop` or from running.
    pub fn restart(&mut self) -> Result<(), SandboxError> {
        self.stop()?;
        self.boot()
    }

    /// Freezes the broker: connections open, and hang.
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

    fn boot(&mut self) -> Result<(), SandboxError> {
        let (path, out, err) = self.place.log(LOG)?;
        let mut server = Server::start("RabbitMQ", &self.program, None, |command| {
            environment(command, &self.place, &self.ports);
            command.stdout(out).stderr(err);
        })?;
        server.wait_until(&path, || speaks_amqp(self.ports.amqp.number()))?;
        self.server = Some(server);
        Ok(())
    }

    /// A PUT to the management interface: twenty times faster than `rabbitmqctl`.
    fn put(&self, path: &[&str], body: &str) -> Result<(), SandboxError> {
        let url = append(&format!("{}/api", self.management_url()), path)?;
        let response = put(self.ports.management.number(), url.path(), body);
        let response = response.map_err(SandboxError::io(format!("PUT {url}")))?;
        let status = response.split_whitespace().nth(1).unwrap_or_default();
        if status.starts_with('2') {
            return Ok(());
        }
        Err(SandboxError::Failed { program: format!("PUT {url}"), detail: response })
    }
}

fn settings(ports: &Ports) -> String {
    let (amqp, management) = (ports.amqp.number(), ports.management.number());
    format!(
        "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
         loopback_users = none\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {management}\n\
         management_agent.disable_metrics_collector = true\n\
         log.console = true\n\
         log.file = false\n"
    )
}

/// Everything that a broker or `rabbitmqctl` would otherwise take from the machine's own broker.
fn environment(command: &mut Command, place: &Place, ports: &Ports) {
    let inside = |name: &str| place.path().join(name);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
    command.env("HOME", inside("home")).current_dir(place.path());
    command.env("RABBITMQ_CONF_ENV_FILE", "/dev/null").env("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf"));
    command
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins"))
        .env("RABBITMQ_PID_FILE", inside("pid"));
    command
        .env("RABBITMQ_MNESIA_BASE", inside("data"))
        .env("RABBITMQ_LOG_BASE", inside("log"))
        .env("RABBITMQ_NODENAME", NODE);
    command.env("RABBITMQ_DIST_PORT", ports.distribution.number().to_string());
    command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
    command.env("ERL_EPMD_PORT", ports.epmd.number().to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    command.env("ERL_CRASH_DUMP_SECONDS", "0");
    // Makes the start script turn into the broker instead of waiting for it, so that one process is both.
    command.env("RUNNING_UNDER_SYSTEMD", "true");
}

/// Started here, not by the broker, which would leave it behind as a daemon.
fn start_epmd(place: &Place, ports: &Ports) -> Result<Server, SandboxError> {
    let (program, port) = (find("epmd", "erlang-base", &[])?, ports.epmd.number());
    let mut epmd = Server::start("epmd", &program, None, |command| {
        command.args(["-address", "127.0.0.1", "-port", &port.to_string()]).current_dir(place.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
    })?;
    epmd.wait_until(Path::new("/dev/null"), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    Ok(epmd)
}

/// Whether a broker answers the protocol header with `connection.start`, a method frame (AMQP 0-9-1, section
/// 4.2).
fn speaks_amqp(port: u16) -> bool {
    let greet = || -> io::Result<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    greet().is_ok_and(|frame_type| frame_type == 1)
}

/// `base` with each of `segments` added to its path, percent-encoded.
fn append(base: &str, segments: &[&str]) -> Result<Url, SandboxError> {
    let refused = |detail: String| SandboxError::Failed { program: format!("the URL {base}"), detail };
    let mut url = Url::parse(base).map_err(|error| refused(error.to_string()))?;
    url.path_segments_mut().map_err(|()| refused("has no path".into()))?.pop_if_empty().extend(segments);
    Ok(url)
}

fn put(port: u16, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let length = body.len();
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {GUEST}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}
