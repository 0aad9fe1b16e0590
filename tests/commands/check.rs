//! `check`

use std::process::Command;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::{Value, json};
use url::Url;

use crate::harness::{Issuer, Stage};
use crate::program::{bare, run};
use crate::queue::{Broker, declare};
use crate::scripted_idp::{Reply, ScriptedIdp};

fn check(stage: &Stage, idp: &ScriptedIdp) -> Command {
    stage.worker(&format!("{}/revoke", idp.url())).command()
}

fn finding<'a>(report: &'a Value, what: &str) -> (bool, &'a str) {
    let checks = report["checks"].as_array().expect("a list");
    let found =
        checks.iter().find(|check| check["what"] == what).unwrap_or_else(|| panic!("{what} in {report}"));
    (found["ok"].as_bool().expect("a verdict"), found["says"].as_str().expect("a sentence"))
}

/// The last line where something is wrong.
const MEND: &str = "mend what is marked PROBLEM, then check again\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_installation_passes() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let ran = run(&mut check(&stage, &idp), &["check"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let verdicts: Vec<_> =
        ran.stdout.lines().filter_map(|line| line.split_once(':')).map(|(verdict, _)| verdict).collect();
    assert_eq!(
        verdicts,
        ["configuration", "sealing keys", "broker", "database", "provider main"]
            .map(|what| format!("ok       {what}"))
    );
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.contains("the credentials for tokens are accepted"), "{}", ran.stdout);
    let is_harmless = |token: Option<String>| token.is_none_or(|token| token.starts_with("probe-"));
    assert!(
        idp.ledger().iter().all(|request| is_harmless(request.field("token"))),
        "no token of anybody was revoked"
    );
}

/// A worker that runs has the old ones.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_credentials_of_a_provider_that_is_left_alone_take_a_restart() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    stage
        .execute(
            "INSERT INTO revocation.workers (instance, version, lease_until)
             VALUES ('pod-1', '0.1.0', now() + interval '1 hour')",
        )
        .await;
    for (provider, breaker, reason, is_told) in [
        ("main", "open", "misconfigured", true),
        ("main", "half_open", "misconfigured", true),
        ("main", "open", "failing", false),
        ("main", "closed", "misconfigured", false),
        ("other", "open", "misconfigured", false),
    ] {
        stage.execute("DELETE FROM revocation.provider_status").await;
        let row = format!(
            "INSERT INTO revocation.provider_status (worker_no, provider, breaker, reason, calls_5m, \
                 failures_5m)
             SELECT worker_no, '{provider}', '{breaker}', '{reason}', 0, 0 FROM revocation.workers"
        );
        stage.execute(&row).await;
        let ran = run(&mut check(&stage, &idp), &["check"]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let note = "note     provider main: left alone by a running worker; ";
        assert_eq!(ran.stdout.contains(note), is_told, "{row}: {}", ran.stdout);
    }
}

