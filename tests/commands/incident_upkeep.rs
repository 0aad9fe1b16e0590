//! What workers do for incidents beside revoking: ends, samples, and counts that are right after every
//! change.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use revocation_worker::store::{RetryScope, Store};
use sqlx::Executor;

use crate::harness::Stage;
use crate::incident_record::{HELD, HOT, PARKED, REVOKED, UNSUPPORTED};

async fn finished(store: &Store) -> Vec<String> {
    store.finish_incidents().await.expect("finish")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_ends_when_nothing_is_left_to_do() {
    let (stage, none) = (Stage::new().await, [""; 0]);
    let store = stage.store();
    stage.incident("leak", "running").await;
    assert_eq!(finished(&store).await, none, "nothing has arrived");
    let event = stage.event("leak", 3).await;
    for (set, why) in [("waiting = true", "waits"), (HOT, "is due"), (HELD, "is held"), (PARKED, "is parked")]
    {
        stage.change(event, 0..1, set).await;
        assert_eq!(finished(&store).await, none, "one {why}");
    }
    stage.change(event, 0..2, REVOKED).await;
    stage.change(event, 2..3, UNSUPPORTED).await;
    assert!(store.backlog().await.expect("count").is_empty());
    assert_eq!(finished(&store).await, none, "nothing is denied");
    stage.deny(event).await;
    stage.execute("UPDATE revocation.incidents SET targets_expected = 4").await;
    assert_eq!(finished(&store).await, none, "one more is to come");
    stage.execute("UPDATE revocation.incidents SET targets_expected = 3, state = 'paused'").await;
    assert_eq!(finished(&store).await, none, "it is paused");
    stage.execute("UPDATE revocation.incidents SET state = 'running'").await;
    assert_eq!(finished(&store).await, ["leak"]);
    assert_eq!(finished(&store).await, none);
    assert_eq!(
        stage
            .count(
                "audit.incidents WHERE state = 'finished' AND finished_at IS NOT NULL AND eta_seconds IS NULL"
            )
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_second_person_ends_only_where_it_held_a_rates_excess_and_holds_nothing_more() {
    let stage = Stage::new().await;
    for name in ["rate-emptied", "rate-holds", "rate-expects", "emptied"] {
        stage.incident(name, "awaiting_approval").await;
    }
    stage.event("rate-holds", 1).await;
    stage
        .execute("UPDATE revocation.incidents SET targets_expected = 4 WHERE incident = 'rate-expects'")
        .await;
    assert_eq!(finished(&stage.store()).await, ["rate-emptied"]);
    assert_eq!(finished(&stage.store()).await, [""; 0]);
    assert_eq!(stage.count("audit.incidents WHERE finished_at IS NOT NULL AND state = 'cancelled'").await, 1);
    let noted = "audit.operations WHERE action = 'cancel' AND incident = 'rate-emptied' AND \
        detail->>'reason' LIKE 'nothing is left in it%'";
    assert_eq!(stage.count(noted).await, 1);
}

/// Events from before their size was on record are in no count of what is denied.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_incident_ends_too() {
    let stage = Stage::new().await;
    stage.incident("leak", "running").await;
    let event = stage.event("leak", 2).await;
    stage.execute("UPDATE revocation.events SET targets = NULL").await;
    stage.change(event, 0..2, REVOKED).await;
    let store = stage.store();
    assert_eq!(finished(&store).await, [""; 0]);
    stage.deny(event).await;
    assert_eq!(stage.count("audit.incidents WHERE denied = 0").await, 1);
    assert_eq!(finished(&store).await, ["leak"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_does_not_end_while_targets_are_being_added() {
    let stage = Stage::new().await;
    let store = stage.store();
    for name in ["leak", "other"] {
        stage.incident(name, "running").await;
        let event = stage.event(name, 1).await;
        stage.change(event, 0..1, REVOKED).await;
        stage.deny(event).await;
    }
    let mut acceptance = stage.db.begin().await.expect("begin");
    acceptance
        .execute("SELECT FROM revocation.incidents WHERE incident = 'leak' FOR UPDATE")
        .await
        .expect("lock");
    acceptance
        .execute(
            "SET LOCAL session_replication_role = replica; INSERT INTO revocation.incident_counts \
            VALUES ('leak', 'main', 'waiting', 99, 1)",
        )
        .await
        .expect("as a trigger would");
    assert_eq!(finished(&store).await, ["other"], "it waits for nobody");
    acceptance.commit().await.expect("commit");
    assert_eq!(finished(&store).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_give_the_rate() {
    let stage = Stage::new().await;
    let store = stage.store();
    for (name, state) in [("leak", "running"), ("over", "cancelled")] {
        stage.incident(name, state).await;
    }
    stage.execute("UPDATE revocation.incidents SET finished_at = now() WHERE incident = 'over'").await;
    let event = stage.event("leak", 10).await;
    stage.change(event, 0..1, REVOKED).await;
    stage.change(event, 1..2, PARKED).await;
    for _ in 0..2 {
        store.sample_incidents().await.expect("sample");
        assert_eq!(
            stage.count("revocation.incident_samples WHERE incident = 'leak' AND done = 1").await,
            1,
            "not more than one in 4 s"
        );
    }
    assert_eq!(stage.count("revocation.incident_samples").await, 1, "of active ones alone");
    stage.execute("UPDATE revocation.incident_samples SET at = now() - interval '5 seconds'").await;
    stage.change(event, 2..7, REVOKED).await;
    store.sample_incidents().await.expect("sample");
    assert_eq!(stage.count("revocation.incident_samples WHERE done = 6").await, 1);
    assert_eq!(
        stage
            .count("audit.incidents WHERE rate_per_s BETWEEN 0.2 AND 1 AND eta_seconds BETWEEN 3 AND 15")
            .await,
        1
    );
    stage
        .execute("UPDATE revocation.incident_samples SET at = at - interval '10 minutes' WHERE done = 1")
        .await;
    store.sample_incidents().await.expect("sample");
    assert_eq!(stage.count("revocation.incident_samples WHERE done = 1").await, 0, "older than 10 minutes");
}

/// What the counts say that a count of the rows does not, and the reverse.
const WRONG: &str = "(
    (SELECT incident, provider, stage, sum(targets)::bigint FROM revocation.incident_counts GROUP BY 1, 2, 3 \
    HAVING sum(targets) <> 0
     EXCEPT SELECT incident, provider, revocation.stage(state, waiting), count(*) FROM revocation.targets \
     WHERE incident <> '' GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT incident, provider, revocation.stage(state, waiting), count(*) FROM revocation.targets WHERE \
    incident <> '' GROUP BY 1, 2, 3
     EXCEPT SELECT incident, provider, stage, sum(targets)::bigint FROM revocation.incident_counts GROUP BY \
     1, 2, 3)
    UNION ALL
    (SELECT a.incident, '', 'denied', a.denied FROM audit.incidents a
     EXCEPT SELECT i.incident, '', 'denied', count(t.event_id) FROM revocation.incidents i LEFT JOIN \
     (revocation.events e
         JOIN revocation.targets t ON t.event_id = e.event_id AND e.denied_at IS NOT NULL) ON e.incident = \
         i.incident GROUP BY 1)) wrong";

/// The same of the backlog that the metrics show.
async fn backlog_is_right(stage: &Stage, store: &Store) -> bool {
    let shown = store
        .backlog()
        .await
        .expect("count")
        .into_iter()
        .map(|b| (format!("{}/{}/{}", b.provider, b.lane, b.state), b.targets));
    let counted = stage.rows(
        "SELECT jsonb_build_object('key', provider || '/' || lane || '/' || state, 'n', count(*)) FROM \
            revocation.targets
         WHERE lease_owner IS NULL AND finished_at IS NULL GROUP BY provider, lane, state",
    );
    let counted = counted
        .await
        .into_iter()
        .map(|row| (row["key"].as_str().unwrap_or_default().to_owned(), row["n"].as_i64().unwrap_or(-1)));
    shown.collect::<BTreeMap<_, _>>() == counted.collect::<BTreeMap<_, _>>()
}

/// Changes some of the targets for which `when` holds.
async fn some(stage: &Stage, random: &mut StdRng, set: &str, when: &str) {
    let share: f64 = random.gen_range(0.1..1.0);
    stage
        .execute(&format!(
            "UPDATE revocation.targets SET {set} WHERE {when} AND finished_at IS NULL AND random() < {share}"
        ))
        .await;
}

async fn change(stage: &Stage, store: &Store, random: &mut StdRng) {
    let incident = *["one", "two", "three"].choose(random).expect("some");
    let (held, free) = ("lease_owner IS NOT NULL", "lease_owner IS NULL AND NOT waiting");
    match random.gen_range(0..11) {
        0 | 1 => drop(stage.event(incident, random.gen_range(1..9)).await),
        2 => some(stage, random, "waiting = false", "waiting").await,
        3 => {
            some(
                stage,
                random,
                "waiting = false, state = 'pending', lease_owner = 1, leased_at = now(), \
                attempts = attempts + 1",
                free,
            )
            .await
        }
        4 => some(stage, random, REVOKED, held).await,
        5 => some(stage, random, UNSUPPORTED, held).await,
        6 => some(stage, random, PARKED, held).await,
        7 => drop(
            store
                .retry("bob", &RetryScope::Incident(incident.to_owned()), Duration::from_secs(60))
                .await
                .expect("retry"),
        ),
        8 => drop(
            stage
                .execute(
                    "UPDATE revocation.events SET denied_at = coalesce(denied_at, now()) WHERE \
            random() < 0.5",
                )
                .await,
        ),
        9 => {
            some(stage, random, "token_expires_at = now() - interval '1 hour'", free).await;
            store.expire().await.expect("expire");
        }
        _ => {
            if random.gen_bool(0.1) {
                let cancel = format!(
                    "UPDATE revocation.incidents SET state = 'cancelled', cancelled_by = 'bob', \
                        cancel_reason = 'x' WHERE incident = '{incident}'"
                );
                stage.execute(&cancel).await;
            }
            store.sweep_cancelled(5).await.expect("sweep");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_are_right_after_every_change() {
    let stage = Stage::new().await;
    let store = stage.store();
    for name in ["one", "two", "three"] {
        stage.incident(name, "running").await;
    }
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        for step in 0..40 {
            change(&stage, &store, &mut random).await;
            assert_eq!(stage.count(WRONG).await, 0, "seed {seed}, step {step}");
            assert!(backlog_is_right(&stage, &store).await, "seed {seed}, step {step}: the backlog");
        }
    }
    let stages = "(SELECT DISTINCT state FROM revocation.targets) s";
    assert!(stage.count(stages).await >= 5, "the changes reach most states");
}
