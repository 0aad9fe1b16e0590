use std::path::PathBuf;

use super::*;
use crate::approval::ApprovalRules;
use crate::config::{
    BasicEncoding, ClientAuth, GenauthProtocol, KindConfig, SubjectFormat, UserIdType, Verify,
};
use crate::report::Owners;
use crate::target::Kind;

mod claims;
mod pages;
mod parts;
mod people;
mod providers;
mod receive;
mod refusals;
mod refused_providers;
mod rights;
mod signing_clients;
mod sources;
mod telemetry;

const KEY: &str = "2026-11:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A complete configuration without providers.
const BASE: &str = r#"
    amqp.url = "amqp://localhost"
    database.url = "postgres://localhost/revocation"
    sealing.keys = ["2026-11:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
"#;

const MAIN: &str = r#"
    [providers.main]
    kind = "rfc7009"
    revocation_endpoint = "https://id.example.com/revoke"
    client_id = "shop"
    client_secret = "shop-secret"
"#;

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("revocation-config-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn load_with(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let scratch = Scratch::new();
    let file = scratch.write("settings.toml", toml);
    Config::load(Some(&file), &Environment::new(variables.iter().copied()))
}

fn load(toml: &str) -> Config {
    load_with(toml, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn problems(toml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load_with(toml, variables).err().expect("it must be refused").problems().to_vec()
}

fn assert_only(found: &[String], setting: &str, sentence: &str) {
    let [problem] = found else { panic!("one problem expected with {setting}: {found:#?}") };
    assert!(problem.starts_with(&format!("{setting}: ")), "{setting}: {problem}");
    assert!(problem.contains(sentence), "{sentence}: {problem}");
}

fn seconds(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds)
}

#[test]
fn defaults() {
    let config = load(&format!("{BASE}{MAIN}"));
    assert!(config.default_provider.is_none());
    assert_eq!(config.shutdown_grace, seconds(10));
    assert_eq!((config.amqp.prefetch, config.amqp.declare, config.amqp.ca_file), (300, true, None));
    assert_eq!(config.amqp.bytes_in_hand, 64 << 20);
    assert_eq!(config.database.max_connections, 8);
    assert_eq!(config.retry.initial, std::time::Duration::from_millis(500));
    assert_eq!(config.retry.max, seconds(600));
    assert_eq!((config.retry.give_up_after, config.retry.resweep_every), (seconds(86_400), seconds(86_400)));
    assert_eq!((config.retry.retry_after_max, config.verifier_owners), (seconds(86_400), Owners::default()));
    assert_eq!(
        (config.invalidation.stream_max_age, config.invalidation.heartbeat),
        (seconds(30 * 86_400), seconds(1))
    );
    assert_eq!(
        (config.invalidation.stream_max_length_bytes, config.invalidation.heartbeats_in_log),
        (5_000_000_000, false)
    );
    assert_eq!(config.authorization.logout_users, None);
    assert!(config.authorization.mass_revocation_users.is_empty());
    assert_eq!(
        config.authorization.approval(),
        ApprovalRules { kinds: vec![Kind::Client, Kind::Issuer], above_targets: 10_000 }
    );
    let limits = config.limits;
    assert_eq!(
        (limits.max_message_bytes, limits.max_targets, limits.max_token_bytes),
        (1_048_576, 1000, 16_384)
    );
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:9300");
    assert_eq!((config.log.json, config.log.filter.as_str()), (true, "info"));
    assert_eq!(config.instance, format!("worker-{}", std::process::id()));
}

#[test]
fn the_names_of_the_contract() {
    let config = load(&format!(
        r#"
        default_provider = "main"
        instance = "pod-7"
        shutdown_grace = "25s"
        {BASE}
        amqp.max_message_bytes = 2048
        retry = {{ initial = "1s", max = "5m", give_up_after = "48h", resweep_every = "12h" }}
        invalidation.stream_max_age = "14d"
        invalidation.heartbeat = "500ms"
        invalidation.heartbeats_in_log = true
        invalidation.stream_max_length_bytes = 10_000_000
        authorization.mass_revocation_users = ["soc"]
        authorization.logout_users = ["shop"]
        authorization.approval_required_for = ["issuer", "subject"]
        authorization.approval_above_targets = 0
        http.listen = "[::1]:9400"
        log = {{ format = "human", level = "debug,lapin=error" }}
        {MAIN}
        "#
    ));
    assert_eq!(config.default_provider.as_deref(), Some("main"));
    assert_eq!((config.instance.as_str(), config.shutdown_grace), ("pod-7", seconds(25)));
    assert_eq!(config.limits.max_message_bytes, 2048);
    assert_eq!((config.retry.initial, config.retry.max), (seconds(1), seconds(300)));
    assert_eq!(
        (config.retry.give_up_after, config.retry.resweep_every),
        (seconds(48 * 3600), seconds(12 * 3600))
    );
    assert_eq!(config.invalidation.stream_max_age, seconds(14 * 86_400));
    assert_eq!(
        (config.invalidation.stream_max_length_bytes, config.invalidation.heartbeats_in_log),
        (10_000_000, true)
    );
    assert_eq!(config.authorization.mass_revocation_users, ["soc"]);
    assert_eq!(config.authorization.logout_users, Some(vec!["shop".to_owned()]));
    assert_eq!(
        config.authorization.approval(),
        ApprovalRules { kinds: vec![Kind::Issuer, Kind::Subject], above_targets: 0 }
    );
    assert_eq!(config.http_listen.to_string(), "[::1]:9400");
    assert_eq!((config.log.json, config.log.filter.as_str()), (false, "debug,lapin=error"));
}

#[test]
fn approval_can_be_asked_of_no_kind_or_of_all() {
    let required_for = |value: &str| {
        let config = load_with(
            &format!("{BASE}{MAIN}"),
            &[("REVOCATION__AUTHORIZATION__APPROVAL_REQUIRED_FOR", value)],
        );
        config.unwrap_or_else(|error| panic!("{error}")).authorization.approval_required_for
    };
    assert_eq!([required_for("none"), required_for("[]")], [vec![], vec![]]);
    assert_eq!(required_for("token, session,subject,client,issuer"), Kind::ALL);
    let listed = load(&format!("authorization.approval_required_for = []\n{BASE}{MAIN}"));
    assert!(listed.authorization.approval_required_for.is_empty());
}
