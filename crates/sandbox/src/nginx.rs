//! A private nginx, with a configuration of the caller's.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Stdio;

use super::{
    SandboxError, find,
    place::{Place, Port},
    process::Server,
};

/// A running nginx. Dropping it ends it and removes its directory.
pub struct Nginx {
    // Fields drop in this order: the server ends before its directory goes.
    _server: Server,
    _place: Place,
    port: Port,
}

impl Nginx {
    /// Starts nginx as the present user; returns when it accepts connections. `http` makes what stands in its
    /// block `http`, given the address that the server is to listen on.
    pub fn start(http: impl FnOnce(&str) -> String) -> Result<Self, SandboxError> {
        let program = find("nginx", "nginx-light", &[])?;
        let (place, port) = (Place::new("nginx")?, Port::free()?);
        let (log, out, err) = place.log("nginx.log")?;
        let configuration =
            place.file("nginx.conf", &configuration(&http(&format!("127.0.0.1:{}", port.number()))))?;
        let mut server = Server::start("nginx", &program, None, |command| {
            command.arg("-p").arg(place.path()).arg("-c").arg(configuration).args(["-e", "stderr"]);
            command.current_dir(place.path()).stdin(Stdio::null()).stdout(out).stderr(err);
        })?;
        server.wait_until(&log, || TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).is_ok())?;
        Ok(Self { _server: server, _place: place, port })
    }

    /// Base URL of the server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }
}

/// One process in the foreground, which writes nowhere but into its own directory.
fn configuration(http: &str) -> String {
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp \
            {{\naccess_log off;\n{folders}{http}}}\n"
    )
}
