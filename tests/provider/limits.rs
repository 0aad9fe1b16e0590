//! Bounds in time and size: `timeout` covers the body, and 64 KiB of it are enough.

use std::time::{Duration, Instant};

use revocation_worker::config::ProviderConfig;
use revocation_worker::outcome::{Answer, Proof, Verdict};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{revoke, rfc7009};

const TIMEOUT: Duration = Duration::from_millis(300);

/// The answer to an attempt with a short timeout, and how long that took.
async fn timed(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Answer, Duration) {
    let idp = ScriptedIdp::start(move |_| reply()).await;
    let config = ProviderConfig { timeout: TIMEOUT, ..rfc7009(idp.url()) };
    let started = Instant::now();
    (revoke(&config).await, started.elapsed())
}

/// The answer to an attempt with time enough.
async fn patient(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Answer {
    let idp = ScriptedIdp::start(move |_| reply()).await;
    revoke(&rfc7009(idp.url())).await
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_after_the_timeout() {
    let (answer, took) = timed(Reply::hang).await;
    assert_eq!((answer.verdict, answer.http_status), (Verdict::Transient, None));
    assert!(answer.error.unwrap().contains("no complete response within timeout"));
    assert!(took >= TIMEOUT && took < TIMEOUT * 5, "{took:?}");
}

#[tokio::test]
async fn a_body_that_trickles_is_left_after_the_timeout() {
    // A byte every 20 ms: no pause is long, the whole is.
    let (answer, took) =
        timed(|| Reply::status(200).body(vec![b' '; 1000]).slowly(Duration::from_millis(20))).await;
    assert_eq!((answer.verdict, answer.http_status), (Verdict::Transient, Some(200)));
    assert!(answer.error.unwrap().contains("no complete response within timeout"));
    assert!(took >= TIMEOUT && took < TIMEOUT * 5, "{took:?}");
}

#[tokio::test]
async fn a_body_that_trickles_within_the_timeout_is_read() {
    let answer =
        patient(|| Reply::status(400).body(r#"{"error":"invalid_token"}"#).slowly(Duration::from_millis(1)))
            .await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::AlreadyInvalid));
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_status_decides() {
    let answer = patient(|| Reply::status(200).body(vec![b'x'; 8192]).endlessly()).await;
    assert_eq!((answer.verdict, answer.http_status), (Verdict::Done(Proof::Accepted), Some(200)));
}

#[tokio::test]
async fn what_stands_beyond_64_kib_is_not_looked_at() {
    let padded = |spaces: usize| {
        move || Reply::status(400).body(format!("{}{}", " ".repeat(spaces), r#"{"error":"invalid_token"}"#))
    };
    let fits = 64 * 1024 - r#"{"error":"invalid_token"}"#.len();
    assert_eq!(patient(padded(fits)).await.verdict, Verdict::Done(Proof::AlreadyInvalid));
    assert_eq!(patient(padded(fits + 1)).await.verdict, Verdict::Refused);
}

/// What it would say beyond that may be no.
#[tokio::test]
async fn json_that_goes_on_beyond_64_kib_is_no_yes() {
    let long = " ".repeat(70_000);
    for body in [
        format!(r#"{{"padding":"{long}","success":false}}"#),
        format!(r#"{long}{{"success":false}}"#),
        format!(r#"{{"status":"ok"{long},"error":"x"}}"#),
    ] {
        let answer = patient(move || Reply::status(200).body(body.clone())).await;
        assert_eq!((answer.verdict, answer.http_status), (Verdict::Transient, Some(200)));
    }
}

#[tokio::test]
async fn a_blackhole_is_left_after_the_connect_timeout() {
    // A listener whose backlog is full lets further connections hang.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        filling.push(stream);
    }
    let config = ProviderConfig {
        connect_timeout: Duration::from_millis(100),
        ..rfc7009(&format!("http://{address}"))
    };
    let started = Instant::now();
    let answer = revoke(&config).await;
    assert_eq!(answer.verdict, Verdict::Transient);
    assert!(answer.error.unwrap().contains("connect_timeout"));
    assert!(started.elapsed() < Duration::from_secs(2));
}
