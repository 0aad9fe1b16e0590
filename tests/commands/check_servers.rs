//! `check` where broker or database are there and would not let a worker work: it says what `run` would meet,
//! and changes nothing.

use std::process::Command;

use serde_json::{Value, json};
use url::Url;

use crate::harness::{App, Operator, Servers, Stage, logout_of};
use crate::program::{Ran, run};
use crate::queue::{Broker, declare};

fn check(stage: &Stage) -> Command {
    stage.worker("https://127.0.0.1:1/revoke").command()
}

fn finding(ran: &Ran, what: &str) -> (bool, String) {
    let report = ran.json();
    let checks = report["checks"].as_array().expect("a list");
    let found =
        checks.iter().find(|check| check["what"] == what).unwrap_or_else(|| panic!("{what} in {report}"));
    (found["ok"].as_bool().expect("a verdict"), found["says"].as_str().expect("a sentence").to_owned())
}

/// What is wrong with one thing.
#[track_caller]
fn problem(command: &mut Command, what: &str) -> String {
    let ran = run(command, &["check", "--json"]);
    let (is_ok, says) = finding(&ran, what);
    assert!(!is_ok && ran.code == 1, "{what}: {says}");
    says
}

fn vhost(stage: &Stage) -> String {
    Url::parse(&stage.amqp_url).expect("a URL").path().trim_start_matches('/').to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lost_its_streams_or_takes_no_messages_is_a_problem() {
    let servers = Servers::private().await;
    let stage = Stage::on(&servers).await;
    declare(&stage).await;
    assert!(finding(&run(&mut check(&stage), &["check", "--json"]), "broker").0);

    // An alarm: what is published from now on stops its connection.
    servers
        .broker(|broker| broker.ctl(&["set_vm_memory_high_watermark", "0.00001"]).expect("raise an alarm"));
    let says = problem(&mut check(&stage), "broker");
    assert!(says.contains("an alarm is on") && says.contains("memory or its disk"), "{says}");
    servers.broker(|broker| broker.ctl(&["set_vm_memory_high_watermark", "0.8"]).expect("clear the alarm"));
    assert!(finding(&run(&mut check(&stage), &["check", "--json"]), "broker").0);

    // A quorum queue whose leader is gone.
    let queue = format!("'{}_revocation.logout'", vhost(&stage));
    let stop = format!("ra:stop_server(quorum_queues, {{{queue}, node()}}).");
    servers.broker(|broker| {
        broker
            .ctl(&["eval", &stop])
            .or_else(|_| broker.ctl(&["eval", &stop.replace("quorum_queues, ", "")]))
            .expect("stop the leader")
    });
    let says = problem(&mut check(&stage), "broker");
    assert!(says.contains("revocation.logout"), "{says}");

    // Without what its coordinator knew, no stream is ever led again.
    servers.broker(|broker| {
        broker.kill();
        let nodes = std::fs::read_dir(broker.data_dir())
            .expect("the broker's data")
            .map(|node| node.expect("an entry").path());
        let lost =
            nodes.map(|node| node.join("coordination")).filter(|folder| folder.exists()).collect::<Vec<_>>();
        assert!(!lost.is_empty(), "the coordinator's folder");
        lost.iter().for_each(|folder| std::fs::remove_dir_all(folder).expect("lose it"));
        broker.restart().expect("start the broker again");
    });
    let says = problem(&mut check(&stage), "broker");
    assert!(says.contains("auth.invalidations") && says.contains("is down or inaccessible"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_the_broker_denies_are_named_before_a_worker_misses_them() {
    let stage = Stage::new().await;
    declare(&stage).await;
    App::connect(&stage.amqp_url).await.publish(&logout_of("1", json!([{ "sub": "u" }]))).await;
    let operator = Operator::of(&stage).await;
    let all = ".*";
    for (name, configure, write, read, wanted) in [
        ("all", all, all, all, None),
        ("configure", "^$", all, all, Some("to configure exchange auth.events, exchange revocation.dead,")),
        ("dead", all, "^(?!revocation\\.dead$)", all, Some("exchange revocation.dead: ")),
        ("feed", all, "^(?!auth\\.invalidations$)", all, Some("to write to exchange auth.invalidations: ")),
        ("queue", all, all, "^(?!revocation\\.logout$)", Some("to read from queue revocation.logout: ")),
        ("cutoff", all, all, "^(?!revocation\\.cutoff$)", Some("to read from queue revocation.cutoff: ")),
        (
            "log",
            all,
            all,
            "^(?!auth\\.invalidations\\.log$)",
            Some("to read from queue auth.invalidations.log: "),
        ),
        ("bind", all, "^(?!revocation\\.mass$)", all, Some("to write to queue revocation.mass: ")),
        ("events", all, all, "^(?!auth\\.events$)", Some("to read from exchange auth.events: ")),
    ] {
        let url = operator
            .add_limited_user(&stage, name, json!({ "configure": configure, "write": write, "read": read }))
            .await;
        let mut command = check(&stage);
        let command = command.env("AMQP_URL", url);
        match wanted {
            None => assert!(finding(&run(command, &["check", "--json"]), "broker").0),
            Some(wanted) => {
                let says = problem(command, "broker");
                assert!(says.contains(wanted) && !says.contains("secret"), "{name}: {says}");
            }
        }
    }
    let broker = Broker::connect(&stage).await;
    let waiting = broker.drain("revocation.logout").await;
    assert_eq!((waiting.len(), waiting[0].redelivered), (1, false), "nothing was taken");
    assert_eq!(
        broker.length("revocation.dead").await + broker.length("revocation.mass").await,
        0,
        "nothing was published"
    );
    let bindings = operator.list("bindings").await;
    assert!(
        bindings
            .iter()
            .all(|binding| !binding["routing_key"].as_str().is_some_and(|key| key.starts_with("check")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_run_missing_rights_are_named_too_and_nothing_is_declared() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let url = operator
        .add_limited_user(&stage, "reader", json!({ "configure": "^$", "write": ".*", "read": ".*" }))
        .await;
    let says = problem(check(&stage).env("AMQP_URL", url), "broker");
    for thing in [
        "to configure exchange auth.events, ",
        ", queue revocation.logout, ",
        ", queue auth.invalidations.log, ",
    ] {
        assert!(says.contains(thing), "{says}");
    }
    let ran = run(&mut check(&stage), &["check", "--json"]);
    assert!(finding(&ran, "broker").0, "{}", ran.stdout);
    assert_eq!(operator.queues().await, Vec::<String>::new());
    let ours = |exchange: &Value| {
        exchange["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("auth.") || name.starts_with("revocation"))
    };
    assert!(!operator.list("exchanges").await.iter().any(ours), "no exchange was declared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_is_a_problem() {
    let servers = Servers::own_database().await;
    let stage = Stage::on(&servers).await;
    let name = Url::parse(&stage.database_url).expect("a URL").path().trim_start_matches('/').to_owned();
    let on = "SET default_transaction_read_only = on";
    for (sets, advice) in [
        (format!("ALTER DATABASE {name}"), "the database (ALTER DATABASE"),
        ("ALTER ROLE postgres".to_owned(), "the role (ALTER ROLE"),
        (format!("ALTER ROLE postgres IN DATABASE {name}"), "the role in this database"),
        ("ALTER SYSTEM".to_owned(), "the server's configuration (ALTER SYSTEM RESET"),
    ] {
        // ALTER SYSTEM writes no row, and stands in no transaction.
        let change = |what: &str| match sets.as_str() {
            "ALTER SYSTEM" => format!("{sets} {what}"),
            _ => format!("BEGIN READ WRITE; {sets} {what}; COMMIT"),
        };
        stage.execute(&change(on)).await;
        stage.execute("SELECT pg_reload_conf()").await;
        let says = problem(&mut check(&stage), "database");
        let wanted = format!("its sessions are read-only: take default_transaction_read_only off {advice}");
        assert!(says.contains(&wanted), "{sets}: {says}");
        stage.execute(&change("RESET default_transaction_read_only")).await;
        stage.execute("SELECT pg_reload_conf()").await;
    }
    stage.rows("SELECT to_jsonb(1)").await;

    servers.database(|postgres| {
        postgres.stop().expect("stop Postgres");
        std::fs::write(postgres.data_dir().join("standby.signal"), "").expect("make it a standby");
        postgres.restart().expect("start Postgres again");
    });
    let says = problem(&mut check(&stage), "database");
    assert!(says.contains("it is a read-only standby: database.url must lead to the primary"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_removed_from_the_schema_is_named() {
    let stage = Stage::new().await;
    let rows = [
        ("ALTER VIEW audit.propagation RENAME TO gone", "not there: view audit.propagation;"),
        (
            "ALTER TABLE revocation.provider_orders RENAME TO gone",
            "not there: table revocation.provider_orders, view",
        ),
        ("ALTER FUNCTION revocation.let_go RENAME TO gone", "function revocation.let_go;"),
    ];
    for (statement, told) in rows {
        stage.execute(statement).await;
        let says = problem(&mut check(&stage), "database");
        assert!(says.contains(told), "{statement}: {says}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_would_refuse_a_worker_is_named() {
    let stage = Stage::new().await;
    let url = Url::parse(&stage.database_url).expect("a URL");
    let role = url.path().trim_start_matches('/').to_owned();
    stage.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret-canary'")).await;
    let mut own = url.clone();
    own.set_username(&role).and(own.set_password(Some("secret-canary"))).expect("credentials");
    let command = || {
        let mut command = check(&stage);
        command.env("DATABASE_URL", own.as_str());
        command
    };
    assert!(problem(&mut command(), "database").contains("no USAGE on schema revocation"));
    stage.execute(&format!("GRANT USAGE ON SCHEMA revocation TO {role}")).await;
    assert!(
        problem(&mut command(), "database").contains("no USAGE on schema revocation and on schema audit")
    );
    stage.execute(&format!("GRANT USAGE ON SCHEMA audit TO {role}")).await;
    stage.execute(&format!("GRANT SELECT ON _sqlx_migrations TO {role}")).await;
    stage.execute(&format!("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA revocation TO {role}")).await;
    let says = problem(&mut command(), "database");
    assert!(
        says.contains(
            "grant UPDATE on revocation.workers, UPDATE on revocation.verifiers, UPDATE on \
            revocation.verifier_reports, UPDATE on revocation.targets"
        ),
        "{says}"
    );
    stage.execute(&format!("GRANT UPDATE, DELETE ON ALL TABLES IN SCHEMA revocation TO {role}")).await;
    let says = problem(&mut command(), "database");
    assert!(
        says.contains(
            "EXECUTE on function revocation.let_go(uuid,timestamp with time zone), EXECUTE on \
            function revocation.finish"
        ),
        "{says}"
    );
    stage.execute(&format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA revocation TO {role}")).await;
    let says = problem(&mut command(), "database");
    assert!(says.contains("grant SELECT on audit.workers, SELECT on audit.verifiers"), "{says}");
    stage.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA audit TO {role}")).await;
    assert!(finding(&run(&mut command(), &["check", "--json"]), "database").0);

    stage.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 5")).await;
    let says = problem(&mut command(), "database");
    assert!(says.contains("database.max_connections is 8, and it lets this role have 5"), "{says}");
    stage.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await;
    let says = problem(&mut command(), "database");
    assert!(
        says.contains("too many connections for role")
            && says.contains("(SQLSTATE 53300)")
            && !says.contains("at line"),
        "{says}"
    );
    stage.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT -1 PASSWORD 'other'")).await;
    let says = problem(&mut command(), "database");
    assert!(
        says.contains("password authentication failed")
            && !says.contains("canary")
            && !says.contains("cannot be reached"),
        "{says}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_a_problem_unless_a_worker_has_it() {
    let stage = Stage::new().await;
    let setup = stage.worker("https://127.0.0.1:1/revoke");
    let worker = setup.start().await;
    let listen = worker.http.trim_start_matches("http://").to_owned();
    assert!(
        finding(
            &run(check(&stage).env("REVOCATION__HTTP__LISTEN", &listen), &["check", "--json"]),
            "configuration"
        )
        .0
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address").to_string();
    let says = problem(check(&stage).env("REVOCATION__HTTP__LISTEN", &listen), "configuration");
    assert!(says.contains(&format!("http.listen: {listen}: Address already in use")), "{says}");
    let says = problem(check(&stage).env("REVOCATION__HTTP__LISTEN", "192.0.2.1:9300"), "configuration");
    assert!(says.contains("http.listen: 192.0.2.1:9300"), "{says}");
}
