//! Thousands of messages that nobody in their right mind would send.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use revocation_worker::event::RefusalCode;
use serde_json::{Value, json};

use crate::harness::{App, CANARY, Chance, Operator, Stage, canary_token, logout};
use crate::refused::{JSON, assert_alive_and_working, properties, scene};

/// One hostile body of some class; never a valid event.
fn hostile(random: &mut StdRng, number: usize) -> Vec<u8> {
    let event = logout(&format!("hostile-{number}"), &canary_token(), &canary_token()).to_string();
    let odd = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!([]),
        json!({ "a": 1 }),
        json!(true),
        json!(""),
        json!("\0"),
        json!("x".repeat(5000)),
    ];
    let replaced = |path: &[&str], value: Value| {
        let mut event: Value = serde_json::from_str(&event).unwrap();
        *path.iter().fold(&mut event, |at, member| match member.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[*member],
        }) = value;
        event.to_string().into_bytes()
    };
    let mut any = || odd[random.gen_range(0..odd.len())].clone();
    match number % 9 {
        0 => (0..random.gen_range(0..300)).map(|_| random.r#gen()).chain([0xff]).collect(),
        1 => event.as_bytes()[..random.gen_range(0..event.len())].to_vec(),
        2 => replaced(&["source"], any()),
        3 => replaced(&["data"], any()),
        4 => replaced(&["data", "targets"], any()),
        5 => replaced(&["data", "targets", "0"], any()),
        6 => replaced(
            &["data", "targets", "1", "token"],
            [json!("tok en"), json!("\u{1f600}"), json!(7), json!("t".repeat(16_385))][number % 4].clone(),
        ),
        7 => ["[", "{\"a\":", "\"", "\u{feff}{}", "NaN", "-", "[1e999999]"][number % 7]
            .repeat(random.gen_range(1..50_000))
            .into_bytes(),
        _ => event.replacen("\"id\"", &format!("\"id\":{},\"id\"", number), 1).into_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_hostile_messages_are_each_refused_once() {
    const BAD: usize = 2000;
    const EVERY: usize = 20;
    let stage = Stage::new().await;
    let (_idp, setup) = scene(&stage, "soc").await;
    let mut worker = setup.start().await;
    let (app, operator, mut random) =
        (App::connect(&stage.amqp_url).await, Operator::of(&stage).await, Chance::new());

    for number in 0..BAD {
        let key = if number % 3 == 0 { "auth.mass_revocation.hostile" } else { "auth.logout.hostile" };
        app.publish_raw(key, &hostile(&mut random, number), properties(&number.to_string(), JSON)).await;
        if number % EVERY == 0 {
            app.publish(&logout(&format!("good-{number}"), &canary_token(), &canary_token())).await;
        }
    }

    let good = i64::try_from(2 * BAD / EVERY).unwrap();
    stage.wait_for_count(good, "audit.revocations WHERE state = 'revoked'").await;
    stage.wait_for_count(i64::try_from(BAD).unwrap(), "audit.rejected_events").await;
    let mut copies = BTreeMap::new();
    for letter in operator.dead_letters(BAD).await {
        *copies.entry(letter.message_id()).or_insert(0) += 1;
        assert!(RefusalCode::parse(&letter.header("x-refused-code").unwrap()).is_some());
    }
    assert_eq!(
        (copies.len(), copies.values().max()),
        (BAD, Some(&1)),
        "each exactly once: none was delivered again"
    );
    assert_eq!(stage.count("audit.revocations").await, good);
    assert_alive_and_working(&stage, &app, &mut worker, "after").await;
    assert!(worker.stop().await.success());
    assert!(!worker.log().contains(CANARY), "a token is in the log");
}
