//! `check` asks for the rights that `migrations/roles.sql` gives a worker.

use std::collections::BTreeSet;

use url::Url;

use crate::harness::Stage;
use crate::program::run;

/// A right to add or change rows that is given and not asked for is one whose lack nobody is told of.
#[tokio::test(flavor = "multi_thread")]
async fn every_right_to_add_and_change_rows_is_asked_for() {
    let stage = Stage::new().await;
    stage.roles().await;
    let given = "SELECT DISTINCT to_jsonb(privilege_type || ' on revocation.' || table_name) FROM (
            SELECT grantee, table_schema, table_name, privilege_type FROM information_schema.table_privileges
            UNION SELECT grantee, table_schema, table_name, privilege_type
            FROM information_schema.column_privileges) given
        WHERE grantee = 'revocation_worker' AND table_schema = 'revocation'
            AND privilege_type IN ('INSERT', 'UPDATE')";
    let given: BTreeSet<String> =
        stage.rows(given).await.iter().map(|right| right.as_str().expect("a right").to_owned()).collect();
    assert!(given.len() > 15, "{given:?}");

    let mut url = Url::parse(&stage.database_url).expect("a URL");
    let role = url.path().trim_start_matches('/').to_owned();
    stage.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'")).await;
    stage.execute(&format!("GRANT USAGE ON SCHEMA revocation, audit TO {role}")).await;
    stage.execute(&format!("GRANT SELECT ON _sqlx_migrations TO {role}")).await;
    url.set_username(&role).and(url.set_password(Some("x"))).expect("credentials");
    let mut check = stage.worker("https://127.0.0.1:1/revoke").command();
    let ran = run(check.env("DATABASE_URL", url.as_str()), &["check", "--json"]);
    let report = ran.json();
    let says = report["checks"]
        .as_array()
        .and_then(|checks| checks.iter().find(|check| check["what"] == "database"))
        .and_then(|check| check["says"].as_str())
        .unwrap_or_default();
    let (_, asked) = says.split_once("grant ").unwrap_or_else(|| panic!("{says}"));
    let is_change = |right: &&str| ["INSERT", "UPDATE"].iter().any(|verb| right.starts_with(verb));
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
