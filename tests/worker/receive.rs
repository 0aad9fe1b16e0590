//! Logouts by HTTP in the form of OpenID Connect Back-Channel Logout, through `receive` into the record.

use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::{App, Feed, Issuer, Operator, Setup, Stage, eventually};
use crate::scripted_idp::{Reply, ScriptedIdp};
use revocation_worker::invalidation::{Entry, Phase};

/// A worker for the events, and the settings of a receiver with `issuer` as its sender.
async fn settled(stage: &Stage, issuer: &Issuer) -> (Setup, Setup) {
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    let receiver = issuer.known_to(worker.clone());
    (worker, receiver)
}

/// The queues without anybody who takes from them.
async fn undisturbed(stage: &Stage, worker: &Setup) -> Operator {
    assert!(worker.start().await.stop().await.success());
    Operator::of(stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_ends_as_a_denial_on_record_and_comes_once() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = settled(&stage, &issuer).await;
    let _worker = worker.start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let mut receiver = receiver.receive(&issuer.address).await;

    let token = issuer.logout_token("j-1", "user-1");
    for _ in 0..3 {
        let answer = issuer.send(&token).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.text().await.expect("a body"), "");
    }
    let seen = feed.wait_for(Phase::Requested, "op/j-1").await;
    let [Entry::Subject { sub, iss, .. }] = &seen.data.targets[..] else { panic!("one subject") };
    assert_eq!((sub.as_str(), iss.as_deref()), ("user-1", Some(issuer.issuer())));
    // A session of a user is no more than that session.
    let mut of_session = issuer.claims("j-2", "user-2");
    of_session["sid"] = json!("s-2");
    assert_eq!(issuer.send(&issuer.token("logout+jwt", &of_session)).await.expect("an answer").status(), 200);
    stage.wait_for_count(2, "audit.revocations WHERE denied_at IS NOT NULL").await;
    let rows = stage
        .rows(
            "SELECT jsonb_build_object('id', event_id, 'source', event_source, 'kind', target_kind,
                 'sub', sub, 'sid', sid, 'reason', reason, 'actor', actor)
             FROM audit.revocations ORDER BY event_id",
        )
        .await;
    let row = |id: &str, kind: &str, sub: &str, sid: Option<&str>| {
        json!({
            "id": id, "source": issuer.issuer(), "kind": kind, "sub": sub, "sid": sid,
            "reason": "backchannel_logout", "actor": "op",
        })
    };
    assert_eq!(
        rows,
        [row("op/j-1", "subject", "user-1", None), row("op/j-2", "session", "user-2", Some("s-2"))]
    );
    assert_eq!(issuer.fetches(), 1, "keys are kept");
    assert!(receiver.get("/metrics").await.contains(
        r#"revocation_receiver_inputs_total{sender="op",input="backchannel_logout",result="published"} 4"#
    ));
    assert!(receiver.stop().await.success());
    assert!(!receiver.log().contains(&token), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_such_request_is_answered_by_the_standard() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = settled(&stage, &issuer).await;
    let operator = undisturbed(&stage, &worker).await;
    let receiver = receiver
        .set("REVOCATION__RECEIVE__SENDERS__OP__MAY_ORDER", "sid")
        .set("REVOCATION__RECEIVE__SENDERS__OP__ORDERS_PER_MINUTE", "1");
    let _receiver = receiver.receive(&issuer.address).await;
    let (client, at) = (reqwest::Client::new(), |path: &str| format!("http://{}{path}", issuer.address));
    let post = |body: String, media: &'static str| {
        client.post(at("/backchannel-logout/op")).header("content-type", media).body(body)
    };
    let (form, token) = ("application/x-www-form-urlencoded", issuer.logout_token("j-1", "user-1"));
    for (what, request, status) in [
        ("another sender", client.post(at("/backchannel-logout/other")).form(&[("a", "b")]), 404),
        ("another input", client.post(at("/logout/op")), 404),
        ("no path", client.post(at("/")), 404),
        ("GET", client.get(at("/backchannel-logout/op")), 405),
        ("JSON", post(format!(r#"{{"logout_token":"{token}"}}"#), "application/json"), 400),
        ("no token", post("token=x".to_owned(), form), 400),
        ("two tokens", post(format!("logout_token={token}&logout_token={token}"), form), 400),
        ("a token too long", post(format!("logout_token={}", "x".repeat(16 * 1024 + 1)), form), 400),
        ("a body too long", post("x".repeat(1024 * 1024 + 1), form), 400),
        ("a user, where only sessions may end", post(format!("logout_token={token}"), form), 400),
    ] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{what}");
        if status == 400 {
            assert_eq!(answer.headers()["cache-control"], "no-store", "{what}");
            let body: Value = answer.json().await.expect("JSON");
            assert_eq!(body["error"], "invalid_request", "{what}");
            assert!(body["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
        }
    }
    // None of these was an order, so the one that may come within a minute still may.
    let session = |jti: &str| {
        let mut claims = issuer.claims(jti, "user-1");
        claims["sid"] = json!("s-1");
        issuer.token("logout+jwt", &claims)
    };
    assert_eq!(issuer.send(&session("j-2")).await.expect("an answer").status(), 200);
    let over = issuer.send(&session("j-3")).await.expect("an answer");
    assert_eq!(over.status(), 429);
    assert!(over.headers().contains_key("retry-after"));
    // The order, and what was refused, for the record.
    operator.wait_for_ready(1 + 6, "revocation.logout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_through_the_issuer_and_fetched_anew_for_a_key_that_is_not_known() {
    let stage = Stage::new().await;
    let issuer = Issuer::start().await;
    let (worker, receiver) = settled(&stage, &issuer).await;
    let operator = undisturbed(&stage, &worker).await;
    // Another issuer: its metadata names its keys, and the second time it has one key more.
    let (first, second) = (issuer.signer.public("k0"), issuer.signer.public("k1"));
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let discovered = ScriptedIdp::start(move |request| {
        let url = format!("http://{}", request.header("host").unwrap_or_default());
        match request.path.as_str() {
            "/.well-known/openid-configuration" => {
                Reply::json(200, json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string())
            }
            "/keys" => {
                let is_first = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
                let keys = if is_first { json!([first]) } else { json!([first, second]) };
                Reply::json(200, json!({ "keys": keys }).to_string())
            }
            _ => Reply::status(404),
        }
    })
    .await;
    let receiver = receiver
        .unset("REVOCATION__RECEIVE__SENDERS__OP__JWKS_URI")
        .set("REVOCATION__RECEIVE__SENDERS__OP__ISSUER", discovered.url());
    let receiver = receiver.receive(&issuer.address).await;
    let mut claims = issuer.claims("j-1", "user-1");
    claims["iss"] = json!(discovered.url());
    let signed = |kid: &str| {
        issuer.signer.sign(&json!({ "alg": "ES256", "kid": kid }).to_string(), &claims.to_string())
    };
    for (kid, status) in [("k0", 200), ("k1", 200), ("k2", 400), ("k1", 200)] {
        assert_eq!(issuer.send(&signed(kid)).await.expect("an answer").status(), status, "{kid}");
    }
    let fetches = || discovered.ledger().iter().filter(|request| request.path == "/keys").count();
    assert_eq!(fetches(), 3, "once at first, once for k1, once for k2");
    // Whatever comes, they are not fetched for each token: the sender is told to wait.
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses
            .push(issuer.send(&signed(&format!("x{number}"))).await.expect("an answer").status().as_u16());
    }
    assert_eq!(statuses.last(), Some(&503), "{statuses:?}");
    assert_eq!(fetches(), 6);
    assert_eq!(issuer.send(&signed("k1")).await.expect("an answer").status(), 200, "known keys go on");
    let refused = 1 + statuses.iter().filter(|status| **status == 400).count();
    let published = 4 + u32::try_from(refused).expect("a few");
    operator.wait_for_ready(published, "revocation.logout").await;
    assert_eq!(receiver.readiness().await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_queue_takes_it_the_sender_is_told_to_come_again() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = settled(&stage, &issuer).await;
    undisturbed(&stage, &worker).await;
    let app = App::connect(&stage.amqp_url).await;
    app.delete_queue("revocation.logout").await;
    let receiver = receiver.receive(&issuer.address).await;
    let token = issuer.logout_token("j-1", "user-1");
    let answer = issuer.send(&token).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let _worker = worker.start().await;
    eventually("it is taken", async || (issuer.send(&token).await.ok()?.status() == 200).then_some(())).await;
    stage.wait_for_count(1, "audit.revocations WHERE event_id = 'op/j-1'").await;
    assert!(receiver.log().contains("request to be sent again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_cannot_place_keys_where_they_are_not_expected() {
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = settled(&stage, &issuer).await;
    let operator = undisturbed(&stage, &worker).await;
    // Its metadata leads to the keys of another origin.
    let elsewhere = issuer.issuer().to_owned();
    let discovered = ScriptedIdp::start(move |request| {
        let url = format!("http://{}", request.header("host").unwrap_or_default());
        Reply::json(200, json!({ "issuer": url, "jwks_uri": format!("{elsewhere}/jwks") }).to_string())
    })
    .await;
    let mut claims = issuer.claims("j-1", "user-1");
    claims["iss"] = json!(discovered.url());
    let token = issuer.token("logout+jwt", &claims);
    let name = |key: &str| format!("REVOCATION__RECEIVE__SENDERS__OP__{key}");
    let receiver = receiver.unset(&name("JWKS_URI")).set(&name("ISSUER"), discovered.url());
    let listed = receiver.clone().set(&name("DISCOVERY_ORIGINS"), issuer.issuer());
    for (setup, status, fetches) in [(receiver, 503, 0), (listed, 200, 1)] {
        let mut running = setup.receive(&issuer.address).await;
        assert_eq!(issuer.send(&token).await.expect("an answer").status(), status);
        assert_eq!(issuer.fetches(), fetches);
        assert!(running.stop().await.success());
    }
    operator.wait_for_ready(1, "revocation.logout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_are_on_record_and_junk_is_counted() {
    const JUNK: usize = 10_000;
    const MOST_ROWS: i64 = 200;
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let (worker, receiver) = settled(&stage, &issuer).await;
    let _worker = worker.start().await;
    let mut receiver = receiver.receive(&issuer.address).await;
    let mut claims = issuer.claims("j-1", "user-1");
    claims["aud"] = json!("others");
    let token = issuer.token("logout+jwt", &claims);
    assert_eq!(issuer.send(&token).await.expect("an answer").status(), 400);
    let row =
        "SELECT jsonb_build_array(queue, code, detail, body_sha256, body_bytes) FROM audit.rejected_events";
    stage.wait_for_count(1, "audit.rejected_events").await;
    let body = format!("logout_token={token}");
    let sha256 = revocation_worker::visible::hex(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes()).as_ref(),
    );
    let detail =
        "sender op by backchannel_logout: foreign_audience: aud names neither this receiver nor its client";
    assert_eq!(
        stage.rows(row).await,
        [json!(["revocation.logout", "not_allowed", detail, sha256, body.len()])]
    );
    // A flood has a few rows, and a number.
    let junk = futures::stream::iter(0..JUNK).map(|_| issuer.send("junk")).buffer_unordered(64);
    let refused = junk.map(|answer| answer.expect("an answer").status() == 400);
    assert!(refused.collect::<Vec<_>>().await.into_iter().all(|is_refused| is_refused));
    assert!(receiver.stop().await.success(), "it tells the rest before it ends");
    let counted = "SELECT to_jsonb(coalesce(sum(coalesce(
            substring(detail FROM '(\\d+) more requests')::bigint, 1)), 0)::bigint) FROM audit.rejected_events
         WHERE code = 'bad_signature'";
    eventually("each of them is counted", async || {
        (stage.rows(counted).await == [json!(JUNK)]).then_some(())
    })
    .await;
    assert!(stage.count("audit.rejected_events").await < MOST_ROWS);
    let operator = Operator::of(&stage).await;
    operator.wait_for_ready(0, "revocation.dead").await;
    operator.wait_for_ready(0, "revocation.logout").await;
    assert!(!receiver.log().contains(&token), "a token is in the log");
}
