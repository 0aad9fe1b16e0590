//! `revocation_endpoint` from the issuer's metadata.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use revocation_worker::config::{DiscoveryConfig, KindConfig, ProviderConfig, Verify};
use revocation_worker::outcome::{Answer, Proof, Verdict};
use revocation_worker::provider::Probed;
use revocation_worker::target::Scope;

use crate::scripted_idp::{Memory, Reply, Request, ScriptedIdp};
use crate::settings::{TOKEN, config, oauth_server, provider, revoke, token};

const OPENID: &str = "/realms/a/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server/realms/a";

fn issuer(base: &str) -> String {
    format!("{base}/realms/a")
}

fn discovering(base: &str) -> ProviderConfig {
    ProviderConfig { issuer: Some(issuer(base)), ..config(KindConfig::Rfc7009(oauth_server())) }
}

/// The provider's URL as the client sees it.
fn base(request: &Request) -> String {
    format!("http://{}", request.header("host").expect("HTTP/1.1 has a host"))
}

fn metadata(request: &Request) -> Reply {
    let base = base(request);
    let endpoints =
        format!(r#""revocation_endpoint":"{base}/revoke","introspection_endpoint":"{base}/introspect""#);
    Reply::json(
        200,
        format!(
            r#"{{"issuer":"{}",{endpoints},"revocation_endpoint_auth_methods_supported":["none"]}}"#,
            issuer(&base)
        ),
    )
}

fn paths(idp: &ScriptedIdp) -> Vec<String> {
    idp.ledger().iter().map(|request| request.path.clone()).collect()
}

#[tokio::test]
async fn the_endpoint_is_found_once_and_kept() {
    let idp = ScriptedIdp::start(
        |request| if request.path == OPENID { metadata(request) } else { Reply::status(200) },
    )
    .await;
    let provider = provider(&discovering(idp.url()));
    for _ in 0..2 {
        assert_eq!(provider.revoke(&token(TOKEN, None)).await.verdict, Verdict::Done(Proof::Accepted));
    }
    assert_eq!(paths(&idp), [OPENID, "/revoke", "/revoke"]);
    // The metadata lists only `none`; the configured method is what counts.
    assert!(idp.ledger()[1].header("authorization").is_some());
}

#[tokio::test]
async fn the_oauth_document_serves_where_there_is_no_openid_one() {
    let idp = ScriptedIdp::start(|request| match request.path.as_str() {
        OPENID => Reply::status(404),
        OAUTH => metadata(request),
        _ => Reply::status(200),
    })
    .await;
    assert_eq!(revoke(&discovering(idp.url())).await.verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(paths(&idp), [OPENID, OAUTH, "/revoke"]);
}

#[tokio::test]
async fn an_endpoint_that_moved_is_found_again() {
    let moved = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&moved);
    let idp = ScriptedIdp::start(move |request| match request.path.as_str() {
        OPENID => metadata(request),
        _ if (1..=2).contains(&seen.fetch_add(1, SeqCst)) => Reply::status(404),
        _ => Reply::status(200),
    })
    .await;
    let provider = provider(&discovering(idp.url()));
    for verdict in [Verdict::Done(Proof::Accepted), Verdict::Doubted] {
        assert_eq!(provider.revoke(&token(TOKEN, None)).await.verdict, verdict);
    }
    // A token of somebody else may be answered so, too: the metadata is in doubt only once a probe is.
    assert!(matches!(provider.try_credentials(Scope::Token).await, Some(Probed::Refused { .. })));
    assert_eq!(provider.revoke(&token(TOKEN, None)).await.verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(paths(&idp), [OPENID, "/revoke", "/revoke", "/revoke", OPENID, "/revoke"]);
}

/// The answer where both documents are this; nothing may reach the revocation endpoint.
async fn answer_to(document: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Answer {
    let idp =
        ScriptedIdp::start(
            move |request| if request.method == "GET" { document(request) } else { Reply::status(200) },
        )
        .await;
    let answer = revoke(&discovering(idp.url())).await;
    assert!(idp.ledger().iter().all(|request| request.method == "GET" && request.body.is_empty()));
    answer
}

#[tokio::test]
async fn documents_that_cannot_be_used_need_a_person() {
    let with = |endpoint: &'static str| {
        move |request: &Request| {
            Reply::json(200, format!(r#"{{"issuer":"{}"{endpoint}}}"#, issuer(&base(request))))
        }
    };
    let rows = [
        (
            answer_to(|_| Reply::json(200, r#"{"issuer":"https://evil.example.com"}"#)).await,
            "its issuer is https://evil.example.com",
        ),
        (answer_to(with("")).await, "revocation_endpoint is not in it"),
        (
            answer_to(with(r#","revocation_endpoint":"http://id.example.com/revoke""#)).await,
            "revocation_endpoint is plain http",
        ),
        (answer_to(with(r#","revocation_endpoint":"/revoke""#)).await, "revocation_endpoint is no URL"),
        (answer_to(|_| Reply::status(404)).await, "answered 404"),
        (answer_to(|_| Reply::status(200).body("<html>")).await, "no metadata document there"),
        (
            answer_to(|_| Reply::status(302).header("Location", "/elsewhere")).await,
            "answered 302 to /elsewhere",
        ),
    ];
    for (answer, problem) in rows {
        let error = answer.error.unwrap();
        assert!(answer.verdict == Verdict::Misconfigured && error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn documents_that_cannot_be_fetched_are_tried_again() {
    let answers = [
        answer_to(|_| Reply::status(503).header("Retry-After", "9")).await,
        answer_to(|_| Reply::close()).await,
    ];
    assert_eq!(answers.each_ref().map(|answer| answer.verdict), [Verdict::Transient; 2]);
    assert_eq!(answers[0].retry_after.map(|delay| delay.as_secs()), Some(9));
}

#[tokio::test]
async fn attempts_that_start_together_all_arrive() {
    let idp = ScriptedIdp::start(
        |request| if request.path == OPENID { metadata(request) } else { Reply::status(200) },
    )
    .await;
    let provider = Arc::new(provider(&discovering(idp.url())));
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let provider = Arc::clone(&provider);
        attempts.spawn(async move { provider.revoke(&token(TOKEN, None)).await.verdict });
    }
    assert_eq!(attempts.join_all().await, [Verdict::Done(Proof::Accepted); 8]);
    assert_eq!(paths(&idp).iter().filter(|path| *path == "/revoke").count(), 8);
}

#[tokio::test]
async fn introspection_is_discovered_too() {
    let memory = Memory::default();
    let server = memory.clone();
    let idp =
        ScriptedIdp::start(
            move |request| if request.path == OPENID { metadata(request) } else { server.answer(request) },
        )
        .await;
    let answer = revoke(&ProviderConfig { verify: Verify::Introspect, ..discovering(idp.url()) }).await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::Verified));
    assert!(memory.is_revoked(TOKEN));
    assert_eq!(paths(&idp), [OPENID, "/introspect", "/revoke", "/introspect"]);
}

/// A provider elsewhere than the issuer, on this machine too, under the name `localhost` or by its address.
async fn elsewhere(host: &str) -> (ScriptedIdp, String) {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let port = idp.url().rsplit(':').next().unwrap().to_owned();
    (idp, format!("http://{host}:{port}"))
}

/// The answer where metadata leads to `origin`, with these settings.
async fn led_to(origin: &str, origins: &[&str], allow_private_addresses: bool) -> Answer {
    let endpoint = format!("{origin}/revoke");
    let idp = ScriptedIdp::start(move |request| {
        let issuer = issuer(&base(request));
        Reply::json(200, format!(r#"{{"issuer":"{issuer}","revocation_endpoint":"{endpoint}","introspection_endpoint":"{endpoint}"}}"#))
    })
    .await;
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let discovery = DiscoveryConfig { origins, allow_private_addresses };
    revoke(&ProviderConfig { discovery, ..discovering(idp.url()) }).await
}

#[tokio::test]
async fn metadata_cannot_send_a_token_to_another_origin() {
    for host in ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"] {
        let (idp, origin) = elsewhere(host).await;
        let answer = led_to(&origin, &["https://id.example.com"], true).await;
        let error = answer.error.unwrap();
        assert!(
            answer.verdict == Verdict::Misconfigured
                && error.contains("list its origin in discovery_origins"),
            "{error}"
        );
        assert_eq!(idp.ledger().len(), 0, "{host}");
    }
    for origin in [
        "https://evil.example.com",
        "https://127.0.0.1",
        "http://localhost:1",
        "https://id.example.com:8443",
        "https://id.example.com.",
    ] {
        let answer = led_to(origin, &["https://id.example.com"], false).await;
        assert_eq!(answer.verdict, Verdict::Misconfigured, "{origin}");
    }
}

#[tokio::test]
async fn an_origin_that_is_listed_serves_unless_it_leads_inside() {
    for host in ["localhost", "127.0.0.1"] {
        let (idp, origin) = elsewhere(host).await;
        let inside = led_to(&origin, &[&origin], false).await;
        let error = inside.error.unwrap_or_default();
        // By its address the host is the issuer's, which is configured.
        match host {
            "localhost" => assert!(
                inside.verdict == Verdict::Misconfigured && error.contains("allow_private_addresses = true"),
                "{error}"
            ),
            _ => assert_eq!(inside.verdict, Verdict::Done(Proof::Accepted)),
        }
        let before = idp.ledger().len();
        assert_eq!(led_to(&origin, &[&origin], true).await.verdict, Verdict::Done(Proof::Accepted));
        assert_eq!((before, idp.ledger().len()), (usize::from(host != "localhost"), before + 1));
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_in_every_form() {
    for origin in [
        "https://10.0.0.1",
        "https://[::ffff:169.254.169.254]",
        "https://[fd00::1]",
        "https://0x7f.2",
        "https://2130706434",
        "https://0.0.0.0",
    ] {
        let listed = url::Url::parse(origin).unwrap().origin().ascii_serialization();
        let answer = led_to(origin, &[&listed], false).await;
        let error = answer.error.unwrap();
        assert!(
            answer.verdict == Verdict::Misconfigured && error.contains("allow_private_addresses = true"),
            "{origin}: {error}"
        );
    }
}

#[tokio::test]
async fn a_configured_host_is_not_touched() {
    let (idp, origin) = elsewhere("localhost").await;
    let mut config = discovering(idp.url());
    config.discovery.origins = vec![origin.clone()];
    if let KindConfig::Rfc7009(kind) = &mut config.kind {
        kind.revocation_endpoint = Some(format!("{origin}/revoke"));
    }
    assert_eq!(revoke(&config).await.verdict, Verdict::Done(Proof::Accepted));
}

#[tokio::test]
async fn an_introspection_endpoint_elsewhere_gets_no_token_and_needs_a_person() {
    let (other, origin) = elsewhere("localhost").await;
    let idp = ScriptedIdp::start(move |request| match request.path.as_str() {
        OPENID => {
            let base = base(request);
            let endpoints = format!(
                r#""revocation_endpoint":"{base}/revoke","introspection_endpoint":"{origin}/introspect""#
            );
            Reply::json(200, format!(r#"{{"issuer":"{}",{endpoints}}}"#, issuer(&base)))
        }
        _ => Reply::status(200),
    })
    .await;
    let answer = revoke(&ProviderConfig { verify: Verify::Introspect, ..discovering(idp.url()) }).await;
    assert!(answer.verdict == Verdict::Misconfigured && answer.error.unwrap().contains("discovery_origins"));
    assert!(paths(&idp).contains(&"/revoke".to_owned()), "the token is revoked all the same");
    assert_eq!(other.ledger().len(), 0);
}
