//! Networks and servers that misbehave: every fault ends in an answer, and no request is sent twice or
//! elsewhere.

use std::process::Command;
use std::time::Duration;

use revocation_worker::config::ProviderConfig;
use revocation_worker::outcome::{Proof, Verdict};
use tokio::net::TcpListener;

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{TOKEN, baanx, provider, revoke, rfc7009, token};

/// The answer's verdict where the provider replies like this to everything; the request is in the ledger
/// once.
async fn verdict(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Verdict {
    let idp = ScriptedIdp::start(move |_| reply()).await;
    let answer = revoke(&rfc7009(idp.url())).await;
    assert_eq!(idp.ledger().len(), 1);
    assert!(answer.error.is_some());
    answer.verdict
}

#[tokio::test]
async fn broken_responses_are_tried_again() {
    assert_eq!(verdict(Reply::close).await, Verdict::Transient);
    assert_eq!(verdict(|| Reply::status(200).reset()).await, Verdict::Transient);
    assert_eq!(verdict(|| Reply::json(200, "{}").truncated()).await, Verdict::Transient);
    assert_eq!(
        verdict(|| Reply::garbage("\u{0}\u{1}\u{2} not HTTP at all\r\n\r\n")).await,
        Verdict::Transient
    );
    assert_eq!(verdict(|| Reply::garbage("<html>HTTP/0.9</html>")).await, Verdict::Transient);
    assert_eq!(
        verdict(|| Reply::garbage("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"))
            .await,
        Verdict::Transient
    );
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    let idp = ScriptedIdp::start(|_| {
        Reply::garbage(format!(
            "{}HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50)
        ))
    })
    .await;
    assert_eq!(revoke(&rfc7009(idp.url())).await.verdict, Verdict::Done(Proof::Accepted));
}

#[tokio::test]
async fn a_refused_connection_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let answer = revoke(&rfc7009(&closed)).await;
    assert_eq!((answer.verdict, answer.http_status), (Verdict::Transient, None));
    let error = answer.error.unwrap();
    assert!(
        error.starts_with(&format!("POST {closed}/revoke failed: ")) && error.contains("refused"),
        "{error}"
    );
}

#[tokio::test]
async fn an_unknown_host_name_needs_a_person() {
    // A label of 64 characters exists nowhere (RFC 1035 section 2.3.4), so the resolver says so without
    // asking the network.
    let answer = revoke(&ProviderConfig {
        allow_http: true,
        ..rfc7009(&format!("http://{}.invalid", "a".repeat(64)))
    })
    .await;
    assert_eq!((answer.verdict, answer.http_status), (Verdict::Misconfigured, None));
    assert!(answer.error.unwrap().contains("host name lookup"));
}

#[tokio::test]
async fn redirects_are_never_followed() {
    let elsewhere = ScriptedIdp::start(|_| Reply::status(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/revoke", elsewhere.url());
        let idp =
            ScriptedIdp::start(move |_| Reply::status(status).header("Location", location.clone())).await;
        let answer = revoke(&rfc7009(idp.url())).await;
        assert_eq!((answer.verdict, answer.http_status), (Verdict::Misconfigured, Some(status)));
        assert!(answer.error.unwrap().contains(elsewhere.url()));
        assert_eq!(idp.ledger().len(), 1);
    }
    assert_eq!(elsewhere.ledger().len(), 0);
}

#[tokio::test]
async fn a_stale_connection_costs_an_attempt_and_never_a_second_request() {
    // The first response leaves the connection open; the second request on it is read and the connection
    // closed.
    let idp = ScriptedIdp::start(|request| {
        if request.path == "/revoke" && request.field("token").as_deref() == Some("first") {
            Reply::status(200)
        } else {
            Reply::close()
        }
    })
    .await;
    let provider = provider(&rfc7009(idp.url()));
    assert_eq!(provider.revoke(&token("first", None)).await.verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(provider.revoke(&token("second", None)).await.verdict, Verdict::Transient);
    let connections: Vec<_> = idp.ledger().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0]);
}

#[tokio::test]
async fn a_server_that_closes_after_each_response_sees_one_request_an_attempt() {
    let idp = ScriptedIdp::start(|_| Reply::status(200).then_close()).await;
    let provider = provider(&rfc7009(idp.url()));
    for attempt in 1..=20 {
        // Whether the client has seen the close in time decides between yes and another try; never between
        // one request and two.
        let answer = provider.revoke(&token(TOKEN, None)).await;
        let reached = idp.ledger().len();
        assert!(reached <= attempt, "{reached} requests in {attempt} attempts");
        assert!(matches!(answer.verdict, Verdict::Done(Proof::Accepted) | Verdict::Transient));
    }
    assert!(!idp.ledger().is_empty());
}

#[tokio::test]
async fn an_attempt_works_in_whatever_environment() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    assert_eq!(revoke(&rfc7009(idp.url())).await.verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(idp.ledger().len(), 1);
}

/// The environment belongs to the process, so the test above runs once more in a child with proxies set.
#[tokio::test]
async fn proxies_from_the_environment_are_ignored() {
    let proxy = ScriptedIdp::start(|_| Reply::status(502)).await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "faults::an_attempt_works_in_whatever_environment"])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, proxy.url());
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    assert_eq!(proxy.ledger().len(), 0);
}

