//! docs/consumer.py, run as it stands: a verifier in another language knows what the Rust one knows.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::harness::{App, Operator, Stage, canary_token, eventually, logout, logout_of};
use crate::scripted_idp::{Memory, ScriptedIdp};

/// The consumer as a program. Dropping it kills it.
struct Consumer {
    child: Child,
    tokens: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

impl Consumer {
    fn start(amqp_url: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/consumer.py");
        let mut child = Command::new(python())
            .arg(program)
            .env("AMQP_URL", amqp_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("start Python");
        let (tokens, verdicts) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Self { child, tokens, verdicts: BufReader::new(verdicts) }
    }

    fn verdict(&mut self, token: &str) -> String {
        writeln!(self.tokens, "{token}").expect("ask the consumer");
        let mut line = String::new();
        self.verdicts.read_line(&mut line).expect("read its verdict");
        line.trim_end().to_owned()
    }

    /// Waits until it says so of a token.
    async fn comes_to_say(&mut self, verdict: &str, token: &str) {
        eventually(&format!("the consumer says {verdict}"), async || (self.verdict(token) == verdict).then_some(())).await;
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An interpreter that has pika: Debian's, else the first on PATH.
fn python() -> &'static str {
    let has_pika = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import pika"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(has_pika).expect("a python3 that can import pika: ./dev setup installs one")
}

fn jwt(claims: &Value) -> String {
    format!("eyJhbGciOiJSUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Two seconds old, good for an hour.
fn token_of(sub: &str, iss: Option<&str>) -> String {
    jwt(&json!({ "sub": sub, "iss": iss, "jti": canary_token(), "iat": now() - 2, "exp": now() + 3600 }))
}

async fn stage_with_worker() -> (Stage, ScriptedIdp, crate::harness::Worker) {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = ScriptedIdp::start(move |request| memory.answer(request)).await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    (stage, idp, worker)
}

/// A logout of one wide target whose cutoff is now.
fn cutoff(id: &str, target: Value) -> Value {
    let mut event = logout_of(id, json!([target]));
    event["data"]["not_before"] = json!(OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).expect("a time"));
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_denied_and_silence_is_noticed() {
    let (stage, _idp, mut worker) = stage_with_worker().await;
    let mut consumer = Consumer::start(&stage.amqp_url);
    let app = App::connect(&stage.amqp_url).await;
    let (access, opaque, other) = (token_of("user-1", None), canary_token(), token_of("user-2", None));
    consumer.comes_to_say("allowed", &access).await;
    assert_eq!(consumer.verdict(&opaque), "allowed");

    app.publish(&logout("1", &access, &opaque)).await;
    consumer.comes_to_say("denied", &opaque).await;
    assert_eq!(consumer.verdict(&access), "denied");
    let (signed, _) = access.rsplit_once('.').expect("a signature");
    assert_eq!(consumer.verdict(&format!("{signed}.c2lnbmF0dXJm")), "denied", "another spelling of its signature changes nothing");
    assert_eq!(consumer.verdict(&other), "allowed");

    // A verifier that starts later knows it from the stream.
    consumer = Consumer::start(&stage.amqp_url);
    consumer.comes_to_say("allowed", &other).await;
    assert_eq!(consumer.verdict(&access), "denied");

    assert!(worker.stop().await.success());
    consumer.comes_to_say("stale", &other).await;
    assert_eq!(consumer.verdict(&access), "denied", "what is known to be denied stays denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cutoff_denies_what_is_older_of_its_issuer() {
    let (stage, _idp, _worker) = stage_with_worker().await;
    let mut consumer = Consumer::start(&stage.amqp_url);
    let app = App::connect(&stage.amqp_url).await;
    let (ours, theirs) = (Some("https://id.example.com"), Some("https://other.example.com"));
    let of_everyone = token_of("user-1", theirs);
    consumer.comes_to_say("allowed", &of_everyone).await;

    app.publish(&cutoff("1", json!({ "sub": "user-1" }))).await;
    consumer.comes_to_say("denied", &of_everyone).await;
    app.publish(&cutoff("2", json!({ "sub": "user-2", "iss": ours }))).await;
    consumer.comes_to_say("denied", &token_of("user-2", ours)).await;

    let with = |iat: Value, sub: &str| jwt(&json!({ "sub": sub, "iss": ours, "iat": iat, "exp": now() + 3600 }));
    let cases = [
        (with(Value::Null, "user-1"), "denied", "no iat"),
        (with(json!(now() + 60), "user-1"), "allowed", "issued after the cutoff"),
        (token_of("user-2", None), "denied", "an issuer that is not known may be the one that is meant"),
        (token_of("user-2", theirs), "allowed", "another issuer's user of that name"),
        (token_of("user-3", ours), "allowed", "another user"),
        (jwt(&json!({ "sub": "user-3", "exp": now() - 1 })), "denied", "expired"),
        (jwt(&json!({ "sub": ["user-1"], "iat": "now" })), "allowed", "claims of other types name nothing"),
    ];
    for (token, verdict, why) in cases {
        assert_eq!(consumer.verdict(&token), verdict, "{why}");
    }

    // An older cutoff, arriving later, re-admits nothing.
    app.publish(&logout_of("3", json!([{ "sub": "user-1" }, { "sub": "user-9" }]))).await;
    consumer.comes_to_say("denied", &jwt(&json!({ "sub": "user-9" }))).await;
    assert_eq!(consumer.verdict(&of_everyone), "denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_loses_nothing() {
    let (stage, _idp, _worker) = stage_with_worker().await;
    let operator = Operator::of(&stage).await;
    // Reading the log and the heartbeats is all that it may do.
    let url = operator
        .add_limited_user(&stage, "python", json!({ "configure": "^$", "write": "^$", "read": "^auth\\.invalidations\\.(log|beats)$" }))
        .await;
    let mut consumer = Consumer::start(&url);
    let app = App::connect(&stage.amqp_url).await;
    let tokens = [token_of("user-1", None), token_of("user-2", None)];
    consumer.comes_to_say("allowed", &tokens[0]).await;

    operator.disconnect("python").await;
    app.publish(&logout("1", &tokens[0], &canary_token())).await;
    consumer.comes_to_say("denied", &tokens[0]).await;
    consumer.comes_to_say("allowed", &tokens[1]).await;
}
