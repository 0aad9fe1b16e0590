//! File, environment, secret files: which wins, and what contradicts.

use super::*;

const ENOUGH: [(&str, &str); 7] = [
    ("AMQP_URL", "amqps://broker"),
    ("DATABASE_URL", "postgresql://db/revocation"),
    (
        "SEALING_KEYS",
        "new:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
    ),
    ("REVOCATION__PROVIDERS__MAIN__KIND", "rfc7009"),
    ("REVOCATION__PROVIDERS__MAIN__ISSUER", "https://id.example.com"),
    ("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", "0123"),
    ("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "0123456789"),
];

fn from_environment(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(None, &Environment::new(ENOUGH.iter().chain(more).copied()))
}

fn loaded(more: &[(&str, &str)]) -> Config {
    from_environment(more).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(more: &[(&str, &str)]) -> String {
    from_environment(more).err().expect("it must be refused").to_string()
}

#[test]
fn the_environment_alone_is_enough() {
    let config = loaded(&[]);
    assert!(
        config.amqp.url.expose() == "amqps://broker"
            && config.database.url.expose() == "postgresql://db/revocation"
    );
    assert_eq!(config.sealing_keys.len(), 2);
    assert!(config.sealing_keys[0].expose().starts_with("new:"));
}

#[test]
fn strings_of_digits_stay_strings() {
    let KindConfig::Rfc7009(rfc7009) = &loaded(&[]).providers["main"].kind else { panic!("wrong kind") };
    assert_eq!(rfc7009.client.id, "0123");
    assert!(rfc7009.client.secret.as_ref().is_some_and(|secret| secret.expose() == "0123456789"));
    assert_eq!(loaded(&[("REVOCATION__INSTANCE", "1e3")]).instance, "1e3");
}

#[test]
fn variables_of_every_type() {
    let config = loaded(&[
        ("REVOCATION__DEFAULT_PROVIDER", "main"),
        ("REVOCATION__SHUTDOWN_GRACE", "1m"),
        ("REVOCATION__AMQP__PREFETCH", "50"),
        ("REVOCATION__AMQP__DECLARE", "false"),
        ("REVOCATION__AUTHORIZATION__LOGOUT_USERS", "shop, portal"),
        ("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", r#"["soc", "a,b"]"#),
        ("REVOCATION__HTTP__LISTEN", "0.0.0.0:9300"),
        ("REVOCATION__RETRY__MAX", "7d"),
        ("REVOCATION__LIMITS__MAX_TARGETS", "10"),
        ("REVOCATION__PROVIDERS__MAIN__CLIENT_AUTH", "client_secret_post"),
        ("RUST_LOG", "warn"),
        ("HOSTNAME", "node_1.example"),
        ("UNRELATED__AMQP__URL", "x"),
        ("REVOCATION_WORKER_SERVICE_HOST", "10.0.0.1"),
    ]);
    assert_eq!(config.default_provider.as_deref(), Some("main"));
    assert_eq!(config.shutdown_grace, seconds(60));
    assert_eq!((config.amqp.prefetch, config.amqp.declare), (50, false));
    assert_eq!(
        config.authorization.logout_users.as_deref(),
        Some(["shop".to_owned(), "portal".to_owned()].as_slice())
    );
    assert_eq!(config.authorization.mass_revocation_users, ["soc", "a,b"]);
    assert_eq!(config.http_listen.to_string(), "0.0.0.0:9300");
    assert_eq!((config.retry.max, config.limits.max_targets), (seconds(7 * 86_400), 10));
    assert_eq!(config.log.filter, "warn");
    assert_eq!(config.instance, format!("node_1.example-{}", std::process::id()));
}

#[test]
fn unknown_and_contradicting_variables_are_refused() {
    let cases = [
        (
            "REVOCATION__AMQP__PREFETSCH",
            "1",
            "amqp.prefetsch (from REVOCATION__AMQP__PREFETSCH): unknown setting",
        ),
        ("REVOCATION__AMPQ__URL", "x", "ampq.url (from REVOCATION__AMPQ__URL): unknown setting"),
        ("REVOCATION__URL", "x", "url (from REVOCATION__URL): unknown setting"),
        ("REVOCATION__AMQP__URL__FILE", "x", "REVOCATION__AMQP__URL__FILE: names no setting"),
        ("REVOCATION__PROVIDERS__MAIN", "x", "REVOCATION__PROVIDERS__MAIN: names no setting"),
        ("REVOCATION__", "x", "REVOCATION__: names no setting"),
        ("REVOCATION__AMQP", "x", "amqp (from REVOCATION__AMQP): must be a section"),
        (
            "REVOCATION__AMQP__PREFETCH",
            "0",
            "amqp.prefetch (from REVOCATION__AMQP__PREFETCH): 0 is out of range",
        ),
        ("REVOCATION__AMQP__URL", "amqp://b", "amqp.url (from AMQP_URL): also set by REVOCATION__AMQP__URL"),
        ("AMQP_URL_FILE", "/f", "amqp.url (from AMQP_URL): given together with amqp.url_file"),
        (
            "SEALING_KEYS_FILE",
            "/f",
            "sealing.keys (from SEALING_KEYS): given together with sealing.keys_file",
        ),
        (
            "REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET_FILE",
            "/f",
            "providers.main.client_secret (from REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET): given together \
                with",
        ),
    ];
    for (name, value, sentence) in cases {
        let problems = refused(&[(name, value)]);
        assert!(problems.contains(sentence), "{name}: {problems}");
    }
}

#[test]
fn an_empty_variable_is_not_set() {
    let problems = refused(&[("AMQP_URL", "")]);
    assert!(problems.starts_with("amqp.url: not set"), "{problems}");
    assert_eq!(loaded(&[("REVOCATION__AMQP__PREFETCH", "")]).amqp.prefetch, 300);
}

#[test]
fn the_environment_overrides_the_file() {
    let toml = format!(
        "amqp.prefetch = 10\nlog.level = 'debug'\n{BASE}{}",
        MAIN.replace("providers.main", "providers.Main-IdP")
    );
    let variables = [
        ("REVOCATION__AMQP__PREFETCH", "20"),
        ("AMQP_URL", "amqp://other"),
        ("REVOCATION__PROVIDERS__MAIN_IDP__CLIENT_ID", "other"),
        ("RUST_LOG", "warn"),
        ("REVOCATION__LOG__LEVEL", "trace"),
    ];
    let config = load_with(&toml, &variables).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.amqp.prefetch, 20);
    assert!(config.amqp.url.expose() == "amqp://other");
    assert_eq!(config.log.filter, "trace");
    assert_eq!(config.providers.len(), 1);
    let KindConfig::Rfc7009(rfc7009) = &config.providers["Main-IdP"].kind else { panic!("wrong kind") };
    assert_eq!(rfc7009.client.id, "other");
}

#[test]
fn secrets_by_file() {
    let scratch = Scratch::new();
    let toml = r#"
        amqp.url_file = "DIR/amqp"
        database.url_file = "DIR/database"
        sealing.keys_file = "DIR/keys"
        [providers.main]
        kind = "rfc7009"
        revocation_endpoint = "https://id.example.com/revoke"
        client_id = "shop"
        client_secret_file = "DIR/secret"
        [providers.card]
        kind = "baanx"
        base_url = "https://api.example.com"
        client_key_file = "DIR/key"
    "#;
    scratch.write("amqp", "amqp://broker\n");
    scratch.write("database", "postgres://db/r\r\n");
    scratch.write("keys", &format!("{KEY}\nold:{}\n", &KEY[8..]));
    scratch.write("secret", "\u{feff} 0123 \n");
    scratch.write("key", "k");
    let file = scratch.write("settings.toml", &toml.replace("DIR", &scratch.0.display().to_string()));
    let config = Config::load(Some(&file), &Environment::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.amqp.url.expose() == "amqp://broker" && config.database.url.expose() == "postgres://db/r");
    assert_eq!(config.sealing_keys.len(), 2);
    let KindConfig::Rfc7009(rfc7009) = &config.providers["main"].kind else { panic!("wrong kind") };
    let secret = rfc7009.client.secret.as_ref();
    assert!(
        secret.is_some_and(|secret| secret.expose() == " 0123 "),
        "a byte order mark and the line's end are no part of it"
    );
}

#[test]
fn a_variable_replaces_the_files_secret_file_and_the_other_way_round() {
    let scratch = Scratch::new();
    let secret = scratch.write("amqp", "amqp://by-file\n").display().to_string();
    let by_value = load_with(
        &format!("{}{MAIN}", BASE.replace("amqp.url = \"amqp://localhost\"", "amqp.url_file = '/absent'")),
        &[("AMQP_URL", "amqp://by-value")],
    );
    assert!(by_value.is_ok_and(|config| config.amqp.url.expose() == "amqp://by-value"));
    let by_file = load_with(&format!("{BASE}{MAIN}"), &[("AMQP_URL_FILE", &secret)]);
    assert!(by_file.is_ok_and(|config| config.amqp.url.expose() == "amqp://by-file"));
}

#[test]
fn unreadable_files_are_named() {
    let problems = refused(&[
        ("REVOCATION__PROVIDERS__CARD__KIND", "baanx"),
        ("REVOCATION__PROVIDERS__CARD__CLIENT_KEY_FILE", "/absent/key"),
    ]);
    let card: Vec<&str> = problems.lines().collect();
    assert_eq!(card.len(), 2, "{problems}");
    assert!(card[1].starts_with(
        "providers.card.client_key_file (from \
            REVOCATION__PROVIDERS__CARD__CLIENT_KEY_FILE): cannot read /absent/key"
    ));

    let absent = Config::load(Some(Path::new("/absent/settings.toml")), &Environment::new(ENOUGH))
        .err()
        .expect("it must be refused");
    assert!(
        absent.to_string().starts_with("/absent/settings.toml: cannot read the configuration file"),
        "{absent}"
    );
}

#[test]
fn bad_toml_is_refused_by_line() {
    let problems = problems("[amqp]\nprefetch = 5\nprefetch = = 6\n", &ENOUGH);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains("settings.toml: not valid TOML at line 3: "), "{}", problems[0]);
}

#[test]
fn the_default_file_is_read_where_it_is_present() {
    let scratch = Scratch::new();
    let environment = || Environment::new(ENOUGH).with_directory(&scratch.0);
    assert!(Config::load(None, &environment()).is_ok_and(|config| config.amqp.prefetch == 300));
    scratch.write("revocation-worker.toml", "[amqp]\nprefetch = 7");
    assert!(Config::load(None, &environment()).is_ok_and(|config| config.amqp.prefetch == 7));
}

#[test]
fn logs_are_human_on_a_terminal_only() {
    let terminal = Environment::new(ENOUGH).with_terminal(true);
    assert!(Config::load(None, &terminal).is_ok_and(|config| !config.log.json));
    assert!(loaded(&[]).log.json);
}

#[test]
fn secrets_that_others_can_read_are_told_and_no_secret_is() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let opened = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
    };
    scratch.write("secret", "hunter2");
    let secret = scratch.0.join("secret");
    let file = scratch.write(
        "settings.toml",
        &format!("database.url_file = '{}'\n{BASE}{MAIN}", secret.display()).replace("database.url = ", "# "),
    );
    let load = || Config::load(Some(&file), &Environment::default());
    for (mode, wanted) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o660, 1)] {
        scratch.write("secret", "postgres://u:hunter2@db/r");
        opened(&secret, mode);
        opened(&file, 0o600);
        let remarks = load().unwrap_or_else(|error| panic!("{error}")).remarks;
        assert_eq!(
            remarks.iter().filter(|remark| remark.starts_with("database.url_file: ")).count(),
            wanted,
            "{mode:o}: {remarks:?}"
        );
        assert!(remarks.iter().all(|remark| !remark.contains("hunter2")));
    }
    opened(&secret, 0o666);
    let refused = load().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        refused.starts_with("database.url_file: ") && refused.contains("may be written by everybody"),
        "{refused}"
    );
    opened(&secret, 0o600);
    opened(&file, 0o644);
    let remarks = load().unwrap_or_else(|error| panic!("{error}")).remarks;
    assert!(
        remarks
            .iter()
            .any(|remark| remark.contains("settings.toml holds ") && remark.contains("sealing.keys")),
        "{remarks:?}"
    );
}
