//! The program `revocation-gate`: options, signals, exit codes.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::settings::{SETTINGS, Settings};
use crate::{GateError, log, run};

const FAILED: u8 = 1;
const WRONG: u8 = 2;

/// Runs the program: everything is set in the environment. Exit codes: 0 done, 1 failed, 2 wrong usage or
/// settings.
pub fn main() -> ExitCode {
    let arguments: Vec<_> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => start(),
        ["--help" | "-h"] => print(help()),
        ["--version" | "-V"] => print(concat!("revocation-gate ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => complain(
            WRONG,
            "it takes no arguments but --help and --version; everything is set in the environment",
        ),
    }
}

fn start() -> ExitCode {
    let settings = match Settings::from_environment(std::env::vars_os()) {
        Ok(settings) => settings,
        Err(error) => return complain(WRONG, error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAILED, format!("cannot start: {error}")),
    };
    match runtime.block_on(serve(settings)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error @ GateError::Options(_))) => complain(WRONG, error),
        Ok(Err(error @ GateError::Listen { .. })) => complain(FAILED, error),
        Err(error) => complain(FAILED, format!("cannot listen for signals: {error}")),
    }
}

async fn serve(mut settings: Settings) -> io::Result<Result<(), GateError>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    if let Some(filter) = settings.log.take() {
        log::start(filter);
    }
    let stop = async { either(&mut terminate, &mut interrupt).await };
    Ok(run(settings, stop).await)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn help() -> String {
    let mut text =
        "revocation-gate answers a reverse proxy's question whether a request's bearer token was revoked.\n\
        GET /check: 2xx, or 401 with a challenge. GET /healthz, /readyz, /metrics: for operators.\n\
        It is set in the environment alone:\n\n"
            .to_owned();
    let lines = SETTINGS.iter().map(|(name, meaning)| format!("  {name:<24} {meaning}\n"));
    text.extend(lines);
    text.push_str(
        "\nUnknown GATE_ variables are refused. Kubernetes sets some for a Service named `gate`: \
        give it another name.\n",
    );
    text.push_str("Exit codes: 0 ended by SIGTERM or SIGINT, 1 failed, 2 wrong settings.\n");
    text
}

fn print(text: impl AsRef<str>) -> ExitCode {
    match io::stdout().write_all(text.as_ref().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn complain(code: u8, what: impl fmt::Display) -> ExitCode {
    // There is nowhere left to say that this failed.
    drop(writeln!(io::stderr(), "revocation-gate: {what}"));
    ExitCode::from(code)
}
