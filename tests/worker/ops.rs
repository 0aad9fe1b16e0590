//! What `ops/` watches is really exported, and Prometheus's own checker finds nothing wrong with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use crate::harness::promtool::promtool;
use crate::harness::{App, Stage, eventually, logout};
use crate::scripted_idp::{Reply, ScriptedIdp};

fn ops(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(ops(file)).expect("read a file of ops/")
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| {
        ["revocation_", "process_"].iter().any(|start| word.starts_with(start)) && !word.ends_with('_')
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Every series' name, of metrics as `/metrics` has them.
fn exported(metrics: &str) -> BTreeSet<String> {
    let series = metrics.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_watched_is_exported_from_the_first_moment() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    // The figures of the fleet come with the first count, right after the start.
    let metrics = eventually("backlog and verifiers are counted", async || {
        let metrics = worker.get("/metrics").await;
        let counted = ["revocation_oldest_due_seconds{", "revocation_verifiers{"];
        counted.iter().all(|series| metrics.contains(series)).then_some(metrics)
    })
    .await;
    promtool(&["check", "metrics"], &metrics).expect("promtool check metrics");
    let (exported, mut watched) = (exported(&metrics), names(&read("alerts.yml")));
    watched.extend(names(&read("dashboard.json")));
    assert!(watched.len() > 25, "the names were found: {watched:?}");
    let missing: Vec<_> = watched.difference(&exported).collect();
    assert!(missing.is_empty(), "watched, and not exported: {missing:?}");
    for lane in ["interactive", "mass"] {
        for state in ["pending", "parked"] {
            let series = format!("{{provider=\"main\",lane=\"{lane}\",state=\"{state}\"}} 0");
            for name in ["revocation_backlog_targets", "revocation_oldest_due_seconds"] {
                assert!(metrics.contains(&format!("{name}{series}")), "{name}{series} in {metrics}");
            }
        }
    }
    for series in [
        r#"revocation_attempts_total{provider="main",outcome="transient"} 0"#,
        r#"revocation_events_refused_total{code="not_json"} 0"#,
        r#"revocation_breaker_reason{provider="main",reason="failing"} 0"#,
        r#"revocation_oldest_unacknowledged_seconds{queue="revocation.logout"} 0"#,
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
    App::connect(&stage.amqp_url).await.publish(&logout("1", "access-1", "refresh-1")).await;
    eventually("calls are timed", async || {
        let count = worker.metric(r#"revocation_provider_call_seconds_count{provider="main"}"#).await;
        (count == 2.0).then_some(())
    })
    .await;
    for (name, least) in [
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 5.0),
        ("process_start_time_seconds", 1.7e9),
        ("revocation_schema_version", 20.0),
        ("revocation_database_connections_acquired_total", 1.0),
    ] {
        assert!(worker.metric(&format!("{name} ")).await >= least, "{name}");
    }
}

#[test]
fn the_alerts_are_well_formed_and_fire_on_what_they_are_for() {
    promtool(&["check", "rules", "alerts.yml"], "").expect("promtool check rules");
    promtool(&["test", "rules", "alerts_test.yml"], "").expect("promtool test rules");
    let (alerts, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default();
        assert!(tests.contains(&format!("- name: {name}\n")), "{name} has no test");
        for says in ["meaning: ", "first_look: ", "remedy: "] {
            assert!(alert.contains(says), "{name} has no {says}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_asks_what_the_audit_views_answer() {
    let stage = Stage::new().await;
    let dashboard: serde_json::Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let questions: Vec<_> = targets.filter_map(|target| target["rawSql"].as_str()).collect();
    assert!(questions.len() >= 4);
    for question in questions {
        assert!(question.contains("audit."), "{question}");
        let asked = sqlx::query(AssertSqlSafe(question.to_owned())).fetch_all(&stage.db).await;
        asked.unwrap_or_else(|error| panic!("{question}: {error}"));
    }
}
