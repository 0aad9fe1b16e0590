//! What the functions of the database take as said is what the commands take.

use std::collections::BTreeSet;

use revocation_worker::visible;

use crate::harness::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_database_sees_the_characters_that_the_commands_see() {
    let stage = Stage::new().await;
    let seen = "SELECT to_jsonb(array_agg(n)) FROM generate_series(1, 1114111) n
        WHERE (n < 55296 OR n > 57343) AND revocation.is_seen(chr(n))";
    let seen = stage.rows(seen).await.remove(0);
    let seen: BTreeSet<u32> = serde_json::from_value(seen).expect("numbers");
    let shows = |n: &u32| char::from_u32(*n).is_some_and(|c| c != ' ' && visible::is_seen(c));
    let wanted: BTreeSet<u32> = (1..=0x10_ffff).filter(shows).collect();
    let differ: Vec<_> = seen.symmetric_difference(&wanted).take(5).collect();
    assert!(differ.is_empty(), "{differ:x?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_show_is_nobodys() {
    let stage = Stage::new().await;
    for (note, wanted) in [
        ("'bob'", "bob"),
        ("' bob '", "bob"),
        ("'Bob O''Neil'", "Bob O'Neil"),
        ("''", "postgres"),
        ("NULL", "postgres"),
        (r"E'\u3000'", "postgres"),
        (r"E'bo\u200bb'", "postgres"),
        (r"E'bob\u202e'", "postgres"),
        (r"E'bo\u00a0b'", "postgres"),
        (r"E'b\nob'", "postgres"),
    ] {
        let actor = stage.text(&format!("SELECT revocation.caller({note})")).await;
        let own = stage.text("SELECT session_user::text").await;
        let wanted = if wanted == "postgres" { own } else { Some(wanted.to_owned()) };
        assert_eq!(actor, wanted, "{note}");
    }
}
