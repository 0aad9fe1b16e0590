//! `check` asks for the rights that `migrations/roles.sql` gives a worker.

use std::collections::BTreeSet;

use url::Url;

use crate::harness::Stage;
use crate::program::run;

/// What `check` asks a login of this role for, whose name is that of the test's database.
fn asked(stage: &Stage, role: &str) -> String {
    let mut url = Url::parse(&stage.database_url).expect("a URL");
    url.set_username(role).and(url.set_password(Some("x"))).expect("credentials");
    let mut check = stage.worker("https://127.0.0.1:1/revoke").command();
    let ran = run(check.env("DATABASE_URL", url.as_str()), &["check", "--json"]);
    let report = ran.json();
    let checks = report["checks"].as_array().expect("a list");
    let database = checks.iter().find(|check| check["what"] == "database").expect("the database's");
    let says = database["says"].as_str().expect("a sentence");
    says.split_once("grant ").map(|(_, asked)| asked.to_owned()).unwrap_or_default()
}

async fn role(stage: &Stage) -> String {
    stage.roles().await;
    let role = Url::parse(&stage.database_url).expect("a URL").path().trim_start_matches('/').to_owned();
    stage.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'")).await;
    role
}

/// A worker with the rights of an older release: each that was added since is named by its column.
#[tokio::test(flavor = "multi_thread")]
async fn every_right_that_a_worker_lacks_is_asked_for_by_its_column() {
    let stage = Stage::new().await;
    let role = role(&stage).await;
    stage.execute(&format!("GRANT revocation_worker TO {role}")).await;
    assert_eq!(asked(&stage, &role), "");
    let columns = "SELECT DISTINCT to_jsonb(p.privilege_type || ' (' || p.column_name || ') on revocation.'
            || p.table_name)
        FROM information_schema.column_privileges p
        WHERE p.grantee = 'revocation_worker' AND p.table_schema = 'revocation'
            AND NOT EXISTS (SELECT FROM information_schema.table_privileges t
                WHERE t.grantee = p.grantee AND t.table_schema = p.table_schema
                    AND t.table_name = p.table_name AND t.privilege_type = p.privilege_type)";
    let columns = stage.rows(columns).await;
    assert!(columns.len() > 30, "{columns:?}");
    let others = ["SELECT on audit.incidents", "SELECT on audit.events", "DELETE on revocation.latencies"];
    let rights = columns.iter().map(|right| right.as_str().expect("a right")).chain(others);
    let mut rights: Vec<_> = rights.collect();
    rights.sort_unstable_by_key(|right| std::cmp::Reverse(*right));
    // One at a time for some of each sort, and all others of its table stay given.
    for right in rights.iter().step_by(9).chain(&others) {
        stage.execute(&format!("REVOKE {right} FROM revocation_worker")).await;
        assert_eq!(asked(&stage, &role), *right);
        stage.execute(&format!("GRANT {right} TO revocation_worker")).await;
    }
    // Nothing is asked for that roles.sql does not give, and all that it gives by columns.
    for table in ["events", "targets", "incidents", "operations"] {
        let some: Vec<_> =
            rights.iter().filter(|right| right.ends_with(&format!("revocation.{table}"))).collect();
        for verb in ["INSERT", "UPDATE"] {
            let names = |right: &str| {
                right
                    .split_once('(')
                    .and_then(|(_, rest)| rest.split_once(')'))
                    .map(|(name, _)| name.to_owned())
            };
            let of_verb = some.iter().filter(|right| right.starts_with(verb));
            let mut given: Vec<_> = of_verb.filter_map(|right| names(right)).collect();
            let Some(first) = given.pop() else { continue };
            stage.execute(&format!("REVOKE {verb} ON revocation.{table} FROM revocation_worker")).await;
            stage
                .execute(&format!("GRANT {verb} ({first}) ON revocation.{table} TO revocation_worker"))
                .await;
            let told = asked(&stage, &role);
            let told = names(&told).unwrap_or_default();
            let told: BTreeSet<_> = told.split(", ").map(str::to_owned).collect();
            assert_eq!(told, given.iter().cloned().collect(), "{verb} on {table}");
            stage
                .execute(&format!(
                    "GRANT {verb} ({}) ON revocation.{table} TO revocation_worker",
                    given.join(", ")
                ))
                .await;
        }
    }
}

/// A right to add or change rows that is given and not asked for is one whose lack nobody is told of.
#[tokio::test(flavor = "multi_thread")]
async fn every_right_to_add_and_change_rows_is_asked_for() {
    let stage = Stage::new().await;
    let role = role(&stage).await;
    let given = "SELECT DISTINCT to_jsonb(privilege_type || ' on revocation.' || table_name) FROM (
            SELECT grantee, table_schema, table_name, privilege_type FROM information_schema.table_privileges
            UNION SELECT grantee, table_schema, table_name, privilege_type
            FROM information_schema.column_privileges) given
        WHERE grantee = 'revocation_worker' AND table_schema = 'revocation'
            AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE')";
    let given: BTreeSet<String> =
        stage.rows(given).await.iter().map(|right| right.as_str().expect("a right").to_owned()).collect();
    assert!(given.len() > 15, "{given:?}");

    stage.execute(&format!("GRANT USAGE ON SCHEMA revocation, audit TO {role}")).await;
    stage.execute(&format!("GRANT SELECT ON _sqlx_migrations TO {role}")).await;
    let asked = asked(&stage, &role);
    let is_change = |right: &&str| ["INSERT", "UPDATE", "DELETE"].iter().any(|verb| right.starts_with(verb));
    let asked: BTreeSet<String> =
        asked.split([',', ';']).map(str::trim).filter(is_change).map(str::to_owned).collect();
    assert_eq!(asked, given);
}

/// A login that is no worker's is told what it is for; that it lacks a worker's rights is as it should be.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_another_role_is_told_what_that_is_for() {
    let stage = Stage::new().await;
    stage.roles().await;
    for (role, what) in [
        ("revocation_operator", Some("for the commands of operators")),
        ("revocation_retention", Some("for `purge`")),
        ("auditor", Some("for reading the audit views")),
        ("revocation_worker", None),
        ("revocation_owner", None),
    ] {
        let login = stage.login(role).await;
        let mut check = stage.worker("https://127.0.0.1:1/revoke").command();
        let ran = run(check.env("DATABASE_URL", &login.url), &["check", "--json"]);
        let report = ran.json();
        let checks = report["checks"].as_array().expect("a list");
        let database = checks.iter().find(|check| check["what"] == "database").expect("the database's");
        let notes = database["notes"].to_string();
        assert_eq!(
            (&database["ok"], database["says"].to_string().contains("grant")),
            (&true.into(), false),
            "{database}"
        );
        assert_eq!(notes.contains(role), what.is_some(), "{notes}");
        assert!(what.is_none_or(|what| notes.contains(what)), "{notes}");
    }
    let stranger = stage.login("").await;
    let mut check = stage.worker("https://127.0.0.1:1/revoke").command();
    let ran = run(check.env("DATABASE_URL", &stranger.url), &["check"]);
    assert!(ran.code == 1 && ran.stdout.contains("no USAGE on schema"), "{}", ran.stdout);
}
