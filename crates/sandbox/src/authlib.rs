//! A second real authorization server, Authlib's, from Debian's packages.

use std::fs;

use super::{
    SandboxError,
    place::{Place, Port},
    process::Server,
};

const SERVER: &str = include_str!("../authlib/server.py");

/// A running Authlib. Dropping it ends it and removes its directory.
pub(super) struct Authlib {
    // Fields drop in this order: the server ends before its directory goes.
    _server: Server,
    _place: Place,
    port: Port,
}

impl Authlib {
    /// Starts the server with these clients (a JSON array); returns when it answers. Fails where
    /// python3-authlib or python3-flask is missing.
    pub(super) fn start(clients: &str) -> Result<Self, SandboxError> {
        // Debian's packages are for Debian's interpreter, which need not be the first on PATH.
        let program = super::find("python3", "python3-authlib", &["/usr/bin".into()])?;
        let (place, port) = (Place::new("authlib")?, Port::free()?);
        let (log, out, err) = place.log("authlib.log")?;
        let code = place.file("server.py", SERVER)?;
        let mut server = Server::start("authlib", &program, None, |command| {
            command.env_clear().env("OIDC_PORT", port.number().to_string()).env("OIDC_CLIENTS", clients);
            command.arg(code).current_dir(place.path()).stdout(out).stderr(err);
        })?;
        server
            .wait_until(&log, || fs::read_to_string(&log).is_ok_and(|log| log.contains(r#"{"issuer":"#)))?;
        Ok(Self { _server: server, _place: place, port })
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}/oidc", self.port.number())
    }
}
