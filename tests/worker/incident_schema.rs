//! What the database refuses about incidents, whoever asks, and that it counts right.

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::Stage;

const OPEN: &str = "INSERT INTO revocation.incidents (incident, state, opened_by, opened_via, asks, asking, \
    targets_expected, approval_above) VALUES ";

/// Rows that must not come into being, and what refuses each.
const WRONG_ROWS: [(&str, &str); 6] = [
    ("('i', 'finished', 'a', 'u', '{}', 0, 1, 10)", "incidents_state_check"),
    ("('i', 'awaiting_approval', ' ', 'u', '{}', 0, 1, 10)", "incidents_opened_by_check"),
    ("('i', 'awaiting_approval', 'a', 'u', '{users}', 0, 1, 10)", "incidents_asks_check"),
    ("('i', 'running', 'a', 'u', '{client}', 0, 1, 10)", "needs a second person"),
    ("('i', 'running', 'a', 'u', '{}', 0, 11, 10)", "needs a second person"),
    ("('i', 'cancelled', 'a', 'u', '{}', 0, 1, 10)", "cancelled_with_reason"),
];

/// Changes of an incident that awaits approval, and what refuses each.
const WRONG_CHANGES: [(&str, &str); 24] = [
    ("state = 'running'", "needs a second person"),
    ("state = 'paused'", "needs a second person"),
    ("state = 'running', approved_by = 'bob'", "two_persons"),
    ("approved_by = 'bob'", "two_persons"),
    ("approved_by = 'bob', approved_role = session_user", "approval_is_whole"),
    (
        "approved_by = 'bob', approved_role = 'r', approved_at = now(), approved_asks = asks, \
            approved_asking = 1, approved_targets = 20",
        "two_persons",
    ),
    (
        "approved_by = 'carol', approved_role = session_user, approved_at = now(), approved_asks = asks, \
            approved_asking = 1, approved_targets = 20",
        "two_persons",
    ),
    ("approval_above = 1000000, state = 'running'", "does not change"),
    ("asks = '{}', asking = 0, state = 'running'", "only grows"),
    ("asking = 0", "only grows"),
    ("targets_expected = 1", "only grows"),
    ("targets_expected = NULL", "only grows"),
    ("opened_via = 'nobody'", "does not change"),
    (
        "approved_by = 'alice', approved_role = session_user, approved_at = now(), approved_asks = asks, \
            approved_asking = 1, approved_targets = 20",
        "two_persons",
    ),
    (
        "approved_by = ' ALICE ', approved_role = session_user, approved_at = now(), approved_asks = asks, \
            approved_asking = 1, approved_targets = 20",
        "two_persons",
    ),
    (
        "approved_by = E'ali\\tce', approved_role = session_user, approved_at = now(), approved_asks = asks, \
            approved_asking = 1, approved_targets = 20",
        "two_persons",
    ),
    (
        "approved_by = 'soc', approved_role = session_user, approved_at = now(), approved_asks = asks, \
            approved_asking = 1, approved_targets = 20",
        "two_persons",
    ),
    (
        "state = 'running', approved_by = 'bob', approved_role = session_user, approved_at = now(), \
            approved_asks = '{}', approved_asking = 1, approved_targets = 20",
        "needs a second person",
    ),
    (
        "state = 'running', approved_by = 'bob', approved_role = session_user, approved_at = now(), \
            approved_asks = asks, approved_asking = 1, approved_targets = 19",
        "needs a second person",
    ),
    (
        "state = 'running', approved_by = 'bob', approved_role = session_user, approved_at = now(), \
            approved_asks = asks, approved_asking = 0, approved_targets = 20",
        "needs a second person",
    ),
    ("contributors = '{}'", "does not change"),
    ("opened_by = 'carol'", "does not change"),
    ("finished_at = now()", "only_what_runs_ends"),
    ("state = 'cancelled', cancelled_by = 'bob', cancel_reason = ' '", "incidents_cancel_reason_check"),
];

