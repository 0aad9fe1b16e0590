//! The commit of an event whose answer was lost, and is tried again.

use std::sync::Arc;
use std::time::Duration;

use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::event::{self, Origin, ProviderRule, Rules};
use revocation_worker::seal::Sealed;
use revocation_worker::store::{Disposition, NewEvent, NewTarget, Registration, Store};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::harness::{Stage, logout};

fn rules() -> Rules {
    let provider = ProviderRule { name: Arc::from("main"), issuer: None, token_ttl: Duration::from_secs(60) };
    Rules {
        max_message_bytes: 1 << 20,
        max_targets: 10,
        max_token_bytes: 100,
        default_provider: Some(Arc::from("main")),
        providers: vec![provider],
        logout_users: None,
        mass_revocation_users: Vec::new(),
    }
}

/// Else a worker would take its own event for a duplicate, and its targets would wait under its lease until it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_of_the_same_commit_gets_the_first_ones_leases() {
    let stage = Stage::new().await;
    let store = Store::new(&DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 4 }).unwrap();
    let registration = Registration { instance: "w", version: "1", lease: Duration::from_secs(60) };
    let (me, other) = (store.register(&registration).await.unwrap(), store.register(&registration).await.unwrap());
    let body = logout("1", "access", "refresh").to_string();
    let event = event::parse(body.as_bytes(), &Origin::default(), &rules(), OffsetDateTime::now_utc()).unwrap();
    let targets = [(); 2].map(|()| NewTarget {
        disposition: Disposition::Lease,
        sealed: Some(Sealed { key_id: "k".to_owned(), bytes: vec![1] }),
        give_up_at: event.received_at,
    });
    let new = |row| NewEvent { row, event: &event, body_sha256: [0; 32], broker_user: None, targets: &targets };
    let row = Uuid::now_v7();

    for attempt in ["first", "second"] {
        let accepted = store.accept(me, &[new(row)]).await.unwrap();
        assert_eq!(accepted.iter().map(|a| (a.row, a.leased)).collect::<Vec<_>>(), [(row, true)], "{attempt}");
    }

    assert!(store.accept(me, &[new(Uuid::now_v7())]).await.unwrap().is_empty(), "another delivery of the same event is a duplicate");
    let theirs = store.accept(other, &[new(row)]).await.unwrap();
    assert!(theirs.iter().all(|a| !a.leased), "nobody else gets those leases");
    assert_eq!(stage.count("revocation.targets WHERE attempts = 1 AND lease_owner IS NOT NULL").await, 2);
}
