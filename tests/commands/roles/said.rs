//! What the functions of the database take as said is what the commands take.

use revocation_worker::visible;

use crate::harness::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_database_sees_the_characters_that_the_commands_see() {
    let stage = Stage::new().await;
    let seen = "SELECT to_jsonb(array_agg(n)) FROM generate_series(1, 1114111) n
        WHERE (n < 55296 OR n > 57343) AND revocation.is_seen(chr(n))";
    let seen = stage.rows(seen).await.remove(0);
    let seen: Vec<u32> = serde_json::from_value(seen).expect("numbers");
    let wanted: Vec<u32> = (1..=0x10_ffff_u32)
        .filter(|n| char::from_u32(*n).is_some_and(|c| c != ' ' && visible::is_seen(c)))
        .collect();
    let differ: Vec<_> = wanted.iter().filter(|n| !seen.contains(n)).take(5).collect();
    assert!(seen == wanted, "{} and {} characters: {differ:x?}", seen.len(), wanted.len());
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
