//! Logs go to standard output, and so that alone decides how they look.

use std::process::Command;

use uuid::Uuid;

/// `run` writes one warning with these, then fails: it cannot listen there.
const SETTINGS: [(&str, &str); 11] = [
    ("AMQP_URL", "amqp://127.0.0.1:1"),
    ("DATABASE_URL", "postgres://127.0.0.1:1/none"),
    ("SEALING_KEYS", "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("REVOCATION__DEFAULT_PROVIDER", "main"),
    ("REVOCATION__PROVIDERS__MAIN__KIND", "rfc7009"),
    ("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", "http://127.0.0.1:1/revoke"),
    ("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", "shop"),
    ("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "secret"),
    ("REVOCATION__PROVIDERS__MAIN__TOKEN_TTL", "2d"),
    ("REVOCATION__INVALIDATION__STREAM_MAX_AGE", "1d"),
    ("REVOCATION__HTTP__LISTEN", "192.0.2.1:9"),
];

/// Its log when all of its streams are a terminal, made by script(1), but for what the shell redirects;
/// `$LOG` is a file whose content comes behind what the terminal shows.
fn logged(redirection: &str) -> String {
    let log = std::env::temp_dir().join(format!("worker-{}.log", Uuid::now_v7()));
    let run = format!("{} run {redirection}", env!("CARGO_BIN_EXE_revocation-worker"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &run, "/dev/null"]).env_clear().current_dir("/");
    script.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LOG", &log).envs(SETTINGS);
    let shown = script.output().expect("run script, of Debian's package bsdutils").stdout;
    let piped = std::fs::read(&log).unwrap_or_default();
    drop(std::fs::remove_file(&log));
    String::from_utf8([shown, piped].concat()).expect("UTF-8")
}

#[test]
fn json_or_human_is_decided_by_where_the_log_goes_and_not_by_where_errors_go() {
    let redirections = [("| cat >\"$LOG\"", true), ("2>\"$LOG\"", false), ("", false)];
    for (redirection, is_json) in redirections {
        let said = logged(redirection);
        let warning = said.lines().find(|line| line.contains("invalidation.stream_max_age"));
        let warning = warning.unwrap_or_else(|| panic!("{redirection}: {said:?}"));
        assert_eq!(warning.starts_with('{'), is_json, "{redirection}: {said:?}");
    }
}
