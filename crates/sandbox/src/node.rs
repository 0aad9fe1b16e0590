//! The real authorization server, npm's `oidc-provider`: installed once into a cache, then booted like any
//! private server.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::{
    SandboxError, find,
    place::{self, Place, Port},
    process::Server,
};

const FILES: [(&str, &str); 4] = [
    ("server.mjs", include_str!("../oidc-provider/server.mjs")),
    ("package.json", include_str!("../oidc-provider/package.json")),
    (LOCK_FILE, include_str!("../oidc-provider/package-lock.json")),
    (".npmrc", include_str!("../oidc-provider/.npmrc")),
];
const LOCK_FILE: &str = "package-lock.json";

/// A copy of the lock file that npm finished with.
const INSTALLED: &str = "node_modules/.installed";

/// One try more than the first, soon, instead of npm's minutes: without a network the caller should know at
/// once.
const NPM: [&str; 8] = [
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-timeout=30000",
];

/// The PEM files of a listener that asks for a certificate.
pub struct TlsFiles {
    /// Its key.
    pub key: PathBuf,
    /// Its certificate.
    pub certificate: PathBuf,
    /// Who signs the certificates of clients that are known by their name.
    pub authority: PathBuf,
}

impl TlsFiles {
    fn told(&self, port: u16) -> String {
        let Self { key, certificate, authority } = self;
        json!({ "port": port, "key": key, "certificate": certificate, "authority": authority }).to_string()
    }
}

/// A running `oidc-provider`. Dropping it ends it.
pub(super) struct Node {
    // Fields drop in this order: the server ends before its directory goes.
    _server: Server,
    _place: Place,
    port: Port,
    tls: Option<Port>,
    log: PathBuf,
}

impl Node {
    /// Starts the server with these clients (a JSON array), and a listener that asks for a certificate where
    /// there are files for it; returns when it answers.
    pub(super) fn start(clients: &str, files: Option<&TlsFiles>) -> Result<Self, SandboxError> {
        let program = find("node", "nodejs", &[])?;
        let code = installed()?;
        let (place, port) = (Place::new("oidc-provider")?, Port::free()?);
        let (log, out, err) = place.log("oidc-provider.log")?;
        let tls = files.map(|_| Port::free()).transpose()?;
        let mut server = Server::start("oidc-provider", &program, None, |command| {
            command
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("NODE_ENV", "production");
            command.env("OIDC_PORT", port.number().to_string()).env("OIDC_CLIENTS", clients);
            if let (Some(files), Some(port)) = (files, &tls) {
                command.env("OIDC_TLS", files.told(port.number()));
            }
            command.arg(code.join("server.mjs")).current_dir(place.path()).stdout(out).stderr(err);
        })?;
        server
            .wait_until(&log, || fs::read_to_string(&log).is_ok_and(|log| log.contains(r#"{"issuer":"#)))?;
        Ok(Self { _server: server, _place: place, port, tls, log })
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}/oidc", self.port.number())
    }

    /// Where the listener is that asks for a certificate.
    pub(super) fn tls_origin(&self) -> Option<String> {
        self.tls.as_ref().map(|port| format!("https://127.0.0.1:{}", port.number()))
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}

/// The directory with the server's code and its packages, which `npm ci` brings when they are missing or of
/// another version.
fn installed() -> Result<PathBuf, SandboxError> {
    let cache = cache()?;
    let write = |path: &Path, content: &str| {
        fs::write(path, content).map_err(SandboxError::io(format!("write {}", path.display())))
    };
    fs::create_dir_all(&cache).map_err(SandboxError::io(format!("create {}", cache.display())))?;
    // Processes side by side: the first installs, the others wait for it.
    let lock = cache.join("installing");
    let held = File::create(&lock).and_then(|lock| lock.lock().map(|()| lock));
    let _held = held.map_err(SandboxError::io(format!("lock {}", lock.display())))?;
    for (name, content) in FILES {
        let path = cache.join(name);
        if !fs::read_to_string(&path).is_ok_and(|present| present == content) {
            write(&path, content)?;
        }
    }
    let wanted = FILES.iter().find(|(name, _)| *name == LOCK_FILE).map_or("", |(_, content)| content);
    let marker = cache.join(INSTALLED);
    if !fs::read_to_string(&marker).is_ok_and(|present| present == wanted) {
        install(&cache)?;
        write(&marker, wanted)?;
    }
    Ok(cache)
}

fn install(cache: &Path) -> Result<(), SandboxError> {
    let npm = find("npm", "npm", &[])?;
    let log = cache.join("npm.log");
    let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = output.map_err(SandboxError::io(format!("create {}", log.display())))?;
    let server = Server::start("npm ci", &npm, None, |command: &mut Command| {
        command.args(NPM).current_dir(cache).stdout(out).stderr(err);
    })?;
    server.finish(&log)
}

/// In the target directory of the workspace's own checkout, else beside the temporary directories.
fn cache() -> Result<PathBuf, SandboxError> {
    let checkout = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    if checkout.join("Cargo.toml").is_file() {
        return Ok(checkout.join("target").join("oidc-provider"));
    }
    place::base().map(|base| base.join("oidc-provider-packages"))
}
