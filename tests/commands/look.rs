//! What all commands have in common: 80 characters, colours, `--watch`, completion and manual.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::{PATIENCE, Stage};
use crate::incident_record::PARKED;
use crate::program::{bare, command, feed, run};

/// A name in which any table's other columns would be lost.
fn long() -> String {
    format!("{}-end", "name-".repeat(30))
}

async fn filled() -> Stage {
    let (stage, name) = (Stage::new().await, long());
    stage.incident(&name, "awaiting_approval").await;
    let event = stage.event(&name, 3).await;
    stage.change(event, 0..1, PARKED).await;
    stage.change(event, 1..2, &format!("provider = '{name}', last_error = '{name}'")).await;
    stage.reported(&name, "now()", true).await;
    let statement = format!(
        "INSERT INTO revocation.workers (instance, version, lease_until) \
         VALUES ('{name}', '0.1.0', now() + interval '1 hour')"
    );
    stage.execute(&statement).await;
    stage
        .execute(&format!(
            "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at, \
                 duration_ms, outcome, error)
             SELECT '{event}', 0, 1, true, worker_no, now(), 123456, 'misconfigured', '{name}'
             FROM revocation.workers"
        ))
        .await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_have_80_characters_unless_all_is_asked_for() {
    let (stage, name) = (filled().await, long());
    let commands: [&[&str]; 6] = [
        &["status"],
        &["incident", "list"],
        &["incident", "show", &name],
        &["provider", "list"],
        &["audit"],
        &["audit", "--attempts"],
    ];
    for arguments in commands {
        let shown = run(&mut command(&stage), arguments).stdout;
        // Sentences come before the first title, and have the name of whom they are about.
        let is_sentence = |line: &&str| {
            ["revocation-worker", "not up to date", ": ", "opened by"].iter().any(|s| line.contains(s))
        };
        let long = shown.lines().filter(|line| !is_sentence(line) && line.chars().count() > 80);
        assert_eq!(long.collect::<Vec<_>>(), Vec::<&str>::new(), "{arguments:?}");
        assert!(shown.contains('…') && !shown.contains('\u{1b}'), "{arguments:?}: {shown}");
        let wide = run(&mut command(&stage), &[arguments, &["--wide"]].concat()).stdout;
        assert!(wide.contains(&name) && !wide.contains('…'), "{arguments:?}: {wide}");
    }
}

/// The program on a terminal of its own, by `script`.
fn on_a_terminal(stage: &Stage, arguments: &str, no_color: &str) -> String {
    let mut script = std::process::Command::new("script");
    let program = format!("{} {arguments}", env!("CARGO_BIN_EXE_revocation-worker"));
    script.args(["-q", "-e", "-c", &program, "/dev/null"]).env_clear().current_dir("/").envs([
        ("DATABASE_URL", stage.database_url.as_str()),
        ("PATH", "/usr/bin:/bin"),
        ("TERM", "xterm"),
        ("SHELL", "/bin/sh"),
        ("NO_COLOR", no_color),
    ]);
    feed(&mut script, &[], "").stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_and_can_be_declined() {
    let stage = filled().await;
    let coloured = on_a_terminal(&stage, "incident list", "");
    assert!(coloured.contains("\u{1b}[31mawaiting_approval"), "{coloured:?}");
    let declined = on_a_terminal(&stage, "incident list", "1");
    assert!(declined.contains("awaiting_approval") && !declined.contains('\u{1b}'), "{declined:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_shows_what_is_new_until_it_is_interrupted() {
    let stage = Stage::new().await;
    let mut watching = tokio::process::Command::from(command(&stage));
    watching.args(["incident", "list", "--watch", "--every", "100ms"]).stdout(Stdio::piped());
    let mut child = watching.kill_on_drop(true).spawn().expect("start");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut line = async |wanted: &str| {
        let look =
            async { while !lines.next_line().await.expect("read").expect("it goes on").contains(wanted) {} };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("no {wanted}"));
    };
    line("no incident is active").await;
    stage.incident("leak", "running").await;
    line("leak").await;
    line("leak").await;
    let id = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("an end").expect("a status");
    assert!(ended.success(), "{ended}");
}

/// A failed command's last line is what to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_of_a_failure_is_what_to_do() {
    let away = [("DATABASE_URL", "postgres://127.0.0.1:1/x"), ("AMQP_URL", "amqp://127.0.0.1:1")];
    for arguments in [&["status"][..], &["audit"], &["incident", "list"], &["dead", "list"]] {
        let ran = run(&mut bare(&away), arguments);
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert_eq!((ran.code, last.contains("revocation-worker check")), (1, true), "{}", ran.stderr);
    }
}

/// The commands, as docs/commands.md has them.
fn commands() -> Vec<String> {
    let page = include_str!("../../docs/commands.md");
    page.lines().filter_map(|line| line.strip_prefix("## ").map(str::to_owned)).collect()
}

#[test]
fn each_shell_completes_each_command() {
    assert!(commands().len() > 25, "{:?}", commands());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&mut bare(&[]), &["completions", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        for command in commands() {
            let word = command.split(' ').next_back().unwrap_or_default();
            assert!(ran.stdout.contains(word), "{shell} knows no {command}");
        }
    }
    assert_eq!(run(&mut bare(&[]), &["completions", "tcsh"]).code, 2);
}

#[test]
fn the_completion_is_one_that_bash_can_read() {
    let script = run(&mut bare(&[]), &["completions", "bash"]).stdout;
    let mut bash = std::process::Command::new("bash");
    let read = feed(&mut bash, &["-c", "eval \"$(cat)\" && complete -p revocation-worker"], &script);
    assert_eq!((read.code, read.stderr.as_str()), (0, ""), "{}", read.stdout);
}

#[test]
fn the_manual_has_a_page_a_command_and_renders() {
    let manual = run(&mut bare(&[]), &["man"]).stdout;
    for command in commands() {
        let title = format!(".TH revocation-worker-{} 1", command.replace(' ', "-"));
        assert!(manual.contains(&title), "no page {title}");
    }
    let mut groff = std::process::Command::new("groff");
    if groff.arg("--version").stdout(Stdio::null()).status().is_err() {
        return;
    }
    let mut groff = std::process::Command::new("groff");
    let rendered = feed(&mut groff, &["-man", "-Tutf8", "-k", "-ww"], &manual);
    assert_eq!((rendered.code, rendered.stderr.as_str()), (0, ""));
    assert!(rendered.stdout.contains("NAME") && rendered.stdout.len() > manual.len() / 2);
}