/// Whoever looks at the wrong one is told which that is, and no password.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_schema_is_named() {
    let stage = Stage::empty().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let url = Url::parse(&stage.database_url).expect("a URL");
    let report = run(&mut check(&stage, &idp), &["check", "--json"]).json();
    let (is_ok, says) = finding(&report, "database");
    let wanted = format!("database {} at ", url.path().trim_start_matches('/'));
    assert!(!is_ok && says.starts_with(&wanted) && says.contains("schema is at version 0"), "{says}");
    assert!(url.password().is_none_or(|password| !says.contains(password)), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_keys_cannot_be_had_is_a_problem() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    declare(&stage).await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let setup = issuer.known_to(stage.worker(&format!("{}/revoke", idp.url())));
    for (uri, is_ok, says) in [
        (format!("{}/jwks", issuer.issuer()), true, "has keys that signatures of"),
        (format!("{}/other", issuer.issuer()), false, "answered 404, and no JWK Set"),
        (format!("{}/revoke", idp.url()), false, "answered 200, and no JWK Set"),
        ("http://127.0.0.1:9/jwks".to_owned(), false, "127.0.0.1:9"),
    ] {
        let setup = setup.clone().set("REVOCATION__RECEIVE__SENDERS__OP__JWKS_URI", &uri);
        let report = run(&mut setup.command(), &["check", "--json"]).json();
        let (found, said) = finding(&report, "sender op");
        assert!(found == is_ok && said.contains(says), "{uri}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_provider_refuses_are_a_problem() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let idp = ScriptedIdp::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#)).await;
    let ran = run(&mut check(&stage, &idp), &["check", "--json"]);
    let report = ran.json();
    let (is_ok, says) = finding(&report, "provider main");
    assert!(
        ran.code == 1
            && !is_ok
            && says.contains("answered 401 invalid_client; check the endpoint, client_id, client_secret"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_go_by_is_noted_and_is_no_problem() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let no_user = || Reply::json(404, r#"{"errorCode":"E0000007"}"#);
    let idp =
        ScriptedIdp::start(
            move |request| if request.path.contains("/users/") { no_user() } else { Reply::status(200) },
        )
        .await;
    let mut command = check(&stage, &idp);
    command
        .env("REVOCATION__PROVIDERS__MAIN__SUBJECT_CLAIMS", "user_id")
        .env("REVOCATION__PROVIDERS__STAFF__KIND", "okta")
        .env("REVOCATION__PROVIDERS__STAFF__BASE_URL", idp.url())
        .env("REVOCATION__PROVIDERS__STAFF__API_TOKEN", "t");
    let ran = run(&mut command, &["check"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let notes: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("note     provider ")).collect();
    let [main, id, names] = &notes[..] else { panic!("three notes: {}", ran.stdout) };
    assert!(
        main.contains("main: ")
            && main.contains("a user also by user_id only where a target has an iss: set issuer"),
        "{main}"
    );
    assert!(id.contains("staff: ") && id.contains("send the id, the claim uid, as sub"), "{id}");
    assert!(
        names.contains(&format!(
            "a user also by uid and a client also by cid in tokens of a target's iss, else of {}:",
            idp.url()
        )),
        "{names}"
    );

    let mut command = check(&stage, &idp);
    let report =
        run(command.env("REVOCATION__PROVIDERS__MAIN__SUBJECT_CLAIMS", "user_id"), &["check", "--json"])
            .json();
    let of = |what: &str| {
        let checks = report["checks"].as_array().expect("a list");
        checks.iter().find(|check| check["what"] == what).expect(what)["notes"].clone()
    };
    assert!(of("provider main")[0].as_str().is_some_and(|note| note.contains("user_id")), "{report}");
    assert_eq!((of("broker"), &report["ok"]), (Value::Null, &json!(true)), "only where there are any");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_run_it_says_what_will_be_declared_and_declares_nothing() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let ran = run(&mut check(&stage, &idp), &["check", "--json"]);
    let (report, code) = (ran.json(), ran.code);
    let (is_ok, says) = finding(&report, "broker");
    assert!(
        code == 0 && is_ok && says.contains("`run` will declare") && says.contains("revocation.logout"),
        "{report}"
    );
    let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let channel = Broker::connect(&stage).await.channel;
    let declared = channel
        .exchange_declare("auth.events".into(), ExchangeKind::Topic, options, FieldTable::default())
        .await;
    assert!(declared.is_err(), "check declared an exchange");

    let ran = run(check(&stage, &idp).env("REVOCATION__AMQP__DECLARE", "false"), &["check", "--json"]);
    assert_eq!((ran.code, finding(&ran.json(), "broker").0), (1, false));
    assert_eq!(ran.stderr, format!("revocation-worker: 1 problem found\n{MEND}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_is_a_problem() {
    let stage = Stage::new().await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let channel = Broker::connect(&stage).await.channel;
    channel
        .queue_declare("revocation.mass".into(), options, FieldTable::default())
        .await
        .expect("declare a classic queue");
    let idp = ScriptedIdp::start(|_| Reply::status(404)).await;
    let ran = run(&mut check(&stage, &idp), &["check", "--json"]);
    let report = ran.json();
    let (is_ok, says) = finding(&report, "broker");
    assert!(
        ran.code == 1 && !is_ok && says.contains("revocation.mass") && says.contains("inequivalent arg"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_found_at_once() {
    let stage = Stage::new().await;
    sqlx::raw_sql("DROP SCHEMA audit CASCADE; DROP SCHEMA revocation CASCADE; DROP TABLE _sqlx_migrations")
        .execute(&stage.db)
        .await
        .expect("drop");
    let mut command = stage.worker("https://127.0.0.1:1/revoke").command();
    let ran = run(command.env("AMQP_URL", "amqp://127.0.0.1:1"), &["check", "--json"]);
    let report = ran.json();
    assert_eq!((ran.code, &report["ok"]), (1, &json!(false)), "{report}");
    assert!(finding(&report, "configuration").0, "{report}");
    for (what, names) in [
        ("broker", "127.0.0.1:1"),
        ("database", "revocation-worker migrate"),
        ("provider main", "127.0.0.1:1"),
    ] {
        let (is_ok, says) = finding(&report, what);
        assert!(!is_ok && says.contains(names), "{what}: {says}");
    }
    assert_eq!(ran.stderr, format!("revocation-worker: 3 problems found\n{MEND}"), "{report}");
}

#[test]
fn bad_settings_are_named_and_exit_with_2() {
    let ran = run(
        &mut bare(&[("AMQP_URL", "http://u:canary@b"), ("REVOCATION__LEASE", "soon")]),
        &["check", "--json"],
    );
    assert_eq!((ran.code, &ran.json()["ok"]), (2, &json!(false)));
    for setting in ["amqp.url", "database.url", "sealing.keys", "lease"] {
        assert!(
            ran.json()["checks"]
                .as_array()
                .expect("a list")
                .iter()
                .any(|c| c["says"].as_str().is_some_and(|s| s.starts_with(setting))),
            "{setting}"
        );
    }
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("canary"));

    let human = run(&mut bare(&[]), &["check"]);
    assert_eq!(human.code, 2);
    assert!(
        human.stdout.lines().all(|line| line.starts_with("PROBLEM  configuration: ")),
        "{}",
        human.stdout
    );
    assert!(human.stderr.contains("amqp.url"), "{}", human.stderr);
}

#[cfg(feature = "otlp")]
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_spans_that_takes_none_is_a_problem() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let receiver = ScriptedIdp::start(|request| match request.path.as_str() {
        "/v1/traces" => Reply::status(200),
        _ => Reply::status(404),
    })
    .await;
    for (path, ok, says) in
        [("", true, "/v1/traces takes spans"), ("/x", false, "telemetry.otlp_endpoint: POST")]
    {
        let mut command = check(&stage, &idp);
        command.env("REVOCATION__TELEMETRY__OTLP_ENDPOINT", format!("{}{path}", receiver.url()));
        let ran = run(&mut command, &["check", "--json"]);
        let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let (is_ok, sentence) = finding(&report, "traces");
        assert_eq!((is_ok, ran.code == 0), (ok, ok), "{sentence}");
        assert!(sentence.contains(says), "{sentence}");
    }
    assert!(receiver.ledger().iter().all(|request| request.method == "POST"));
}
