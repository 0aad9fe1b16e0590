//! `incident approve`: a second person, and for what that person saw.

use revocation_worker::store::{Order, Seen, Steered};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::Stage;
use crate::program::{command, run};

async fn waiting() -> Stage {
    let stage = Stage::new().await;
    stage.incident("leak", "awaiting_approval").await;
    stage.execute("UPDATE revocation.incidents SET asks = ARRAY['client'], asking = 1, asking_expected = 2, targets_expected = 40").await;
    let event = stage.event("leak", 3).await;
    stage.hold(event).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves() {
    let stage = waiting().await;
    for opener in ["Alice", "alice", "  ALICE ", "soc", "SOC\t"] {
        let refused = stage.steer(&["approve", "leak", "--actor", opener]);
        let sentence = "revocation-worker: incident leak: a second person must approve: alice, soc ordered some of it\n";
        assert_eq!((refused.code, refused.stderr.as_str()), (1, sentence), "{opener}");
    }
    assert_eq!(stage.of("leak", "state").await.as_deref(), Some("awaiting_approval"));
    assert_eq!(stage.count("audit.operations").await, 0);

    let nobody = run(&mut command(&stage), &["incident", "approve", "leak"]);
    assert_eq!((nobody.code, nobody.stderr.contains("--actor")), (2, true), "{}", nobody.stderr);

    let text = stage.steered(&["approve", "leak"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "approving incident leak: 40 targets, 3 received");
    assert!(lines[1].starts_with("opened by Alice via soc at 20") && lines[1].ends_with("UTC, reason account_takeover"), "{text}");
    let asking = "asking for approval: 2 targets of kind client, announced ones included";
    assert_eq!(lines[2..5], ["kinds: token (3 pending)", asking, "providers: main (3 pending)"]);
    assert_eq!(lines[5..], ["incident leak: running; effective within 2 s, on all workers"]);
    let row =
        stage.of("leak", "(state, approved_by, approved_role = session_user, approved_at > opened_at, approved_asks, approved_targets)");
    assert_eq!(row.await.as_deref(), Some("(running,bob,t,t,{client},40)"));
    let operation = &stage.operations("leak").await[0];
    assert_eq!((&operation["actor"], &operation["action"]), (&json!("bob"), &json!("approve")));
    assert_eq!((&operation["detail"]["asks"], &operation["detail"]["seen"]), (&json!(["client"]), &json!(40)));
}

/// Whoever has the database's password can do no more than the command.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_one_person() {
    let stage = waiting().await;
    let approve = |by: &str| {
        format!(
            "UPDATE revocation.incidents SET state = 'running', approved_by = {by}, approved_role = session_user, approved_at = now(),
                 approved_asks = asks, approved_asking = 1000000, approved_targets = 1000000 WHERE incident = 'leak'"
        )
    };
    for by in ["'alice'", "' ALICE '", "opened_by", "'Soc'"] {
        let error = stage.db.execute(AssertSqlSafe(approve(by))).await.expect_err("refused");
        let constraint = error.as_database_error().and_then(|e| e.constraint());
        assert_eq!(constraint, Some("two_persons"), "{by}: {error}");
    }
    let unapproved =
        stage.db.execute("UPDATE revocation.incidents SET state = 'running' WHERE incident = 'leak'").await.expect_err("refused");
    assert!(unapproved.to_string().contains("second person's approval"), "{unapproved}");
    assert_eq!(stage.execute(&approve("'bob'")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_what_was_seen() {
    let stage = waiting().await;
    let shown = stage.steered(&["show", "leak"]);
    assert!(shown.contains("incident approve leak --targets 40\n"), "{shown}");
    let grown = "incident leak: it has 41 targets, not 40: look at it again, then: revocation-worker incident approve leak --targets 41";
    // Within what was announced, more may come.
    stage.event("leak", 37).await;
    assert!(stage.steered(&["show", "leak"]).contains("incident approve leak --targets 40\n"));
    stage.event("leak", 1).await;
    let ran = stage.steer(&["approve", "leak", "--targets", "40"]);
    assert_eq!((ran.code, ran.stderr), (1, format!("revocation-worker: {grown}\n")));
    let store = stage.store();
    let seen = |asks: &[&str], targets| Order::Approve(Seen { asks: asks.iter().map(ToString::to_string).collect(), asking: 2, targets });
    assert_eq!(store.steer("bob", "leak", &seen(&["client"], 40)).await.expect("steer"), Steered::Grown);
    assert_eq!(store.steer("bob", "leak", &seen(&["issuer"], 41)).await.expect("steer"), Steered::Grown, "another kind");
    let fewer = Order::Approve(Seen { asks: vec!["client".to_owned()], asking: 1, targets: 41 });
    assert_eq!(store.steer("bob", "leak", &fewer).await.expect("steer"), Steered::Grown, "two clients are announced");
    assert_eq!(stage.count("audit.operations").await, 0);
    assert_eq!(store.steer("bob", "leak", &seen(&["issuer", "client"], 41)).await.expect("steer"), Steered::Changed);
    let approved = stage.of("leak", "(state, approved_asks, approved_asking, approved_targets)").await;
    assert_eq!(approved.as_deref(), Some("(running,{client},2,41)"));
    // Whoever approved may add to it, within that; then he approves no more.
    stage.execute("UPDATE revocation.incidents SET contributors = contributors || 'bob'::text, targets_expected = 41").await;
    stage.execute("UPDATE revocation.incidents SET state = 'awaiting_approval', asking = 3").await;
    let again = Order::Approve(Seen { asks: vec!["client".to_owned()], asking: 3, targets: 41 });
    assert_eq!(store.steer("bob", "leak", &again).await.expect("steer"), Steered::SamePerson);
    assert_eq!(store.steer("carol", "leak", &again).await.expect("steer"), Steered::Changed);
}

/// The acceptance holds the row; the approval waits for it, and then sees its targets.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_misses_nothing_that_is_being_accepted() {
    let stage = waiting().await;
    let mut acceptance = stage.db.begin().await.expect("begin");
    acceptance.execute("SELECT FROM revocation.incidents WHERE incident = 'leak' FOR UPDATE").await.expect("lock");
    let growth = "INSERT INTO revocation.incident_counts VALUES ('leak', 'main', 'waiting', 99, 100)";
    acceptance.execute(growth).await.expect("as a trigger would");
    let store = stage.store();
    let approval = tokio::spawn(async move {
        let seen = Seen { asks: vec!["client".to_owned()], asking: 2, targets: 40 };
        store.steer("bob", "leak", &Order::Approve(seen)).await
    });
    stage.wait_for_count(1, "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await;
    acceptance.commit().await.expect("commit");
    assert_eq!(approval.await.expect("no panic").expect("steer"), Steered::Grown);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outgrows_its_approval_waits_again() {
    let stage = waiting().await;
    stage.steered(&["approve", "leak"]);
    let store = stage.store();
    assert_eq!(store.trip_fuses().await.expect("trip"), [""; 0]);
    stage.event("leak", 37).await;
    assert_eq!(store.trip_fuses().await.expect("trip"), [""; 0], "40 were approved");
    stage.event("leak", 1).await;
    stage.incident("small", "paused").await;
    stage.event("small", 11).await;
    stage.incident("fine", "running").await;
    stage.event("fine", 10).await;
    let mut tripped = store.trip_fuses().await.expect("trip");
    tripped.sort_unstable();
    assert_eq!(tripped, ["leak", "small"]);
    assert_eq!(store.trip_fuses().await.expect("trip"), [""; 0]);
    assert_eq!(stage.count("audit.incidents WHERE state = 'awaiting_approval'").await, 2);
    let shown = stage.steered(&["show", "leak"]);
    assert!(shown.contains(">>> 41 targets wait for a second person's approval again: it has grown beyond what bob approved: "), "{shown}");
    stage.steered(&["approve", "leak"]);
    assert_eq!(stage.of("leak", "approved_targets").await.as_deref(), Some("41"));
}
