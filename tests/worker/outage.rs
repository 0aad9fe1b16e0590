//! The broker or the database goes away and comes back: denials go on, nothing is lost, nothing is handed
//! back for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use revocation_worker::invalidation::Phase;
use serde_json::json;
use url::Url;

use crate::harness::{
    App, Feed, Logout, Loss, Operator, Proxy, Servers, Setup, Stage, canary_token, eventually, logout,
    logout_of, publish_stubbornly,
};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_killed_in_the_middle_of_everything() {
    let servers = Servers::private().await;
    let (stage, memory, logouts) = (Stage::on(&servers).await, Memory::default(), Logout::many(200));
    let idp = memory.serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    assert!(setup.start().await.stop().await.success());
    servers.settle_streams();
    let mut worker = setup.start().await;
    let publishing = tokio::spawn({
        let (url, logouts) = (stage.amqp_url.clone(), logouts.clone());
        async move { publish_stubbornly(&url, &logouts).await }
    });
    eventually("the worker is in the middle of it", async || (idp.ledger().len() > 50).then_some(())).await;
    servers.broker(|broker| broker.kill());
    worker.wait_for_readiness(503).await;
    servers.broker(|broker| broker.restart().expect("start the broker again"));
    publishing.await.expect("everything is confirmed");
    worker.wait_for_readiness(200).await;
    stage.all_revoked(&logouts, &memory).await;
    // A listener from now on: nothing may be wrong with the connections that came back.
    let (feed, more) = (
        Feed::listen(&stage.amqp_url).await,
        Logout { id: "after".to_owned(), ..Logout::many(1)[0].clone() },
    );
    App::connect(&stage.amqp_url).await.publish(&more.event()).await;
    feed.wait_for(Phase::Confirmed, "after").await;
    assert!(worker.stop().await.success());
    stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_queues_that_the_broker_takes_away_come_back() {
    let servers = Servers::private().await;
    let (stage, memory, logouts) = (Stage::on(&servers).await, Memory::default(), Logout::many(3));
    let idp = memory.serve().await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let vhost = Url::parse(&stage.amqp_url).expect("a URL").path().trim_start_matches('/').to_owned();

    publish_stubbornly(&stage.amqp_url, &logouts[..1]).await;
    stage.wait_for_count(2, "audit.revocations WHERE confirmed_at IS NOT NULL").await;
    servers.broker(|broker| {
        broker.ctl(&["close_all_connections", "--vhost", &vhost, "a test asks for it"]).expect("close")
    });
    publish_stubbornly(&stage.amqp_url, &logouts[1..2]).await;
    stage.wait_for_count(4, "audit.revocations WHERE confirmed_at IS NOT NULL").await;

    let app = App::connect_patiently(&stage.amqp_url).await;
    app.delete_queue("revocation.logout").await;
    let began = Instant::now();
    publish_stubbornly(&stage.amqp_url, &logouts[2..]).await;
    stage.all_revoked(&logouts, &memory).await;
    assert!(began.elapsed() < Duration::from_secs(15), "subscribed again after {:?}", began.elapsed());
    worker.wait_for_readiness(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_denied_while_postgres_is_away_and_handed_back_never() {
    let servers = Servers::own_database().await;
    let (stage, memory, logouts) = (Stage::on(&servers).await, Memory::default(), Logout::many(40));
    let idp = memory.serve().await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    publish_stubbornly(&stage.amqp_url, &logouts[..20]).await;
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    publish_stubbornly(&stage.amqp_url, &logouts[20..]).await;
    let digests = Logout::digests(&logouts);
    eventually("all are denied without Postgres", async || {
        (feed.digests(Phase::Requested) == digests).then_some(())
    })
    .await;
    worker.wait_for_readiness(503).await;
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    worker.wait_for_readiness(200).await;
    stage.all_revoked(&logouts, &memory).await;
    stage.all_announced(&feed, &logouts).await;
    assert_eq!(worker.metric("revocation_events_duplicate_total").await, 0.0, "no event was delivered twice");
    assert!(worker.stop().await.success());
    stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_killed_in_the_middle_of_everything() {
    let servers = Servers::own_database().await;
    let (stage, memory, logouts) = (Stage::on(&servers).await, Memory::default(), Logout::many(200));
    let idp = memory.serve().await;
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let publishing = tokio::spawn({
        let (url, logouts) = (stage.amqp_url.clone(), logouts.clone());
        async move { publish_stubbornly(&url, &logouts).await }
    });
    eventually("the worker is in the middle of it", async || (idp.ledger().len() > 50).then_some(())).await;
    servers.database(|postgres| postgres.kill());
    worker.wait_for_readiness(503).await;
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    publishing.await.expect("everything is confirmed");
    stage.all_revoked(&logouts, &memory).await;
    worker.wait_for_readiness(200).await;
    assert!(worker.stop().await.success());
    stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_started_first_comes_up_by_itself_and_one_that_is_stopped_last_still_ends() {
    let servers = Servers::private().await;
    let (stage, memory, logouts) = (Stage::on(&servers).await, Memory::default(), Logout::many(2));
    let idp = memory.serve().await;
    servers.broker(|broker| broker.kill());
    servers.database(|postgres| postgres.kill());
    let mut worker = stage.worker(&format!("{}/revoke", idp.url())).spawn();
    worker.wait_for_readiness(503).await;
    assert_eq!(worker.get("/healthz").await, "alive\n");
    servers.database(|postgres| postgres.restart().expect("start Postgres"));
    worker.wait_for_log("worker started").await;
    assert_eq!(worker.readiness().await, Some(503), "the broker is still away");
    servers.broker(|broker| broker.restart().expect("start the broker"));
    worker.wait_for_readiness(200).await;
    publish_stubbornly(&stage.amqp_url, &logouts[..1]).await;
    stage.all_revoked(&logouts[..1], &memory).await;

    servers.broker(|broker| broker.kill());
    servers.database(|postgres| postgres.kill());
    worker.wait_for_readiness(503).await;
    let began = Instant::now();
    assert!(worker.stop().await.success());
    assert!(
        began.elapsed() < Duration::from_secs(10 + 12),
        "grace and last writes, took {:?}",
        began.elapsed()
    );
}

/// A worker that reaches Postgres through a proxy which loses one answer.
async fn behind(stage: &Stage, idp: &ScriptedIdp, loss: Loss) -> (Proxy, Setup) {
    let mut url = Url::parse(&stage.database_url).expect("a URL");
    let server = format!("127.0.0.1:{}", url.port().expect("a port"));
    let proxy = Proxy::before(server, loss).await;
    url.set_port(Some(proxy.port)).expect("a port");
    (proxy, stage.worker(&format!("{}/revoke", idp.url())).set("DATABASE_URL", url.as_str()))
}

async fn loses_an_answer(loss: Loss, first_answer: u16) {
    let (stage, memory) = (Stage::new().await, Memory::default());
    let idp = {
        let (memory, calls) = (memory.clone(), AtomicUsize::new(0));
        ScriptedIdp::start(move |request| match calls.fetch_add(1, Ordering::SeqCst) {
            0 | 1 if first_answer != 200 => Reply::status(first_answer),
            _ => memory.answer(request),
        })
        .await
    };
    let (proxy, setup) = behind(&stage, &idp, loss).await;
    let logouts = [Logout { id: "lost-answer".to_owned(), ..Logout::many(1)[0].clone() }];
    let mut worker = setup.start().await;
    App::connect(&stage.amqp_url).await.publish(&logouts[0].event()).await;
    stage.all_revoked(&logouts, &memory).await;
    assert_eq!(proxy.lost(), 1, "an answer was lost");
    assert!(
        stage.count("audit.attempts WHERE outcome = 'unknown'").await > 0,
        "what was leased and not known of is on record"
    );
    assert!(worker.stop().await.success());
    stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_events_whose_answer_is_lost_is_found_again() {
    loses_an_answer(Loss::ToRequest("lost-answer"), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_is_lost_is_found_again() {
    loses_an_answer(Loss::OfAnswer("lost-answer"), 503).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_postgres_refuses_holds_up_no_other() {
    let (stage, calls) = (Stage::new().await, AtomicUsize::new(0));
    let idp = ScriptedIdp::start(move |_| {
        Reply::status(if calls.fetch_add(1, Ordering::SeqCst) == 7 { 503 } else { 200 })
    })
    .await;
    sqlx::query("ALTER TABLE revocation.attempts ADD CHECK (http_status <> 503)")
        .execute(&stage.db)
        .await
        .expect("add a constraint");
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    // The results of one event are recorded together.
    let tokens: Vec<_> =
        (0..20).map(|_| json!({ "token": canary_token(), "token_type_hint": "access_token" })).collect();
    App::connect(&stage.amqp_url).await.publish(&logout_of("1", tokens.into())).await;
    stage.wait_for_count(20, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL").await;
    assert_eq!(stage.count("audit.revocations WHERE attempts = 1").await, 19, "the others were tried once");
    assert_eq!(
        stage.count("audit.attempts WHERE outcome = 'unknown'").await,
        1,
        "the refused result is not on record"
    );
    stage.is_whole(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mass_revocations_by_the_logouts_key_keep_no_logout_waiting_for_a_database_that_hangs() {
    let servers = Servers::private().await;
    let (stage, memory) = (Stage::on(&servers).await, Memory::default());
    let idp = memory.serve().await;
    let soc = Operator::of(&stage).await.add_user(&stage, "soc", true).await;
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", "soc");
    let _worker = setup.start().await;
    let (app, soc, feed) =
        (App::connect(&stage.amqp_url).await, App::connect(&soc).await, Feed::listen(&stage.amqp_url).await);
    app.publish(&logout("before", &canary_token(), &canary_token())).await;
    stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked'").await;
    servers.database(|database| database.pause().expect("freeze"));
    for number in 0..40 {
        let event = json!({ "specversion": "1.0", "id": format!("mass-{number}"), "source": "/soc",
            "type": "auth.mass_revocation.v1",
            "data": { "incident": format!("leak-{number}"), "targets": [{ "token": canary_token() }] } });
        let properties = lapin::BasicProperties::default().with_user_id("soc".into());
        soc.publish_raw("auth.logout", event.to_string().as_bytes(), properties).await;
    }
    let mut times = Vec::new();
    for number in 0..9 {
        let (id, began) = (format!("logout-{number}"), Instant::now());
        app.publish(&logout(&id, &canary_token(), &canary_token())).await;
        feed.wait_for(Phase::Requested, &id).await;
        times.push(began.elapsed());
    }
    servers.database(|database| database.resume().expect("thaw"));
    stage.wait_for_count(2 + 18 + 40, "audit.revocations WHERE state = 'revoked'").await;
    times.sort_unstable();
    assert!(times[4] < Duration::from_millis(300), "each look for an incident may take 500 ms: {times:?}");
}
