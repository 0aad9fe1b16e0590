//! One delivery in two rows, under one identity: on record in both or in none.

use std::collections::HashMap;

use revocation_worker::authorization::Authority;
use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::event::{LogoutEvent, Origin, Party, ProviderRule, Rules, content, parse};
use revocation_worker::store::{Disposition, Entered, NewEvent, NewTarget, Store, WorkerNo};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::harness::{Stage, logout_of};

fn read(event: &Value) -> LogoutEvent {
    let rules = Rules {
        max_message_bytes: 1 << 20,
        max_targets: 10,
        max_token_bytes: 1 << 10,
        default_provider: Some("main".into()),
        providers: vec![ProviderRule {
            name: "main".into(),
            issuer: None,
            token_ttl: std::time::Duration::from_secs(60),
        }],
        authority: Authority::default(),
        realms: std::collections::BTreeMap::new(),
    };
    let at = time::OffsetDateTime::now_utc();
    parse(event.to_string().as_bytes(), &Origin::default(), &rules, at)
        .unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// A delivery that is written as two events, one of each user.
async fn write_in_two(store: &Store, users: [&str; 2], in_two: bool) -> ([Uuid; 2], HashMap<Uuid, Entered>) {
    let of = |user: &str| logout_of("1", json!([{ "sub": user }]));
    let whole = read(&logout_of("1", json!([{ "sub": users[0] }, { "sub": users[1] }])));
    let (parts, rows) = (users.map(|user| read(&of(user))), [Uuid::now_v7(), Uuid::now_v7()]);
    let give_up_at = time::OffsetDateTime::now_utc();
    let targets = [NewTarget { disposition: Disposition::Wait, sealed: None, give_up_at }];
    let new = |place: usize, beside| NewEvent {
        row: rows[place],
        event: &parts[place],
        body_sha256: content(&whole),
        content_sha256: content(&whole),
        beside,
        broker_user: None,
        party: Party::of(None),
        targets: &targets,
        incident: None,
    };
    let mut events = vec![new(0, None)];
    events.extend(in_two.then(|| new(1, Some(rows[0]))));
    (rows, store.accept(WorkerNo(1), &events).await.unwrap_or_else(|error| panic!("{error}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_in_two_rows_is_on_record_in_both_or_in_none() {
    let stage = Stage::new().await;
    let store =
        Store::new(&DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 4 })
            .expect("a store");
    let new = |identity_reused| Entered::New { leased: false, identity_reused };
    let rows = "audit.revocations WHERE event_source = '/apps/shop' AND event_id = '1'";

    let (first, entered) = write_in_two(&store, ["a", "b"], true).await;
    assert_eq!((entered[&first[0]], entered[&first[1]]), (new(false), new(false)));
    assert_eq!(stage.count(&format!("{rows} AND NOT identity_reused")).await, 2);
    for in_two in [true, false] {
        let (again, entered) = write_in_two(&store, ["a", "b"], in_two).await;
        assert_eq!(
            (entered[&again[0]], entered.get(&again[1])),
            (Entered::Known(first[0]), None),
            "in two: {in_two}"
        );
    }
    let (other, entered) = write_in_two(&store, ["a", "c"], false).await;
    assert_eq!(entered[&other[0]], new(true));
    let (again, entered) = write_in_two(&store, ["a", "c"], true).await;
    assert_eq!(
        (entered[&again[0]], entered.get(&again[1])),
        (Entered::Known(other[0]), None),
        "it was whole the first time"
    );
    let (third, entered) = write_in_two(&store, ["a", "d"], true).await;
    assert_eq!((entered[&third[0]], entered[&third[1]]), (new(true), new(true)));
    let (again, entered) = write_in_two(&store, ["a", "d"], true).await;
    assert_eq!((entered[&again[0]], entered.get(&again[1])), (Entered::Known(third[0]), None));
    assert_eq!(stage.count(rows).await, 5);
    assert_eq!(
        stage
            .count(
                "revocation.events e JOIN revocation.events f ON f.event_id = e.beside AND \
        f.source = e.source"
            )
            .await,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_has_half_an_identity() {
    let stage = Stage::new().await;
    let event = "INSERT INTO revocation.events (event_id, source, id, event_type, lane, received_at, \
        not_before, body_sha256, accepted_by)
        VALUES (gen_random_uuid(), '/apps/shop', '1', 'auth.logout.v1', 'interactive', now(), now(), \
        sha256('x'), 1)";
    stage.db.execute(event).await.expect("a row of the release before");
    for (change, constraint) in [
        ("content_sha256 = 'x'", "values_are_known"),
        ("real_id = '1'", "further_has_a_key"),
        ("real_id = '1', id = repeat('=', 256)", "further_has_a_key"),
        ("real_id = '1', id = E'1\\x1f' || repeat('=', 253)", "further_has_a_key"),
        ("identity_reused = true", "further_has_a_key"),
        ("beside = event_id", "further_has_a_key"),
    ] {
        match stage.db.execute(AssertSqlSafe(format!("UPDATE revocation.events SET {change}"))).await {
            Err(sqlx::Error::Database(error)) => assert_eq!(error.constraint(), Some(constraint), "{change}"),
            other => panic!("{change}: {other:?}"),
        }
    }
}