async fn refusal(stage: &Stage, statement: &str) -> String {
    match stage.db.execute(AssertSqlSafe(statement.to_owned())).await {
        Err(sqlx::Error::Database(error)) => error.constraint().unwrap_or(error.message()).to_owned(),
        other => panic!("{statement}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_incident_runs_without_the_approval_it_calls_for() {
    let stage = Stage::new().await;
    for (row, refused_by) in WRONG_ROWS {
        let said = refusal(&stage, &format!("{OPEN}{row}")).await;
        assert!(said.contains(refused_by), "{row}: {said}");
    }
    stage
        .db
        .execute(AssertSqlSafe(format!(
            "{OPEN} ('i', 'awaiting_approval', 'Alice', 'SOC', '{{client}}', 1, 20, 10)"
        )))
        .await
        .unwrap();
    let session = stage.text("SELECT session_user::text").await;
    stage
        .people(&json!({ "bob": { "database_roles": [session] }, "alice": { "broker_users": ["SOC"] } }))
        .await;
    for (change, refused_by) in WRONG_CHANGES {
        let said = refusal(&stage, &format!("UPDATE revocation.incidents SET {change}")).await;
        assert!(said.contains(refused_by), "{change}: {said}");
    }
    let approve = "UPDATE revocation.incidents SET state = 'running', approved_by = 'bob', approved_role = \
            session_user, approved_at = now(),
        approved_asks = asks, approved_asking = 1, approved_targets = 20";
    stage.db.execute(approve).await.expect("a second person approves what is there");
    for growth in ["asks = '{client,issuer}'", "asking = 2", "asking_expected = 2", "targets_expected = 21"] {
        let said = refusal(&stage, &format!("UPDATE revocation.incidents SET {growth}")).await;
        assert!(
            said.contains("needs a second person"),
            "an approval covers what was there, not {growth}: {said}"
        );
    }
    stage.people(&json!({})).await;
    let taken_back = "approved_by = NULL, approved_role = NULL, approved_at = NULL, approved_asks = NULL, \
        approved_asking = NULL, approved_targets = NULL";
    for change in [
        taken_back,
        "approved_targets = 1000000",
        "approved_asking = 100",
        "approved_at = now() - interval '1 day', approved_by = 'carol'",
    ] {
        let said = refusal(&stage, &format!("UPDATE revocation.incidents SET {change}")).await;
        assert_eq!(said, "two_persons", "{change}");
    }
    let cancel = "UPDATE revocation.incidents SET state = 'cancelled', cancelled_by = 'bob', cancel_reason = \
        'wrong file'";
    stage.db.execute(cancel).await.unwrap();
    let said = refusal(
        &stage,
        "UPDATE revocation.incidents SET state = 'running', cancelled_by = NULL, cancel_reason = NULL",
    )
    .await;
    assert!(said.contains("was cancelled, which is final"), "{said}");
}

/// What an incident without a broker user holds of those who added to it, at first and later.
#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_came_by_no_broker_user_can_be_changed() {
    let stage = Stage::new().await;
    for (row, contributors) in [
        ("none", "'{}'"),
        ("null", "ARRAY[NULL]::text[]"),
        ("both", "ARRAY['alice', NULL, 'app']"),
        ("some", "'{app}'"),
    ] {
        let insert = format!(
            "INSERT INTO revocation.incidents (incident, state, opened_by, approval_above, contributors) \
                VALUES ('{row}', 'awaiting_approval', 'Alice', 1, {contributors})"
        );
        stage.db.execute(AssertSqlSafe(insert)).await.expect("open it");
        for change in [
            "throttle_per_s = 5",
            "contributors = contributors || '{shop}'",
            "contributors = contributors || NULL::text",
            "asks = '{subject}', asking = 2",
            "state = 'cancelled', cancelled_by = 'bob', cancel_reason = 'why'",
            "finished_at = now()",
        ] {
            let update = format!("UPDATE revocation.incidents SET {change} WHERE incident = '{row}'");
            stage
                .db
                .execute(AssertSqlSafe(update))
                .await
                .unwrap_or_else(|error| panic!("{row}: {change}: {error}"));
        }
        let without = refusal(
            &stage,
            &format!("UPDATE revocation.incidents SET contributors = '{{shop}}' WHERE incident = '{row}'"),
        )
        .await;
        assert!(row == "none" || without.contains("does not change"), "{row}: {without}");
    }
    assert_eq!(
        stage.count("revocation.incidents WHERE array_position(contributors, NULL) IS NOT NULL").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_denial_is_no_denial() {
    let stage = Stage::new().await;
    let event = "INSERT INTO revocation.events (event_id, source, id, event_type, lane, incident, \
        received_at, not_before, body_sha256, accepted_by, deny_at, denied_at)
        VALUES (gen_random_uuid(), 's', '1', ";
    for values in [
        "'auth.mass_revocation.v1', 'mass', 'i', now(), now(), sha256('x'), 1, now(), now())",
        "'auth.logout.v1', 'interactive', NULL, now(), now(), sha256('x'), 1, now(), NULL)",
    ] {
        assert_eq!(refusal(&stage, &format!("{event}{values}")).await, "denied_or_held", "{values}");
    }
}

/// Inserts and changes of many kinds at once; the counts follow each.
#[tokio::test(flavor = "multi_thread")]
async fn the_counts_are_those_of_the_table() {
    let stage = Stage::new().await;
    let event = "INSERT INTO revocation.events (event_id, source, id, event_type, lane, incident, targets, \
        received_at, not_before, body_sha256, accepted_by)
        SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, 's', n::text, 'auth.mass_revocation.v1', \
        'mass', 'i' || n % 2, 40, now(), now(), sha256('x'), 1
        FROM generate_series(1, 4) n";
    stage.db.execute(event).await.unwrap();
    let targets = "INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, sub, incident, \
        waiting, deny_until, give_up_at, state, due_at)
        SELECT event_id, o, 'p' || o % 3, 'mass', 'subject', 'u', e.incident, o % 4 > 0, now(), now(), \
        'pending', now()
        FROM revocation.events e, generate_series(0, 39) o";
    stage.db.execute(targets).await.unwrap();
    for change in [
        "waiting = false, lease_owner = 1, leased_at = now(), attempts = 1 WHERE ordinal % 4 = 1",
        "lease_owner = NULL, leased_at = NULL, state = 'parked' WHERE ordinal % 8 = 1",
        "lease_owner = NULL, leased_at = NULL, due_at = NULL, finished_at = now(), state = 'revoked', \
            revoked_at = now(), proof = 'accepted' WHERE ordinal % 8 = 5",
        "waiting = false, due_at = NULL, finished_at = now(), state = 'unsupported' WHERE ordinal % 4 = 2",
        "state = 'pending' WHERE state = 'parked' AND ordinal > 20",
        "waiting = false, due_at = NULL, finished_at = now(), state = 'cancelled' WHERE waiting AND ordinal \
            < 10",
    ] {
        stage
            .db
            .execute(AssertSqlSafe(format!("UPDATE revocation.targets SET {change}")))
            .await
            .unwrap_or_else(|error| panic!("{change}: {error}"));
        let differences = stage
            .count(
                "(SELECT incident, provider, revocation.stage(state, waiting) AS stage, count(*) AS targets \
                    FROM revocation.targets GROUP BY 1, 2, 3) t
                 FULL JOIN (SELECT incident, provider, stage, sum(targets) AS targets FROM \
                 revocation.incident_counts GROUP BY 1, 2, 3 HAVING sum(targets) <> 0) c
                     USING (incident, provider, stage) WHERE t.targets IS DISTINCT FROM c.targets",
            )
            .await;
        assert_eq!(differences, 0, "after: {change}");
    }
    for _noted_twice in 0..2 {
        stage
            .db
            .execute("UPDATE revocation.events SET denied_at = coalesce(denied_at, now()) WHERE id <> '1'")
            .await
            .unwrap();
    }
    let denied = stage
        .rows(
            "SELECT jsonb_build_array(incident, sum(targets)) FROM revocation.incident_denied GROUP \
            BY incident ORDER BY 1",
        )
        .await;
    assert_eq!(denied, [serde_json::json!(["i0", 80]), serde_json::json!(["i1", 40])]);
}
