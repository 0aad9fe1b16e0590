//! Targets that the provider refuses as if our credentials were bad: they alone are parked, and nobody else
//! waits for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{App, Logout, Setup, Stage, canary_token, eventually, logout_of};
use crate::scripted_idp::{Memory, Reply, Request, ScriptedIdp};

type Answer = fn() -> Reply;
/// Tokens of somebody else, and what is said of each.
type Foreign = Mutex<HashMap<String, Answer>>;

/// Every sort of answer that servers give to a token of somebody else.
fn sorts() -> [(&'static str, Answer); 16] {
    [
        ("403 unauthorized_client", || Reply::json(403, r#"{"error":"unauthorized_client"}"#)),
        ("401 invalid_client", || Reply::json(401, r#"{"error":"invalid_client"}"#)),
        ("401", || Reply::status(401)),
        ("404", || Reply::status(404)),
        ("400 unauthorized_client", || Reply::json(400, r#"{"error":"unauthorized_client"}"#)),
        ("410", || Reply::status(410)),
        ("403", || Reply::status(403).header("Content-Type", "text/html").body("<html>Forbidden</html>")),
        ("405", || Reply::status(405)),
        ("407", || Reply::status(407)),
        ("402", || Reply::status(402)),
        ("401", || Reply::status(401).header("WWW-Authenticate", "Basic realm=\"other\"")),
        ("401 invalid_client: no", || Reply::status(401).body("error=invalid_client&error_description=no")),
        ("400 unauthorized_client", || Reply::status(400).body("<r><error>unauthorized_client</error></r>")),
        ("400 unauthorized_client", || {
            Reply::status(400).body("2b\r\n{\"error\":\"unauthorized_client\"}\r\n0\r\n\r\n")
        }),
        ("403 (a firewall's challenge)", || {
            Reply::status(403).header("cf-mitigated", "challenge").body("{}")
        }),
        ("200 invalid_client", || Reply::json(200, r#"{"error":"invalid_client"}"#)),
    ]
}

/// A provider to which some tokens are somebody else's, and which may be told to refuse everybody.
struct Picky {
    idp: ScriptedIdp,
    memory: Memory,
    foreign: Arc<Foreign>,
    refuses_all: Arc<AtomicBool>,
    probes: Arc<AtomicUsize>,
}

impl Picky {
    /// `unknown`: what it answers to a token that it does not know.
    async fn new(unknown: Answer) -> Self {
        let (memory, foreign) = (Memory::default(), Arc::new(Foreign::default()));
        let (refuses_all, probes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let answer = {
            let (memory, foreign, refuses_all, probes) =
                (memory.clone(), foreign.clone(), refuses_all.clone(), probes.clone());
            move |request: &Request| {
                let token = request.field("token").unwrap_or_default();
                let is_probe = token.starts_with("probe-");
                probes.fetch_add(usize::from(is_probe), SeqCst);
                if refuses_all.load(SeqCst) {
                    return Reply::json(401, r#"{"error":"invalid_client"}"#);
                }
                if is_probe {
                    return unknown();
                }
                foreign
                    .lock()
                    .expect("no panic")
                    .get(&token)
                    .map_or_else(|| memory.answer(request), |answer| answer())
            }
        };
        Self { idp: ScriptedIdp::start(answer).await, memory, foreign, refuses_all, probes }
    }

    fn worker(&self, stage: &Stage) -> Setup {
        stage.worker(&format!("{}/revoke", self.idp.url()))
    }

    /// An event whose token is somebody else's.
    fn poison(&self, id: &str, answer: Answer) -> Value {
        let token = canary_token();
        self.foreign.lock().expect("no panic").insert(token.clone(), answer);
        logout_of(id, json!([{ "token": token, "token_type_hint": "access_token" }]))
    }

    /// Waits until all of these are revoked, whatever becomes of others.
    async fn revoked(&self, stage: &Stage, logouts: &[Logout]) {
        let targets = 2 * i64::try_from(logouts.len()).expect("a count");
        stage
            .wait_for_count(targets, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL")
            .await;
        assert!(
            logouts.iter().flat_map(|logout| &logout.tokens).all(|token| self.memory.is_revoked(token)),
            "the provider saw them all"
        );
    }

    fn probes(&self) -> usize {
        self.probes.load(SeqCst)
    }

    /// How often it was asked about a token other than a probe's.
    fn calls(&self) -> usize {
        self.idp.ledger().len() - self.probes()
    }
}

const YES: Answer = || Reply::status(200);

/// 200 poison tokens among 200 logouts, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn poison_of_every_sort_is_parked_by_name_while_everybody_else_is_revoked() {
    let (stage, picky) = (Stage::new().await, Picky::new(YES).await);
    let _worker = picky.worker(&stage).start().await;
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(200));
    for (number, logout) in logouts.iter().enumerate() {
        let (_, answer) = sorts()[number % sorts().len()];
        app.publish(&picky.poison(&format!("poison-{number}"), answer)).await;
        app.publish(&logout.event()).await;
    }
    picky.revoked(&stage, &logouts).await;
    stage
        .wait_for_count(
            200,
            "audit.revocations WHERE state = 'parked' AND event_id LIKE 'poison-%' AND \
        last_outcome = 'rejected'",
        )
        .await;
    for (number, (answered, _)) in sorts().into_iter().enumerate() {
        let id = format!("event_id = 'poison-{number}'");
        let error = stage
            .text(&format!("SELECT last_error FROM audit.revocations WHERE {id}"))
            .await
            .expect("an error");
        let told = format!("/revoke answered {answered}");
        let follows = "a probe that names no token is accepted: revoke it as the client that it was issued \
            to, or cancel it";
        assert!(error.contains(&told) && error.ends_with(follows), "{error}");
    }
    assert_eq!(
        stage.count("audit.attempts WHERE outcome = 'misconfigured'").await,
        0,
        "the provider was never paused"
    );
    assert_eq!(
        stage.count("audit.revocations WHERE state = 'revoked' AND attempts > 1").await,
        0,
        "nobody else was asked about twice"
    );
    assert!(picky.calls() <= 400 + 2 * 200, "two calls a poison token: {}", picky.calls());
    assert!(picky.probes() < 200, "crowds share a probe: {}", picky.probes());
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_parked_where_there_was_never_a_success() {
    let (stage, picky) = (Stage::new().await, Picky::new(YES).await);
    let _worker = picky.worker(&stage).start().await;
    let app = App::connect(&stage.amqp_url).await;
    for (number, (_, answer)) in sorts().into_iter().enumerate() {
        app.publish(&picky.poison(&format!("poison-{number}"), answer)).await;
    }
    let parked = "audit.revocations WHERE state = 'parked' AND attempts = 2 AND denied_at IS NOT NULL";
    stage.wait_for_count(sorts().len().try_into().expect("a count"), parked).await;
    assert_eq!(stage.count("audit.providers WHERE breaker = 'closed'").await, 1);
}

/// More of them than a probe is believed about at once, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_poison_alone_is_parked_when_it_has_lasted() {
    let (stage, picky) = (Stage::new().await, Picky::new(YES).await);
    let _worker = picky.worker(&stage).set("REVOCATION__RETRY__INITIAL", "200ms").start().await;
    let app = App::connect(&stage.amqp_url).await;
    for number in 0..27 {
        app.publish(&picky.poison(&number.to_string(), sorts()[number % sorts().len()].1)).await;
    }
    stage
        .wait_for_count(27, "audit.revocations WHERE state = 'parked' AND last_error LIKE '%cancel it%'")
        .await;
    assert_eq!(
        stage.count("audit.attempts WHERE outcome = 'misconfigured'").await,
        0,
        "the provider was never paused"
    );
}

/// What pauses the provider at once, or opens its breaker, if everybody gets it: nobody is left waiting for
/// the few who alone do.
#[tokio::test(flavor = "multi_thread")]
async fn poison_that_reads_like_an_outage_is_not_the_probe_for_ever() {
    let sorts: [(Answer, bool); 4] = [
        (|| Reply::status(302).header("Location", "https://id.example.com/login"), true),
        (|| Reply::status(307).header("Location", "/blocked"), true),
        (|| Reply::status(500), false),
        (|| Reply::close(), false),
    ];
    for (answer, is_parked) in sorts {
        let (stage, picky) = (Stage::new().await, Picky::new(YES).await);
        let _worker = picky.worker(&stage).start().await;
        let app = App::connect(&stage.amqp_url).await;
        for number in 0..21 {
            app.publish(&picky.poison(&format!("poison-{number}"), answer)).await;
        }
        stage.wait_for_count(1, "audit.providers WHERE breaker <> 'closed'").await;
        let logouts = Logout::many(1);
        app.publish(&logouts[0].event()).await;
        picky.revoked(&stage, &logouts).await;
        if is_parked {
            stage
                .wait_for_count(
                    21,
                    "audit.revocations WHERE state = 'parked' AND last_error LIKE '%a probe that names no \
                        token is accepted%'",
                )
                .await;
        }
    }
}

/// The secret is changed at the provider in the middle of traffic, and poison is about.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_the_secret_pauses_all_parks_nobody_and_uses_nobody_up() {
    let (stage, picky) = (Stage::new().await, Picky::new(YES).await);
    let _worker = picky.worker(&stage).start().await;
    let (app, logouts) = (App::connect(&stage.amqp_url).await, Logout::many(120));
    // The probe has been accepted once: from then on it is believed.
    app.publish(&picky.poison("earlier", sorts()[0].1)).await;
    stage.wait_for_count(1, "audit.revocations WHERE state = 'parked'").await;
    let (parked, spent, others) = (
        "audit.revocations WHERE state = 'parked' AND event_id <> 'earlier'",
        "revocation.targets WHERE failures > 0 AND state <> 'parked'",
        "audit.attempts WHERE outcome NOT IN ('revoked', 'misconfigured', 'transient')",
    );
    let others_before = stage.count(others).await;
    for (number, logout) in logouts[..100].iter().enumerate() {
        if number == 50 {
            picky.refuses_all.store(true, SeqCst);
        }
        app.publish(&logout.event()).await;
    }
    stage
        .wait_for_count(
            1,
            "audit.providers WHERE breaker <> 'closed' AND last_error LIKE '%answered 401 invalid_client; \
                check the endpoint%'",
        )
        .await;
    stage.wait_for_count(0, "revocation.targets WHERE lease_owner IS NOT NULL").await;
    let (calls, probes, attempts) = (picky.calls(), picky.probes(), stage.count("audit.attempts").await);
    app.publish(&picky.poison("poison", sorts()[0].1)).await;
    for logout in &logouts[100..] {
        app.publish(&logout.event()).await;
    }
    eventually("two more probes", async || (picky.probes() >= probes + 2).then_some(())).await;
    assert_eq!(
        (picky.calls(), stage.count("audit.attempts").await),
        (calls, attempts),
        "no target is a probe"
    );
    assert_eq!(stage.count(parked).await, 0);
    assert_eq!(stage.count(spent).await, 0, "a target spent an attempt on the wrong secret");
    assert_eq!(stage.count(others).await, others_before);

    picky.refuses_all.store(false, SeqCst);
    picky.revoked(&stage, &logouts).await;
    stage.wait_for_count(1, parked).await;
    assert_eq!(stage.count("audit.revocations WHERE state = 'parked' AND event_id = 'poison'").await, 1);
}

/// They refuse every string that they do not know, whoever asks, as rauthy does, and some blame the client:
/// such a probe tells nothing, and a target finds that out.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_unknown_tokens_always_is_not_taken_for_one_that_refuses_us() {
    tokio::join!(
        refuses_unknown_tokens(|| Reply::json(401, r#"{"error":"Unauthorized"}"#)),
        refuses_unknown_tokens(|| Reply::json(401, r#"{"error":"invalid_client"}"#)),
        refuses_unknown_tokens(|| Reply::json(403, r#"{"error":"unauthorized_client"}"#)),
    );
}

async fn refuses_unknown_tokens(answer: fn() -> Reply) {
    let (stage, picky) = (Stage::new().await, Picky::new(answer).await);
    let _worker = picky.worker(&stage).start().await;
    let app = App::connect(&stage.amqp_url).await;
    app.publish(&picky.poison("first", sorts()[2].1)).await;
    stage.wait_for_count(1, "audit.providers WHERE breaker <> 'closed'").await;
    let logouts = Logout::many(10);
    for logout in &logouts {
        app.publish(&logout.event()).await;
    }
    picky.revoked(&stage, &logouts).await;
    for (number, (_, answer)) in sorts().into_iter().enumerate().take(2) {
        app.publish(&picky.poison(&format!("later-{number}"), answer)).await;
    }
    stage.wait_for_count(1, "audit.providers WHERE breaker = 'closed'").await;
    eventually("a success lets them be parked", async || {
        app.publish(&logout_of(&canary_token()[11..], json!([{ "token": canary_token() }]))).await;
        (stage.count("audit.revocations WHERE state = 'parked'").await == 3).then_some(())
    })
    .await;
    assert_eq!(
        stage
            .count(
                "audit.revocations WHERE state = 'parked' AND last_error NOT LIKE '%other tokens \
        are accepted%'"
            )
            .await,
        0
    );
}
