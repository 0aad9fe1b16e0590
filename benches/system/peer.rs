//! The consumer in Go, `benches/peer-go`, built with what Debian has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Its only table.
pub(crate) const SCHEMA: &str = "CREATE TABLE logouts (source text NOT NULL, id text NOT NULL, \
    token_sha256 text NOT NULL, token_type_hint text NOT NULL, received_at timestamptz NOT NULL, \
    revoked_at timestamptz NOT NULL, PRIMARY KEY (source, id, token_sha256))";

/// Where Debian's packages of Go libraries lie.
const LIBRARIES: &str = "/usr/share/gocode";
const PACKAGES: &str = "golang-go golang-github-rabbitmq-amqp091-go-dev golang-github-jackc-pgx-v4-dev";

/// The program, built at the first call; else why it cannot be.
pub(crate) fn program() -> Result<&'static Path, &'static str> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref().map_err(String::as_str)
}

fn build() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = place.join("peer-go");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg("main.go");
    go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer-go"));
    let built =
        go.env("GO111MODULE", "off").env("GOPATH", LIBRARIES).env("GOCACHE", place.join("go-cache")).output();
    match built {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) if output.stderr.windows(20).any(|words| words == b"cannot find package ") => {
            Err(format!("a library is missing, of Debian's packages {PACKAGES}"))
        }
        Ok(output) => Err(format!("it cannot be built: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("go: {error}; Debian's packages {PACKAGES} have what it needs")),
    }
}