/// Heads that a strict parser refuses, before an empty body.
fn odd_heads() -> Vec<String> {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\n{{}}");
    let many: String = (0..300).map(|number| format!("X-Trace-{number}: a\r\n")).collect();
    vec![
        head("Content-Security-Policy: default-src 'self';\r\n  script-src 'none'\r\n"),
        head("Set-Cookie: a=b;\r\n\tPath=/\r\n"),
        head("X-Folded: a\r\n b\r\n c\r\n"),
        head("X-Blank : a\r\n"),
        head("X-Blank\t: a\r\n"),
        head(&many),
        head("Transfer-Encoding: identity\r\n"),
        head("transfer-encoding:  Identity \r\n"),
        head("X Bad Name: a\r\n"),
        head("(x): a\r\n"),
        head("X-Bytes: a\u{1}b\r\n"),
        head("X-Latin: é\r\n"),
        head("no colon at all\r\n"),
        head("Content-Length: 2\r\n"),
        head("X-Empty:\r\n"),
        head("X-Folded:\r\n\t\r\n"),
        head(&format!("Set-Cookie: {}\r\n", "a".repeat(20_000))),
        format!("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n{}", head("")),
        format!("HTTP/1.1 100 Continue\r\n\r\n{}", head("X-Folded: a\r\n b\r\n")),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Folded: a\r\n \
            b\r\n\r\n2;ext=\"a\"\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 200 OK\nX-Folded: a\n b\nX-Blank : c\nContent-Length: 2\n\n{}".to_owned(),
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}".to_owned(),
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 Ça va\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0002 \r\n{}\r\n000\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\n{}\r\n0;b\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        head(": no name\r\n"),
        head("Transfer-Encoding:\r\n"),
        head("Content-Length:\t2 \r\n"),
        head("Content-Type: \u{7f}\r\n"),
        head("Content-Encoding: identity\r\nContent-Encoding: identity\r\n"),
        head("Date: never\r\nRetry-After: soon\r\n"),
    ]
}

#[tokio::test]
async fn odd_headers_do_not_hide_the_answer() {
    for head in odd_heads() {
        let sent = head.clone();
        let idp = ScriptedIdp::start(move |_| Reply::raw(sent.clone())).await;
        let config = ProviderConfig { timeout: Duration::from_secs(2), ..rfc7009(idp.url()) };
        let answer = revoke(&config).await;
        assert_eq!(answer.verdict, Verdict::Done(Proof::Accepted), "{head:?}: {:?}", answer.error);
    }
}

#[tokio::test]
async fn a_challenge_of_a_firewall_is_no_yes() {
    let challenges: [fn() -> Reply; 4] = [
        || Reply::status(202).header("x-amzn-waf-action", "challenge"),
        || Reply::status(200).header("X-Amzn-Waf-Action", "captcha").body("{}"),
        || Reply::status(200).header("cf-mitigated", "challenge"),
        || Reply::json(200, r#"{"success":true}"#).header("CF-Mitigated", "challenge"),
    ];
    for challenge in challenges {
        let idp = ScriptedIdp::start(move |_| challenge()).await;
        for config in [rfc7009(idp.url()), baanx(idp.url())] {
            let answer = revoke(&config).await;
            let error = answer.error.unwrap();
            assert_eq!(answer.verdict, Verdict::Transient, "{error}");
            assert!(error.contains("a firewall's challenge is no yes"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_folded_header_is_read_and_not_dropped() {
    for header in ["Retry-After:\r\n 7\r\n", "Retry-After :\t7\r\n", "Retry-After:  \r\n\t 7\r\nX: y\r\n"] {
        let idp = ScriptedIdp::start(move |_| {
            Reply::raw(format!("HTTP/1.1 503 Busy\r\n{header}Content-Length: 0\r\n\r\n"))
        })
        .await;
        let answer = revoke(&rfc7009(idp.url())).await;
        assert_eq!(
            (answer.verdict, answer.retry_after),
            (Verdict::Transient, Some(Duration::from_secs(7))),
            "{header:?}"
        );
    }
}

#[tokio::test]
async fn what_stays_unreadable_is_told_to_a_person() {
    let unreadable = [
        "HTTP/2 200 OK\r\n\r\n",
        "<html>HTTP/0.9</html>",
        "HTTP/1.1 2OO OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\n{}\n0\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ];
    for bytes in unreadable {
        let idp = ScriptedIdp::start(move |_| Reply::garbage(bytes)).await;
        let (provider, target, other) =
            (provider(&rfc7009(idp.url())), token(TOKEN, None), token("other", None));
        for attempt in 1..=5 {
            assert!(!provider.is_unreadable(&target), "{bytes} {attempt}");
            let answer = provider.revoke(&target).await;
            let error = answer.error.unwrap();
            assert!(
                answer.verdict == Verdict::Transient
                    && error.contains("no readable HTTP")
                    && error.contains("may have worked"),
                "{error}"
            );
        }
        assert!(provider.is_unreadable(&target) && !provider.is_unreadable(&other), "{bytes}");
    }
}

#[tokio::test]
async fn a_call_that_is_not_answered_at_all_is_no_unreadable_one() {
    for reply in [
        Reply::close as fn() -> Reply,
        || Reply::status(200).reset(),
        || Reply::status(503),
        || Reply::json(200, "{}").truncated(),
    ] {
        let idp = ScriptedIdp::start(move |_| reply()).await;
        let (provider, target) = (provider(&rfc7009(idp.url())), token(TOKEN, None));
        for _ in 0..6 {
            assert_eq!(provider.revoke(&target).await.verdict, Verdict::Transient);
        }
        assert!(!provider.is_unreadable(&target));
    }
}
