//! `Retry-After` is waited in full up to a bound, and there is no day on which a provider that asks for years
//! is not called again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{App, Stage, canary_token, logout_of};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// The provider asks for a day with the answers to one token, and answers all others.
#[tokio::test(flavor = "multi_thread")]
async fn one_targets_wait_is_ended_for_the_others_by_an_operator() {
    for status in [429, 503] {
        let (stage, poison) = (Stage::new().await, canary_token());
        let is_poison = poison.clone();
        let idp = ScriptedIdp::start(move |request| match request.field("token") {
            Some(token) if token == is_poison => Reply::status(status).header("Retry-After", "86400"),
            _ => Reply::status(200),
        })
        .await;
        let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
        let app = App::connect(&stage.amqp_url).await;
        app.publish(&logout_of("0", json!([{ "token": poison }]))).await;
        stage.wait_for_count(1, &format!("audit.attempts WHERE http_status = {status}")).await;
        for id in 1..=40 {
            app.publish(&logout_of(&id.to_string(), json!([{ "token": canary_token() }]))).await;
        }
        stage.wait_for_count(41, "audit.revocations WHERE state = 'pending'").await;
        stage.rows("SELECT revocation.resume_provider('main', 'test')").await;
        stage.wait_for_count(40, "audit.revocations WHERE state = 'revoked'").await;
        stage.wait_for_count(1, "audit.revocations WHERE state = 'pending' AND attempts = 2").await;
    }
}

/// By the provider's own bound, or by the common one: what is asked for is on record, the bound is waited
/// for.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_beyond_the_bound_ends_at_the_bound() {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(48 * 3600));
    for (retry_after, asked, settings) in [
        ("3600", "retry_after_ms = 3600000", vec![("REVOCATION__RETRY__RETRY_AFTER_MAX", "2s")]),
        (
            date.as_str(),
            "retry_after_ms > 170000000",
            vec![
                ("REVOCATION__RETRY__RETRY_AFTER_MAX", "6h"),
                ("REVOCATION__PROVIDERS__MAIN__RETRY_AFTER_MAX", "2s"),
            ],
        ),
        (
            "18446744073709551616",
            "retry_after_ms > 300000000000",
            vec![("REVOCATION__PROVIDERS__MAIN__RETRY_AFTER_MAX", "2s")],
        ),
    ] {
        let (stage, calls) = (Stage::new().await, AtomicUsize::new(0));
        let retry_after = retry_after.to_owned();
        let idp = ScriptedIdp::start(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status(429).header("Retry-After", retry_after.clone()),
            _ => Reply::status(200),
        })
        .await;
        let setup = stage.worker(&format!("{}/revoke", idp.url()));
        let _worker =
            settings.iter().fold(setup, |setup, (name, value)| setup.set(name, value)).start().await;
        let began = Instant::now();
        let targets = json!([{ "token": canary_token(), "token_type_hint": "access_token" }]);
        App::connect(&stage.amqp_url).await.publish(&logout_of("1", targets)).await;
        stage.wait_for_count(1, "audit.revocations WHERE state = 'revoked' AND attempts = 2").await;
        assert!(began.elapsed() >= Duration::from_secs(2), "the bound is waited for");
        assert_eq!(
            stage.count(&format!("audit.attempts WHERE http_status = 429 AND {asked}")).await,
            1,
            "{settings:?}"
        );
        assert_eq!(idp.ledger().len(), 2);
    }
}
