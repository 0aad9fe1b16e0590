//! `incident approve`: a second person, and for what that person saw.

use revocation_worker::store::{Approved, Steered, Steering};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::harness::Stage;
use crate::incident_record::ORDERS;
use crate::program::{bare, run};

/// Alice orders over the broker user `soc`; the tests' own role is Bob's.
async fn waiting() -> Stage {
    let stage = Stage::new().await;
    let session = stage.text("SELECT session_user::text").await;
    stage
        .people(&json!({ "alice": { "broker_users": ["soc"] }, "bob": { "database_roles": [session] } }))
        .await;
    stage.incident("leak", "awaiting_approval").await;
    stage
        .execute(
            "UPDATE revocation.incidents SET asks = ARRAY['client'], asking = 1, asking_expected = 2, \
        targets_expected = 40",
        )
        .await;
    let event = stage.event("leak", 3).await;
    stage.hold(event).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves() {
    let stage = waiting().await;
    let alice = stage.operator("alice", &["soc"]).await;
    for spelling in ["bob", "Alice", "\u{430}lice", "anybody"] {
        let refused = run(
            &mut bare(&[("DATABASE_URL", &alice)]),
            &["incident", "approve", "leak", "--json", "--actor", spelling],
        );
        let sentence =
            "revocation-worker: incident leak: a second person must approve: alice, soc ordered some of it\n";
        assert_eq!((refused.code, refused.stderr.as_str()), (1, sentence), "{spelling}");
    }
    for (spelling, character) in
        [("al\u{fe0f}ice", "U+FE0F"), ("bo\u{200b}b", "U+200B"), ("b\u{3164}ob", "U+3164")]
    {
        let approve = ["incident", "approve", "leak", "--actor", spelling];
        let refused = run(&mut bare(&[("DATABASE_URL", &alice)]), &approve);
        assert_eq!((refused.code, refused.stderr.contains(character)), (2, true), "{}", refused.stderr);
    }
    assert_eq!(stage.of("leak", "state").await.as_deref(), Some("awaiting_approval"));
    assert_eq!(stage.count(ORDERS).await, 0);

    // Whatever he says, it is Bob's role.
    let text = stage.steered(&["approve", "leak", "--actor", "carol"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "approving incident leak: 40 targets, 3 received");
    assert!(
        lines[1].starts_with("opened by Alice via soc at 20")
            && lines[1].ends_with("UTC, reason account_takeover"),
        "{text}"
    );
    let asking = "asking for approval: 2 targets of kind client, announced ones included";
    let named = "to be logged out: none of it has arrived yet";
    assert_eq!(lines[2..6], ["kinds: token (3 pending)", asking, named, "providers: main (3 pending)"]);
    assert_eq!(lines[6..], ["incident leak: running; effective within 2 s, on all workers"]);
    let row = stage.of(
        "leak",
        "(state, approved_by, approved_role = session_user, approved_at > opened_at, \
            approved_asks, approved_targets)",
    );
    assert_eq!(row.await.as_deref(), Some("(running,bob,t,t,{client},40)"));
    let operation = &stage.operations("leak").await[0];
    assert_eq!((&operation["actor"], &operation["action"]), (&json!("bob"), &json!("approve")));
    let said = ["asks", "seen", "note", "from", "to"].map(|member| operation["detail"][member].clone());
    assert_eq!(
        said,
        [json!(["client"]), json!(40), json!("carol"), json!("awaiting_approval"), json!("running")]
    );
}

/// Whoever has the database's password can do no more than the command.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_one_person() {
    let stage = waiting().await;
    let approve = |by: &str| {
        format!(
            "UPDATE revocation.incidents SET state = 'running', approved_by = {by}, approved_role = \
                session_user, approved_at = now(),
                 approved_asks = asks, approved_asking = 1000000, approved_targets = 1000000 WHERE incident \
                 = 'leak'"
        )
    };
    for by in ["'alice'", "' ALICE '", "opened_by", "'Soc'", "'carol'", "'Bob'"] {
        let error = stage.db.execute(AssertSqlSafe(approve(by))).await.expect_err("refused");
        let constraint = error.as_database_error().and_then(|e| e.constraint());
        assert_eq!(constraint, Some("two_persons"), "{by}: {error}");
    }
    let unapproved = stage
        .db
        .execute("UPDATE revocation.incidents SET state = 'running' WHERE incident = 'leak'")
        .await
        .expect_err("refused");
    assert!(unapproved.to_string().contains("second person's approval"), "{unapproved}");
    assert_eq!(stage.execute(&approve("'bob'")).await, 1);
    assert_eq!(stage.operations("leak").await[0]["action"], "approve", "by hand it leaves a trace, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_what_was_seen() {
    let stage = waiting().await;
    let shown = stage.steered(&["show", "leak"]);
    assert!(shown.contains("incident approve leak --targets 40\n"), "{shown}");
    let grown = "incident leak: it has 41 targets, not 40: look at it again, then: revocation-worker \
        incident approve leak --targets 41";
    // Within what was announced, more may come.
    stage.event("leak", 37).await;
    assert!(stage.steered(&["show", "leak"]).contains("incident approve leak --targets 40\n"));
    stage.event("leak", 1).await;
    let ran = stage.steer(&["approve", "leak", "--targets", "40"]);
    assert_eq!((ran.code, ran.stderr), (1, format!("revocation-worker: {grown}\n")));
    let store = stage.store();
    let seen = |asks: &[&str], targets| {
        Steering::Approve(Approved {
            asks: asks.iter().map(ToString::to_string).collect(),
            asking: 2,
            targets,
        })
    };
    assert_eq!(store.steer("bob", "leak", &seen(&["client"], 40)).await.expect("steer"), Steered::Grown);
    assert_eq!(
        store.steer("bob", "leak", &seen(&["issuer"], 41)).await.expect("steer"),
        Steered::Grown,
        "another kind"
    );
    let fewer = Steering::Approve(Approved { asks: vec!["client".to_owned()], asking: 1, targets: 41 });
    assert_eq!(
        store.steer("bob", "leak", &fewer).await.expect("steer"),
        Steered::Grown,
        "two clients are announced"
    );
    assert_eq!(stage.count(ORDERS).await, 0);
    assert_eq!(
        store.steer("bob", "leak", &seen(&["issuer", "client"], 41)).await.expect("steer"),
        Steered::Changed
    );
    let approved = stage.of("leak", "(state, approved_asks, approved_asking, approved_targets)").await;
    assert_eq!(approved.as_deref(), Some("(running,{client},2,41)"));
    // Whoever approved may add to it, within that; then he approves no more.
    stage
        .execute(
            "UPDATE revocation.incidents SET contributors = contributors || 'bob'::text, \
        targets_expected = 41",
        )
        .await;
    stage.execute("UPDATE revocation.incidents SET state = 'awaiting_approval', asking = 3").await;
    let again = Steering::Approve(Approved { asks: vec!["client".to_owned()], asking: 3, targets: 41 });
    assert_eq!(store.steer("carol", "leak", &again).await.expect("steer"), Steered::SamePerson);
    let carol = stage.operator("carol", &[]).await;
    let ran = run(&mut bare(&[("DATABASE_URL", &carol)]), &["incident", "approve", "leak"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(stage.of("leak", "approved_by").await.as_deref(), Some("carol"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_say_what_was_seen_approves_nothing() {
    let stage = waiting().await;
    let mut bob = sqlx::PgConnection::connect(&stage.operator("bob", &[]).await).await.expect("log in");
    for seen in
        ["NULL, NULL, NULL", "NULL, 2, 40", "'{client}', NULL, 40", "'{client}', 2, NULL", "'{NULL}', 2, 40"]
    {
        let approve = sqlx::AssertSqlSafe(format!(
            "SELECT revocation.approve_incident('leak', {seen}, NULL) ->> 'outcome'"
        ));
        let outcome: String = sqlx::query_scalar(approve).fetch_one(&mut bob).await.expect("call");
        assert_eq!(outcome, "grown", "{seen}");
    }
    assert!(bob.execute("SELECT revocation.steer_incident('leak', NULL, NULL, NULL, NULL)").await.is_err());
    assert_eq!(stage.of("leak", "state").await.as_deref(), Some("awaiting_approval"));
}

/// The acceptance holds the row; the approval waits for it, and then sees its targets.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_misses_nothing_that_is_being_accepted() {
    let stage = waiting().await;
    let mut acceptance = stage.db.begin().await.expect("begin");
    acceptance
        .execute("SELECT FROM revocation.incidents WHERE incident = 'leak' FOR UPDATE")
        .await
        .expect("lock");
    let growth = "SET LOCAL session_replication_role = replica; INSERT INTO revocation.incident_counts \
        VALUES ('leak', 'main', 'waiting', 99, 100)";
    acceptance.execute(growth).await.expect("as a trigger would");
    let store = stage.store();
    let approval = tokio::spawn(async move {
        let approved = Approved { asks: vec!["client".to_owned()], asking: 2, targets: 40 };
        store.steer("bob", "leak", &Steering::Approve(approved)).await
    });
    stage
        .wait_for_count(1, "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        .await;
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
    assert!(
        shown.contains(
            ">>> 41 targets wait for a second person's approval again: it has grown beyond \
        what bob approved: "
        ),
        "{shown}"
    );
    stage.steered(&["approve", "leak"]);
    assert_eq!(stage.of("leak", "approved_targets").await.as_deref(), Some("41"));
}

impl Stage {
    /// The database as an operator, who is this person beside those that there are.
    async fn operator(&self, person: &str, broker_users: &[&str]) -> String {
        self.roles().await;
        let login = self.login("revocation_operator").await;
        let before = self.rows(
            "SELECT jsonb_object_agg(person, jsonb_build_object('broker_users', users, 'database_roles', \
                roles)) FROM (
                 SELECT person, coalesce(jsonb_agg(name) FILTER (WHERE kind = 'broker_user'), '[]') AS users,
                        coalesce(jsonb_agg(name) FILTER (WHERE kind = 'role'), '[]') AS roles FROM \
                        revocation.people GROUP BY person) p",
        );
        let mut people = before.await.remove(0);
        people[person] = json!({ "broker_users": broker_users, "database_roles": [login.role] });
        self.people(&people).await;
        login.url
    }

    fn refused_approval(&self) -> String {
        let ran = self.steer(&["approve", "leak", "--json"]);
        let said = ran.stderr.trim_start_matches("revocation-worker: ").trim_end();
        assert_eq!((ran.code, ran.json()), (1, json!({ "error": said })));
        said.to_owned()
    }
}

/// Approver, who ordered it as they said, the broker users that it came by, and what is in the way.
type Approval = (Option<&'static str>, &'static str, &'static [Option<&'static str>], Option<&'static str>);

/// Who may approve what was ordered by whom. People: alice has `soc` and `soc-2`, bob has `bob` and, with
/// carol, `shared`, robot has `app` and no role.
const APPROVALS: [Approval; 21] = [
    (Some("bob"), "alice", &[Some("soc")], None),
    (Some("bob"), "alice", &[Some("soc"), Some("soc-2")], None),
    (Some("bob"), "alice", &[Some("app")], None),
    (Some("alice"), "anybody", &[Some("app")], None),
    (Some("alice"), "anybody", &[Some("shared")], None),
    (None, "alice", &[Some("soc")], Some("unmapped_role")),
    (None, "alice", &[Some("nobodys")], Some("unmapped_role")),
    (Some("alice"), "anybody", &[Some("soc")], Some("same_person")),
    (Some("alice"), "anybody", &[Some("app"), Some("soc-2")], Some("same_person")),
    (Some("alice"), "anybody", &[Some("nobodys"), Some("soc")], Some("same_person")),
    (Some("alice"), "a lice", &[Some("app")], Some("same_person")),
    (Some("alice"), "ALICE", &[Some("app")], Some("same_person")),
    (Some("bob"), "anybody", &[Some("shared")], Some("same_person")),
    (Some("carol"), "anybody", &[Some("shared")], Some("same_person")),
    (Some("carol"), "shared", &[Some("soc")], Some("same_person")),
    (Some("alice"), "SOC-2", &[Some("app")], Some("same_person")),
    (Some("robot"), "app", &[Some("soc")], Some("same_person")),
    (Some("bob"), "alice", &[Some("nobodys")], Some("unmapped_user")),
    (Some("bob"), "alice", &[Some("soc"), Some("SOC")], Some("unmapped_user")),
    (Some("bob"), "b\u{43e}b", &[Some("nobodys")], Some("unmapped_user")),
    (Some("bob"), "alice", &[None], Some("unmapped_user")),
];

#[tokio::test(flavor = "multi_thread")]
async fn one_rule_says_who_approves() {
    let stage = Stage::new().await;
    let of = |users: &[&str]| json!({ "broker_users": users, "database_roles": [] });
    let (alice, bob) = (of(&["soc", "soc-2"]), of(&["bob", "shared"]));
    let people = json!({ "alice": alice, "bob": bob, "carol": of(&["shared"]), "robot": of(&["app"]) });
    stage.people(&people).await;
    for (approver, by, users, expected) in APPROVALS {
        let rule = sqlx::query_scalar::<_, Option<String>>(
            "SELECT revocation.approval_fault($1, ARRAY[revocation.person($2)], $3)",
        );
        let users: Vec<Option<String>> = users.iter().map(|user| user.map(str::to_owned)).collect();
        let fault = rule.bind(approver).bind(by).bind(&users).fetch_one(&stage.db).await.expect("judge");
        assert_eq!(fault.as_deref(), expected, "{approver:?} approves what {by} ordered by {users:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nobody_approves_nothing_and_is_told_why() {
    let stage = waiting().await;
    let session = stage.text("SELECT session_user::text").await.expect("a role");
    let remedy = "then run `revocation-worker migrate` as the owner of the schema";
    stage.people(&json!({ "bob": { "database_roles": [session] } })).await;
    let whose =
        "whose broker user soc is cannot be told: list it in people.<person>.broker_users (a service, too)";
    assert_eq!(
        stage.refused_approval(),
        format!("incident leak: a second person must approve, and {whose}, {remedy}")
    );
    stage.people(&json!({ "alice": { "broker_users": ["soc"] } })).await;
    let whose = format!("the database role {session} is nobody's: list it in people.<person>.database_roles");
    assert_eq!(
        stage.refused_approval(),
        format!("incident leak: a second person must approve, and {whose}, {remedy}")
    );
    assert_eq!(stage.count(ORDERS).await, 0);
}
