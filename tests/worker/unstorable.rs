//! What RabbitMQ carries and Postgres cannot hold is refused, and holds up nobody.

use crate::harness::{App, Operator, Stage, canary_token, logout};
use crate::refused::{JSON, assert_alive_and_working, mass, properties, scene};

/// Postgres stores no NUL; AMQP carries it in a routing key, and in the `user_id` of a user who may
/// impersonate others.
#[tokio::test(flavor = "multi_thread")]
async fn nul_outside_the_body_stops_nothing() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let (_idp, setup) = scene(&stage, "soc").await;
    let mut worker = setup.start().await;
    let gateway = operator
        .add_user(&stage, &format!("gateway-{}", stage.database_url.rsplit('/').next().unwrap()), true)
        .await;
    let app = App::connect(&gateway).await;
    let with_nul = |id: &str| properties(id, JSON).with_user_id("so\0c".into());

    let good = logout("nul", &canary_token(), &canary_token());
    app.publish_raw("auth.logout.\0", good.to_string().as_bytes(), with_nul("good")).await;
    app.publish_raw("auth.logout.\0", b"{", with_nul("bad")).await;
    app.publish_raw("auth.mass_revocation.\0", mass("nul").to_string().as_bytes(), with_nul("worse")).await;

    stage.wait_for_count(2, "audit.revocations WHERE event_id = 'nul' AND state = 'revoked'").await;
    assert_eq!(stage.count("revocation.events WHERE broker_user = U&'so\\FFFDc'").await, 1);
    for letter in operator.dead_letters(2).await {
        let (code, key) = if letter.message_id() == "bad" {
            ("not_json", "auth.logout.\0")
        } else {
            ("not_allowed", "auth.mass_revocation.\0")
        };
        assert_eq!(
            (letter.header("x-refused-code").unwrap().as_str(), letter.routing_key.as_str()),
            (code, key)
        );
        assert_eq!(letter.header("x-refused-user").unwrap(), "so\0c");
    }
    let rejected =
        "audit.rejected_events WHERE broker_user = U&'so\\FFFDc' AND routing_key LIKE U&'auth.%.\\FFFD'";
    assert_eq!(stage.count(rejected).await, 2);
    assert_alive_and_working(&stage, &app, &mut worker, "after").await;
}

/// What Postgres refuses for its content, now or after a migration to come, is bad input: it must not hold up
/// the events behind it.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_refused_and_holds_up_nobody() {
    let stage = Stage::new().await;
    let (_idp, setup) = scene(&stage, "soc").await;
    sqlx::raw_sql(
        "ALTER TABLE revocation.events ADD CONSTRAINT no_such_reason CHECK (reason <> 'unstorable')",
    )
    .execute(&stage.db)
    .await
    .unwrap();
    let operator = Operator::of(&stage).await;
    let mut worker = setup.start().await;
    assert!(worker.stop().await.success());
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..20 {
        let mut event = logout(&number.to_string(), &canary_token(), &canary_token());
        if number % 7 == 3 {
            event["data"]["reason"] = "unstorable".into();
        }
        app.publish(&event).await;
    }

    let _worker = setup.start().await;

    stage.wait_for_count(2 * 17, "audit.revocations WHERE state = 'revoked' AND attempts = 1").await;
    stage
        .wait_for_count(
            3,
            "audit.rejected_events WHERE event_id IN ('3', '10', '17') AND event_source = '/apps/shop'",
        )
        .await;
    for letter in operator.dead_letters(3).await {
        assert_eq!(letter.header("x-refused-code").unwrap(), "invalid_field");
        assert!(letter.header("x-refused-detail").unwrap().contains("no_such_reason"));
    }
    assert_eq!(operator.ready("revocation.logout").await, 0);
}
