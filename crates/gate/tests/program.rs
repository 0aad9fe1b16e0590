//! The program `revocation-gate` as a process, without a broker: settings, exit codes, signals, and what it
//! says while it knows nothing.
#![cfg(test)]

#[path = "program/files.rs"]
mod files;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

/// Nothing listens there: the port of a listener that is closed again would be another's soon.
const NO_BROKER: &str = "amqp://guest:pa55canary@127.0.0.1:1/%2f";
const PATIENCE: Duration = Duration::from_secs(60);

const SETTINGS: [&str; 11] = [
    "AMQP_URL",
    "AMQP_URL_FILE",
    "AMQP_CA_FILE",
    "GATE_SERVICE",
    "GATE_INSTANCE",
    "GATE_STALENESS_POLICY",
    "GATE_LISTEN",
    "GATE_MAX_TOKEN_LIFETIME",
    "GATE_SKIP_REFRESH_TOKENS",
    "GATE_REALM",
    "GATE_LOG",
];

/// The program with what it needs, changed by these variables.
fn command(changes: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_revocation-gate"));
    command
        .env_clear()
        .env("AMQP_URL", NO_BROKER)
        .env("GATE_SERVICE", "shop-api")
        .env("GATE_STALENESS_POLICY", "fail_closed");
    command.env("GATE_LISTEN", "127.0.0.1:0").envs(changes.iter().copied()).stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("run the gate");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

#[track_caller]
fn assert_refused(changes: &[(&str, &str)], said: &[&str]) {
    let (code, stdout, stderr) = output(&mut command(changes));
    assert_eq!((code, stdout.as_str()), (2, ""), "{changes:?}: {stderr}");
    for words in said {
        assert!(stderr.contains(words), "{words:?} is not in {stderr:?}");
    }
    assert!(!stderr.contains("canary"), "the refusal shows a secret: {stderr}");
}

/// A running gate. Dropping it kills it.
struct Gate {
    child: Child,
    log: BufReader<ChildStdout>,
    address: String,
}

impl Gate {
    fn start(changes: &[(&str, &str)]) -> Self {
        let mut child = command(changes).stdout(Stdio::piped()).spawn().expect("start the gate");
        let mut log = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        while !line.contains("the gate is open") {
            line.clear();
            assert!(log.read_line(&mut line).expect("a line") > 0, "the gate ended before it was open");
        }
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["service"], "shop-api");
        let address = line["listen"].as_str().expect("an address").to_owned();
        Self { child, log, address }
    }

    /// The answer to these bytes, read until the gate closes the connection.
    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n{headers}\r\n"))
    }

    /// Sends a signal and waits for the end: the exit code, and what was logged.
    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()
            .expect("run kill");
        assert!(sent.success());
        let mut log = String::new();
        self.log.read_to_string(&mut log).expect("its log");
        (self.child.wait().expect("wait for the gate").code(), log)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn help_lists_every_setting_and_the_version_is_told() {
    let (code, help, stderr) =
        output(Command::new(env!("CARGO_BIN_EXE_revocation-gate")).env_clear().arg("--help"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let listed: Vec<_> = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert_eq!(listed, SETTINGS);
    let (code, version, _) =
        output(Command::new(env!("CARGO_BIN_EXE_revocation-gate")).env_clear().arg("--version"));
    assert_eq!((code, version), (0, format!("revocation-gate {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(output(command(&[]).arg("run")).0, 2);
}

#[test]
fn what_cannot_be_used_is_refused_by_name_and_without_secrets() {
    // An empty value counts as not set.
    assert_refused(&[("AMQP_URL", "")], &["AMQP_URL: is required"]);
    assert_refused(&[("AMQP_URL", "http://u:canary@h")], &["AMQP_URL: is not an amqp://"]);
    assert_refused(&[("AMQP_URL_FILE", "/url")], &["AMQP_URL_FILE: AMQP_URL is set, too"]);
    assert_refused(
        &[("AMQP_URL", ""), ("AMQP_URL_FILE", "/nowhere/url")],
        &["AMQP_URL_FILE: cannot read /nowhere/url"],
    );
    assert_refused(&[("AMQP_CA_FILE", "/dev/null")], &["AMQP_CA_FILE: /dev/null holds no certificate"]);
    assert_refused(&[("GATE_SERVICE", "")], &["GATE_SERVICE: is required"]);
    assert_refused(&[("GATE_SERVICE", &"s".repeat(201))], &["GATE_SERVICE: ", "1 to 200 bytes"]);
    assert_refused(&[("GATE_INSTANCE", &"i".repeat(201))], &["GATE_INSTANCE: "]);
    assert_refused(
        &[("GATE_STALENESS_POLICY", "")],
        &["GATE_STALENESS_POLICY: is required", "goes on working", "nobody gets in"],
    );
    assert_refused(
        &[("GATE_STALENESS_POLICY", "open")],
        &["GATE_STALENESS_POLICY: \"open\" is not fail_open"],
    );
    assert_refused(&[("GATE_LISTEN", "9310")], &["GATE_LISTEN: \"9310\" is no address"]);
    assert_refused(&[("GATE_MAX_TOKEN_LIFETIME", "long")], &["GATE_MAX_TOKEN_LIFETIME: "]);
    assert_refused(
        &[("GATE_MAX_TOKEN_LIFETIME", "0s")],
        &["GATE_MAX_TOKEN_LIFETIME: must be 1 s to 10 years"],
    );
    assert_refused(
        &[("GATE_SKIP_REFRESH_TOKENS", "yes")],
        &["GATE_SKIP_REFRESH_TOKENS: \"yes\" is not true or false"],
    );
    assert_refused(&[("GATE_REALM", "a\"b")], &["GATE_REALM: "]);
    assert_refused(&[("GATE_LOG", "lapin=loud")], &["GATE_LOG: "]);
    assert_refused(&[("GATE_LISTN", "canary")], &["GATE_LISTN: there is no such setting"]);
}

#[test]
fn an_address_in_use_is_a_failure() {
    let gate = Gate::start(&[]);
    let (code, _, stderr) = output(&mut command(&[("GATE_LISTEN", &gate.address)]));
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("GATE_LISTEN: cannot listen on {}", gate.address)), "{stderr}");
}

#[test]
fn without_a_broker_it_lives_but_is_not_ready() {
    let gate = Gate::start(&[]);
    assert!(gate.ask("GET", "/healthz", "").starts_with("HTTP/1.1 200 OK\r\n"));
    let ready = gate.ask("GET", "/readyz", "");
    assert!(
        ready.starts_with("HTTP/1.1 503 Service Unavailable\r\n")
            && ready.ends_with("\r\nstale: disconnected\n"),
        "{ready}"
    );
    let metrics = gate.ask("GET", "/metrics", "");
    assert!(metrics.contains("\nrevocation_verifier_stale{reason=\"disconnected\"} 1\n"), "{metrics}");
    for path in ["/", "/checks", "/check%2f", "/metrics/"] {
        assert!(
            gate.ask("GET", path, "Authorization: Bearer t\r\n").starts_with("HTTP/1.1 404 Not Found\r\n"),
            "{path}"
        );
    }
}

#[test]
fn each_policy_decides_about_any_method_and_any_path_below_check() {
    let (open, closed) = (Gate::start(&[("GATE_STALENESS_POLICY", "fail_open")]), Gate::start(&[]));
    for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
        let accepted = open.ask(method, "/check", "authorization: bearer c4n4ry\r\n");
        assert!(accepted.starts_with("HTTP/1.1 204 No Content\r\n"), "{accepted}");
        assert!(
            accepted.contains("\r\nx-revocation-verdict: stale_accepted\r\ncache-control: no-store\r\n"),
            "{accepted}"
        );
        let refused = closed.ask(method, "/check", "authorization: bearer c4n4ry\r\n");
        let challenge = "www-authenticate: Bearer error=\"invalid_token\", error_description=\"revocation \
            cannot be checked at the moment\"";
        assert!(
            refused.starts_with("HTTP/1.1 401 Unauthorized\r\n") && refused.contains(challenge),
            "{refused}"
        );
        assert!(
            refused.contains("\r\nx-revocation-verdict: stale_refused\r\n") && refused.ends_with("\r\n\r\n"),
            "{refused}"
        );
    }
    assert!(
        open.ask("PUT", "/check/orders/1?x=y", "Authorization: Bearer t\r\n")
            .starts_with("HTTP/1.1 200 OK\r\n")
    );
    assert!(open.ask("PUT", "/check/orders/1?x=y", "").starts_with("HTTP/1.1 401 Unauthorized\r\n"));
    let twice = open.ask("GET", "/check", "Authorization: Bearer t\r\nAuthorization: Bearer t\r\n");
    assert!(twice.starts_with("HTTP/1.1 401 ") && twice.contains("error=\"invalid_request\""), "{twice}");
}

#[test]
fn odd_tokens_are_counted_and_padded_ones_are_read() {
    let encode = |text: String| URL_SAFE.encode(text);
    let jwt =
        |payload: String| format!("{}.{}.c2ln", encode(r#"{"alg":"RS256"}"#.to_owned()), encode(payload));
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let gate = Gate::start(&[("GATE_STALENESS_POLICY", "fail_open")]);
    let verdict = |token: String| {
        let answer = gate.ask("GET", "/check", &format!("Authorization: Bearer {token}\r\n"));
        answer
            .split_once("x-revocation-verdict: ")
            .and_then(|(_, rest)| rest.split_once("\r\n"))
            .expect("a verdict")
            .0
            .to_owned()
    };
    for iat in [now + 3600, (now + 3600) * 1000, (now + 3600) * 1_000_000] {
        assert_eq!(verdict(jwt(format!(r#"{{"iss":"https://one\"\n","iat":{iat}}}"#))), "stale_accepted");
    }
    assert_eq!(verdict(jwt(format!(r#"{{"iat":{now},"exp":1}}"#))), "denied");
    for payload in ["no JSON", "[]", "{\"sub\":"] {
        assert_eq!(verdict(jwt(payload.to_owned())), "stale_accepted");
    }
    let metrics = gate.ask("GET", "/metrics", "");
    assert!(metrics.contains("\nrevocation_verifier_unreadable_tokens_total 3\n"), "{metrics}");
    assert!(
        metrics.contains("\nrevocation_verifier_future_iat_total{iss=\"https://one\\\"\u{fffd}\"} 3\n"),
        "{metrics}"
    );
    let (_, log) = gate.stop("TERM");
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!([lines("issued in the future"), lines("claims that cannot be read")], [1, 1], "{log}");
}

#[test]
fn a_body_is_not_waited_for_and_a_head_too_long_is_refused() {
    let gate = Gate::start(&[("GATE_STALENESS_POLICY", "fail_open")]);
    let announced = gate.ask("POST", "/check", "Authorization: Bearer t\r\nContent-Length: 1000000000\r\n");
    assert!(announced.starts_with("HTTP/1.1 204 "), "{announced}");
    // Exactly what the gate reads: what still lay unread in its socket when it closes it would reset the
    // connection.
    let start = "GET /check HTTP/1.1\r\nX-Long: ";
    let refused = gate.send(&format!("{start}{}", "x".repeat(64 * 1024 - start.len())));
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
}

#[test]
fn a_signal_ends_it_in_order_and_its_log_holds_no_secret() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::start(&[("GATE_LOG", "trace"), ("GATE_LISTEN", "0.0.0.0:0")]);
        let address = gate.address.replace("0.0.0.0", "127.0.0.1");
        // An idle connection does not keep it.
        let mut idle = TcpStream::connect(address).expect("connect");
        idle.write_all(b"GET /check HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer t0k3ncanary\r\n\r\n")
            .expect("send");
        let mut start = [0; 12];
        idle.read_exact(&mut start).expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 401");
        let (code, log) = gate.stop(signal);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.lines().any(|line| line.contains("GATE_LISTEN is not a loopback address")), "{log}");
        assert!(log.lines().last().is_some_and(|line| line.contains("the gate is closed")), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
}
