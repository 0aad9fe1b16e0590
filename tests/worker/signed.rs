//! Signed events by queue: the same as by HTTP, and while a sender's keys cannot be fetched neither lost, nor
//! taken, nor in anybody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{App, Feed, Issuer, Operator, Setup, Signer, Stage, eventually, logout};
use crate::scripted_idp::{Reply, ScriptedIdp};
use revocation_worker::invalidation::Phase;

const LOGOUT: &str = "application/logout+jwt";
const EVENT: &str = "application/secevent+jwt";
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

/// A security event of `issuer` for us.
fn event(issuer: &Issuer, jti: &str, event_type: &str, subject: &Value) -> String {
    let mut claims = issuer.claims(jti, "user-1");
    let members = claims.as_object_mut().expect("an object");
    members.remove("sub");
    members.remove("exp");
    claims["sub_id"] = subject.clone();
    claims["events"] = json!({ event_type: {} });
    issuer.token("secevent+jwt", &claims)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_the_same_event_by_either_door() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    let worker = issuer.known_to(worker).set("REVOCATION__RECEIVE__SENDERS__OP__MAY_ORDER", "sub");
    let running = worker.start().await;
    let _receiver = worker.receive(&issuer.address).await;
    let (app, feed) = (App::connect(&stage.amqp_url).await, Feed::listen(&stage.amqp_url).await);
    let token = issuer.logout_token("j-1", "user-1");
    app.publish_signed(LOGOUT, &token).await;
    feed.wait_for(Phase::Requested, "op/j-1").await;
    assert_eq!(issuer.send(&token).await.expect("an answer").status(), 200);
    app.publish_signed("Application/Logout+JWT; charset=us-ascii", &token).await;
    let user = json!({ "format": "iss_sub", "iss": issuer.issuer(), "sub": "user-2" });
    app.publish_signed(EVENT, &event(&issuer, "j-2", CAEP, &user)).await;
    app.publish_signed(EVENT, &event(&issuer, "j-3", VERIFICATION, &user)).await;
    stage.wait_for_count(2, "audit.revocations WHERE denied_at IS NOT NULL").await;
    let rows = stage
        .rows(
            "SELECT jsonb_build_array(event_id, event_source, target_kind, sub, reason, actor)
             FROM audit.revocations ORDER BY event_id",
        )
        .await;
    let row = |id: &str, sub: &str, reason: &str| json!([id, issuer.issuer(), "subject", sub, reason, "op"]);
    assert_eq!(
        rows,
        [row("op/j-1", "user-1", "backchannel_logout"), row("op/j-2", "user-2", "session_revoked")]
    );
    for (metric, count) in
        [("revocation_events_ignored_total", 1.0), ("revocation_events_duplicate_total", 2.0)]
    {
        eventually(metric, async || (running.metric(metric).await == count).then_some(())).await;
    }
    // What may not be ordered may not by this door either, nor is it widened.
    let mut session = issuer.claims("j-4", "user-4");
    session["sid"] = json!("s-4");
    app.publish_signed(LOGOUT, &issuer.token("logout+jwt", &session)).await;
    app.publish_signed(EVENT, &event(&issuer, "j-5", CAEP, &json!({ "format": "email", "email": "a@b" })))
        .await;
    app.publish_signed(EVENT, &issuer.logout_token("j-6", "user-6")).await;
    stage.wait_for_count(3, "audit.rejected_events").await;
    let refused = "SELECT jsonb_build_array(code, split_part(detail, ': ', 2)) FROM audit.rejected_events
         ORDER BY detail";
    assert_eq!(
        stage.rows(refused).await,
        [
            json!(["unknown_type", "typ must be secevent+jwt"]),
            json!(["invalid_field", "email_not_mapped"]),
            json!(["not_allowed", "not_allowed"])
        ]
    );
    assert_eq!(issuer.fetches(), 2, "once by each");
}

/// A sender whose keys can be fetched once it is told so.
struct Away {
    issuer: ScriptedIdp,
    signer: Signer,
    answers: Arc<AtomicBool>,
}

impl Away {
    async fn start() -> Self {
        let (signer, answers) = (Signer::new(), Arc::new(AtomicBool::new(false)));
        let (set, asked) = (json!({ "keys": [signer.public("k1")] }).to_string(), answers.clone());
        let issuer = ScriptedIdp::start(move |_| match asked.load(Ordering::Relaxed) {
            true => Reply::json(200, set.clone()),
            false => Reply::status(503),
        });
        Self { issuer: issuer.await, signer, answers }
    }

    fn known_to(&self, setup: Setup) -> Setup {
        let name = |key: &str| format!("REVOCATION__RECEIVE__SENDERS__AWAY__{key}");
        setup
            .set(&name("ISSUER"), self.issuer.url())
            .set(&name("CLIENT_ID"), "shop")
            .set(&name("JWKS_URI"), &format!("{}/jwks", self.issuer.url()))
    }

    fn token(&self, of: &Issuer, jti: &str) -> String {
        let mut claims = of.claims(jti, jti);
        claims["iss"] = json!(self.issuer.url());
        self.signer.sign(r#"{"alg":"ES256","kid":"k1","typ":"logout+jwt"}"#, &claims.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_keys_are_away_holds_up_nobody_and_loses_nothing() {
    const PLACES: i64 = 32;
    const EVENTS: i64 = 150;
    let (stage, issuer, away) = (Stage::new().await, Issuer::start().await, Away::start().await);
    let setup = away.known_to(issuer.known_to(stage.worker("http://127.0.0.1:9/revoke")));
    // A quarter of the smallest share, 256 KiB, at 1 KiB each; one sender's are half of that.
    let setup = setup.set("REVOCATION__AMQP__BYTES_IN_HAND", "1048576");
    let mut worker = setup.start().await;
    let (app, feed) = (App::connect(&stage.amqp_url).await, Feed::listen(&stage.amqp_url).await);
    for number in 0..EVENTS {
        app.publish_signed(LOGOUT, &away.token(&issuer, &format!("w-{number}"))).await;
    }
    // Behind them all.
    app.publish_signed(LOGOUT, &issuer.logout_token("other", "user-1")).await;
    app.publish(&logout("plain", "access-1", "refresh-1")).await;
    feed.wait_for(Phase::Requested, "op/other").await;
    feed.wait_for(Phase::Requested, "plain").await;
    let too_many = "audit.rejected_events WHERE code = 'bad_signature' AND detail LIKE '%as may wait%'";
    stage.wait_for_count(EVENTS - PLACES, too_many).await;
    assert_eq!(worker.metric("revocation_signed_waiting").await, PLACES as f64);
    let unread = "audit.revocations WHERE event_id LIKE 'away/%'";
    assert_eq!(stage.count(unread).await, 0, "nothing is taken before it is verified");
    // Neither acknowledged nor refused: another worker has them.
    assert!(worker.stop().await.success());
    let operator = Operator::of(&stage).await;
    operator.wait_for_ready(u32::try_from(PLACES).expect("a few"), "revocation.logout").await;
    let worker = setup.start().await;
    let waiting = async || (worker.metric("revocation_signed_waiting").await == PLACES as f64).then_some(());
    eventually("they wait again", waiting).await;
    away.answers.store(true, Ordering::Relaxed);
    stage.wait_for_count(PLACES, unread).await;
    stage.wait_for_count(EVENTS - PLACES, "audit.rejected_events").await;
    assert_eq!(worker.metric("revocation_signed_waiting").await, 0.0);
}
