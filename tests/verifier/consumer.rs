//! The programs of docs/consumers, run as they stand there.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use crate::harness::eventually;

/// What a program is written in.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Language {
    Python,
    Node,
    Go,
    Java,
}

/// Debian's packages with what each needs.
const GO: &str = "golang-go golang-github-rabbitmq-amqp091-go-dev";
const JAVA: &str = "default-jdk-headless librabbitmq-client-java libjackson2-databind-java";
const JARS: [&str; 5] =
    ["amqp-client", "jackson-databind", "jackson-core", "jackson-annotations", "slf4j-api"];

impl Language {
    /// How its program is started; else why it cannot be. Python's is always there: `./dev setup` sees to it.
    fn command(self) -> Result<Command, String> {
        match self {
            Self::Python => self.running(&folder().join("consumer.py")),
            Self::Node => self.running(&modules()?.join("consumer.mjs")),
            Self::Java => self.running(&folder().join("Consumer.java")),
            Self::Go => {
                static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
                PROGRAM.get_or_init(go).clone().map(Command::new)
            }
        }
    }

    /// How an example of a page is started.
    pub(crate) fn example(self, file: &str, text: &str) -> Result<Command, String> {
        let place = match self {
            Self::Node => modules()?,
            _ => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        };
        std::fs::write(place.join(file), text).map_err(|error| error.to_string())?;
        self.running(&place.join(file))
    }

    /// What runs a source as it is.
    fn running(self, source: &Path) -> Result<Command, String> {
        let mut command = match self {
            Self::Python => Command::new(python()),
            Self::Node => Command::new("node"),
            Self::Java => java()?,
            Self::Go => return Err("Go runs no source as it is".to_owned()),
        };
        command.arg(source);
        Ok(command)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/consumers")
}

/// An interpreter that has pika: Debian's, else the first on PATH.
fn python() -> &'static str {
    let has_pika = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import pika"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(has_pika)
        .expect("a python3 that can import pika: ./dev setup installs one")
}

fn ran(what: &str, command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{what}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{what}: {}", said.trim())) }
}

/// Where scripts of Node have their module beside them: it looks for that there alone.
fn modules() -> Result<PathBuf, String> {
    static PLACE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PLACE.get_or_init(install).clone()
}

fn install() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("consumer-node");
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    for file in ["consumer.mjs", "package.json"] {
        std::fs::copy(folder().join(file), place.join(file)).map_err(|error| error.to_string())?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]);
    npm.args(["--prefer-offline", "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=30000"]);
    ran("npm install amqplib", npm.current_dir(&place).stdin(Stdio::null()))?;
    Ok(place)
}

fn go() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = place.join("consumer-go");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg("consumer.go").current_dir(folder());
    build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOCACHE", place.join("go-cache"));
    ran("go build", &mut build).map_err(|why| format!("{why}; it needs Debian's packages {GO}"))?;
    Ok(program)
}

/// Java compiles a source that it is given.
fn java() -> Result<Command, String> {
    let jars = JARS.map(|name| format!("/usr/share/java/{name}.jar"));
    let missing = jars.iter().find(|jar| !Path::new(jar).is_file());
    if let Some(jar) = missing {
        return Err(format!("{jar} is missing; it needs Debian's packages {JAVA}"));
    }
    ran("javac", Command::new("javac").arg("-version"))
        .map_err(|why| format!("{why}; it needs Debian's packages {JAVA}"))?;
    let mut command = Command::new("java");
    command.args(["-cp", &jars.join(":")]);
    Ok(command)
}

/// Says what a test leaves out, and why.
#[expect(clippy::print_stdout, reason = "what is skipped is told")]
pub(crate) fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// A consumer as a program. Dropping it kills it.
pub(crate) struct Consumer {
    child: Child,
    tokens: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

impl Consumer {
    pub(crate) fn start(amqp_url: &str) -> Self {
        Self::start_with(amqp_url, &[])
    }

    pub(crate) fn start_with(amqp_url: &str, variables: &[(&str, &str)]) -> Self {
        Self::of(Language::Python, amqp_url, variables).expect("Python")
    }

    /// `None`, with the reason on standard output: what it needs is not on this machine.
    pub(crate) fn of(language: Language, amqp_url: &str, variables: &[(&str, &str)]) -> Option<Self> {
        let mut command = match language.command() {
            Ok(command) => command,
            Err(why) => {
                skipped(&why);
                return None;
            }
        };
        let mut child = command
            .env("AMQP_URL", amqp_url)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("start the consumer");
        let (tokens, verdicts) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Some(Self { child, tokens, verdicts: BufReader::new(verdicts) })
    }

    pub(crate) fn verdict(&mut self, token: &str) -> String {
        writeln!(self.tokens, "{token}").expect("ask the consumer");
        let mut line = String::new();
        self.verdicts.read_line(&mut line).expect("read its verdict");
        line.trim_end().to_owned()
    }

    /// Waits until it says so of a token.
    pub(crate) async fn comes_to_say(&mut self, verdict: &str, token: &str) {
        eventually(&format!("the consumer says {verdict}"), async || {
            (self.verdict(token) == verdict).then_some(())
        })
        .await;
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
