//! A provider without a call that names no target: whose fault a refusal is, its targets decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::json;

use crate::harness::{App, Setup, Stage, canary_token, eventually, logout_of};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// A Baanx, which has no call that names no target. It refuses some bearers as it refuses a wrong client key,
/// or all of them.
struct WithoutProbe {
    idp: ScriptedIdp,
    refuses_all: Arc<AtomicBool>,
}

impl WithoutProbe {
    async fn new() -> Self {
        let refuses_all = Arc::new(AtomicBool::new(false));
        let all = refuses_all.clone();
        let idp = ScriptedIdp::start(move |request| {
            let is_foreign = request.header("authorization").is_some_and(|bearer| bearer.contains("foreign"));
            if is_foreign || all.load(SeqCst) {
                Reply::status(403)
            } else {
                Reply::json(200, r#"{"success":true}"#)
            }
        });
        Self { idp: idp.await, refuses_all }
    }

    fn worker(&self, stage: &Stage) -> Setup {
        let setup = stage
            .worker("")
            .set("REVOCATION__PROVIDERS__MAIN__KIND", "baanx")
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", "");
        let setup = setup
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "")
            .set("REVOCATION__PROVIDERS__MAIN__CLIENT_KEY", "key-1");
        setup.set("REVOCATION__PROVIDERS__MAIN__BASE_URL", self.idp.url())
    }
}

/// So many events of a token each.
async fn publish_singles(app: &App, ids: &str, count: usize) {
    for number in 0..count {
        let token = format!("{ids}-{}", canary_token());
        app.publish(&logout_of(
            &format!("{ids}-{number}"),
            json!([{ "token": token, "token_type_hint": "access_token" }]),
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_probe_a_success_since_parks_the_target() {
    let (stage, server) = (Stage::new().await, WithoutProbe::new().await);
    let _worker = server.worker(&stage).start().await;
    let app = App::connect(&stage.amqp_url).await;
    publish_singles(&app, "foreign", 2).await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'pending' AND last_error LIKE '%not known yet%' \
        AND attempts >= 2",
        )
        .await;
    assert_eq!(
        stage.count("audit.providers WHERE breaker = 'closed'").await,
        1,
        "two events are not enough to blame us"
    );
    publish_singles(&app, "own", 3).await;
    stage.wait_for_count(3, "audit.revocations WHERE state = 'revoked'").await;
    stage
        .wait_for_count(
            2,
            "audit.revocations WHERE state = 'parked' AND last_error LIKE '%answered 403; \
            other tokens are accepted%'",
        )
        .await;
    assert_eq!(
        stage.count("audit.attempts WHERE outcome = 'misconfigured'").await,
        0,
        "the provider was never paused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_probe_three_events_pause_the_provider_and_targets_probe_it() {
    let (stage, server) = (Stage::new().await, WithoutProbe::new().await);
    let _worker = server.worker(&stage).start().await;
    server.refuses_all.store(true, SeqCst);
    let app = App::connect(&stage.amqp_url).await;
    publish_singles(&app, "own", 10).await;
    stage
        .wait_for_count(
            1,
            "audit.providers WHERE breaker <> 'closed' AND last_error LIKE '%so are targets \
        of other events%'",
        )
        .await;
    let calls = server.idp.ledger().len();
    eventually("a target is the probe", async || (server.idp.ledger().len() > calls).then_some(())).await;
    assert_eq!(stage.count("audit.revocations WHERE state <> 'pending'").await, 0);
    assert_eq!(
        stage.count("revocation.targets WHERE failures > 0").await,
        0,
        "a target spent an attempt on the wrong key"
    );
    server.refuses_all.store(false, SeqCst);
    stage.wait_for_count(10, "audit.revocations WHERE state = 'revoked'").await;
}
