//! The gate behind a real nginx, configured by docs/gateways/nginx.conf: a service in any language refuses
//! what was revoked.

use std::time::{Duration, Instant};

use reqwest::Response;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use revocation_gate::{self as gate, Settings};
use revocation_sandbox::{Nginx, Port};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::promtool::promtool;
use crate::harness::{App, Stage, canary_token, eventually, free_port, logout};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

/// Denial takes milliseconds; the rest is a machine with busy cores.
const SOON: Duration = Duration::from_secs(5);

/// The gate, run in this process.
pub(crate) struct Gate {
    pub(crate) address: String,
    _port: Port,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), gate::GateError>>,
}

impl Gate {
    pub(crate) fn start(stage: &Stage, policy: &str) -> Self {
        Self::start_with(stage, policy, &[])
    }

    pub(crate) fn start_with(stage: &Stage, policy: &str, more: &[(&str, &str)]) -> Self {
        let port = free_port();
        let address = port.address();
        let settings = [
            ("AMQP_URL", stage.amqp_url.as_str()),
            ("GATE_SERVICE", "shop-api"),
            ("GATE_STALENESS_POLICY", policy),
            ("GATE_LISTEN", &address),
            ("GATE_REALM", "shop"),
        ];
        let settings = Settings::from_environment(settings.into_iter().chain(more.iter().copied()));
        let settings = settings.unwrap_or_else(|error| panic!("{error}"));
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(gate::run(settings, async { drop(stopped.await) }));
        Self { address, _port: port, stop: Some(stop), ended }
    }

    /// Waits until `/readyz` answers with this status and this line.
    pub(crate) async fn wait_for_readiness(&self, status: u16, line: &str) {
        eventually(&format!("the gate's /readyz answers {status} {line}"), async || {
            let answer = reqwest::get(format!("http://{}/readyz", self.address)).await.ok()?;
            (answer.status() == status && answer.text().await.ok()? == format!("{line}\n")).then_some(())
        })
        .await;
    }

    pub(crate) async fn metrics(&self) -> String {
        reqwest::get(format!("http://{}/metrics", self.address))
            .await
            .expect("ask the gate")
            .text()
            .await
            .expect("its metrics")
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.ended.await.expect("no panic").expect("an orderly end");
    }
}

/// nginx between a client and a service that answers anything with 200, and the gate beside them.
struct Front {
    nginx: Nginx,
    service: ScriptedIdp,
}

impl Front {
    async fn before(gate: &Gate) -> Self {
        let service = ScriptedIdp::start(|_| Reply::status(200)).await;
        let behind = service.url().trim_start_matches("http://").to_owned();
        let text = include_str!("../../docs/gateways/nginx.conf");
        let addresses = [("127.0.0.1:9310", gate.address.clone()), ("127.0.0.1:8000", behind)];
        let nginx = tokio::task::spawn_blocking(move || {
            Nginx::start(|listen| {
                let addresses = addresses.into_iter().chain([("127.0.0.1:8080", listen.to_owned())]);
                addresses.fold(text.to_owned(), |text, (example, real)| {
                    assert_eq!(
                        text.matches(example).count(),
                        1,
                        "docs/gateways/nginx.conf names {example} once"
                    );
                    text.replace(example, &real)
                })
            })
        });
        Self { nginx: nginx.await.expect("no panic").expect("start nginx"), service }
    }

    async fn post(&self, token: &str) -> Response {
        let request = reqwest::Client::new()
            .post(format!("{}/orders?page=1", self.nginx.url()))
            .bearer_auth(token)
            .body("an order");
        request.send().await.expect("ask nginx")
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII")).collect()
}

#[track_caller]
fn assert_refused(answer: &Response, verdict: &str, why: &str) {
    assert_eq!(answer.status(), 401);
    let challenge = format!("Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"{why}\"");
    assert_eq!(
        header(answer.headers(), "www-authenticate"),
        [challenge],
        "one challenge, as the gate wrote it"
    );
    assert_eq!(header(answer.headers(), "x-revocation-verdict"), [verdict]);
}

async fn idp() -> ScriptedIdp {
    Memory::default().serve().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_behind_nginx_refuses_a_token_soon_after_its_logout() {
    let (stage, idp) = (Stage::alone().await, idp().await);
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let gate = Gate::start(&stage, "fail_closed");
    gate.wait_for_readiness(200, "ready").await;
    let front = Front::before(&gate).await;
    let (revoked, other, refresh) = (canary_token(), canary_token(), canary_token());

    for token in [&revoked, &other] {
        let answer = front.post(token).await;
        assert_eq!(
            (answer.status().as_u16(), header(answer.headers(), "x-revocation-verdict")),
            (200, vec!["allowed"])
        );
    }
    App::connect(&stage.amqp_url).await.publish(&logout("1", &revoked, &refresh)).await;
    let published = Instant::now();
    let refusal = eventually("the revoked token is refused", async || {
        let answer = front.post(&revoked).await;
        (answer.status() != 200).then_some(answer)
    })
    .await;
    assert!(published.elapsed() < SOON, "from publication to refusal: {:?}", published.elapsed());
    assert_refused(&refusal, "denied", "the token was revoked");
    assert_eq!(front.post(&other).await.status(), 200);

    let last = front.service.ledger().pop().expect("requests");
    assert_eq!((last.path.as_str(), last.body.as_str()), ("/orders?page=1", "an order"));
    let metrics = gate.metrics().await;
    for line in [
        "checks_total{verdict=\"denied\"} 1",
        "entries 2",
        "stale{reason=\"silent\"} 0",
        "policy{policy=\"fail_closed\"} 1",
    ] {
        assert!(metrics.contains(&format!("\nrevocation_verifier_{line}\n")), "{line}:\n{metrics}");
    }
    gate.stop().await;
    stage
        .wait_for_count(1, "audit.verifiers WHERE stale_reason = 'ended' AND verified AND NOT up_to_date")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_the_gate_is_not_ready_and_each_policy_does_what_it_says() {
    let (stage, idp) = (Stage::new().await, idp().await);
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let (closed, open) = (Gate::start(&stage, "fail_closed"), Gate::start(&stage, "fail_open"));
    closed.wait_for_readiness(200, "ready").await;
    open.wait_for_readiness(200, "ready").await;
    let metrics = open.metrics().await;
    promtool(&["check", "metrics"], &metrics).expect("promtool check metrics");
    assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{metrics}");
    let (strict, lenient) = (Front::before(&closed).await, Front::before(&open).await);
    let (token, revoked) = (canary_token(), canary_token());
    App::connect(&stage.amqp_url).await.publish(&logout("1", &revoked, &canary_token())).await;
    eventually("the lenient service refuses it", async || {
        (lenient.post(&revoked).await.status() == 401).then_some(())
    })
    .await;
    assert_eq!(strict.post(&token).await.status(), 200);

    assert!(worker.stop().await.success());
    closed.wait_for_readiness(503, "stale: silent").await;
    open.wait_for_readiness(503, "stale: silent").await;
    assert_refused(&strict.post(&token).await, "stale_refused", "revocation cannot be checked at the moment");
    let answer = lenient.post(&token).await;
    assert_eq!(
        (answer.status().as_u16(), header(answer.headers(), "x-revocation-verdict")),
        (200, vec!["stale_accepted"])
    );
    assert_refused(&lenient.post(&revoked).await, "denied", "the token was revoked");

    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    closed.wait_for_readiness(200, "ready").await;
    assert_eq!(strict.post(&token).await.status(), 200, "a worker is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_bearer_token_gets_no_further_than_nginx() {
    let (stage, idp) = (Stage::new().await, idp().await);
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let gate = Gate::start(&stage, "fail_open");
    gate.wait_for_readiness(200, "ready").await;
    let front = Front::before(&gate).await;
    let bare = r#"Bearer realm="shop""#;
    let malformed = concat!(
        r#"Bearer realm="shop", error="invalid_request", "#,
        r#"error_description="the token has characters that no token has""#
    );
    for (value, challenge) in
        [(None, bare), (Some("Basic c2hvcDpz"), bare), (Some("Bearer two words"), malformed)]
    {
        let mut request = reqwest::Client::new().get(front.nginx.url());
        if let Some(value) = value {
            request = request.header(AUTHORIZATION, value);
        }
        let answer = request.send().await.expect("ask nginx");
        assert_eq!(
            (answer.status().as_u16(), header(answer.headers(), "www-authenticate")),
            (401, vec![challenge]),
            "{value:?}"
        );
        assert_eq!(header(answer.headers(), "x-revocation-verdict"), ["unauthenticated"]);
    }
    assert!(front.service.ledger().is_empty(), "nothing reached the service");
}
