//! The page: what it says of a running worker, and what it never says.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::json;

use crate::harness::{App, Servers, Stage, Worker, canary_token, eventually, logout_of};
use crate::program::{feed, run};
use crate::scene::{LEAK, Scene, digest, tokens};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// Waits until a page says something; returns it.
async fn says(worker: &Worker, path: &str, wanted: &str) -> String {
    eventually(&format!("{path} says {wanted:?}"), async || {
        Some(worker.get(path).await).filter(|page| page.contains(wanted))
    })
    .await
}

/// The addresses that a page leads to, or loads.
fn links(page: &str) -> Vec<String> {
    let parts = ["href=\"", "action=\"", "src=\""].into_iter().flat_map(|name| page.split(name).skip(1));
    parts.filter_map(|rest| Some(rest.split('"').next()?.replace("&amp;", "&"))).collect()
}

/// A logout of which one token is revoked, one parked, and one waits for a retry.
async fn three_ways(stage: &Stage) -> (ScriptedIdp, Worker, [String; 3]) {
    let tokens = [canary_token(), canary_token(), canary_token()];
    let [_, foreign, unlucky] = tokens.clone();
    let idp = ScriptedIdp::start(move |request| match request.field("token") {
        Some(token) if token == foreign => Reply::status(403),
        Some(token) if token == unlucky => Reply::status(503),
        _ => Reply::status(200),
    })
    .await;
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__RETRY__INITIAL", "20s");
    let worker = setup.set("REVOCATION__RETRY__MAX", "20s").start().await;
    let targets = json!([
        { "token": tokens[0], "token_type_hint": "access_token" },
        { "token": tokens[1], "token_type_hint": "refresh_token" },
        { "token": tokens[2], "token_type_hint": "refresh_token" },
    ]);
    App::connect(&stage.amqp_url).await.publish(&logout_of("one", targets)).await;
    (idp, worker, tokens)
}

/// An id is its source's own; it is looked for in each.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_found_in_whatever_source() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let app = App::connect(&stage.amqp_url).await;
    for source in ["/apps/a", "/apps/b", "/apps/c"] {
        let mut event = logout_of("one", json!([{ "token": canary_token() }]));
        event["source"] = source.into();
        app.publish(&event).await;
    }
    stage.wait_for_count(3, "audit.revocations WHERE state = 'revoked'").await;
    for source in ["a", "b", "c"] {
        says(&worker, "/search?q=one", &format!("event?source=%2Fapps%2F{source}&amp;id=one")).await;
    }
    says(&worker, "/search?q=two", "Nothing of this id").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_may_still_work_and_tells_an_events_story() {
    let stage = Stage::new().await;
    let (_idp, worker, tokens) = three_ways(&stage).await;
    let page = says(&worker, "/", "provider main: 1 target parked").await;
    for wanted in [
        "Figures as of 20",
        "2 credentials may still work, the last until ",
        "2 targets may still get new access tokens from the provider",
        "revocation-worker audit --state parked --provider main",
        "Providers",
        "calls in the last five minutes",
        "Backlog",
        "interactive",
    ] {
        assert!(page.contains(wanted), "{wanted} in {page}");
    }
    let story = worker.get("/event?source=%2Fapps%2Fshop&id=one").await;
    for wanted in
        ["denied: verifiers were told", "HTTP 403", "HTTP 503", "revoked", "parked", "pending", "user-1"]
    {
        assert!(story.contains(wanted), "{wanted} in {story}");
    }
    for wanted in [digest(&tokens[1]), "one".to_owned()] {
        let found = worker.get(&format!("/search?q={wanted}")).await;
        assert!(found.contains("href=\"event?source=%2Fapps%2Fshop&amp;id=one\""), "{found}");
    }
    let refused = worker.get("/search?q=eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.c2lnbmF0dXJl").await;
    assert!(refused.contains("looks like a token") && !refused.contains("eyJ"), "{refused}");
    let asked = worker.get(&format!("/search?q={}", tokens[0])).await;
    for page in [&page, &story, &refused, &asked] {
        assert!(tokens.iter().all(|token| !page.contains(token.as_str())), "a token: {page}");
    }
    for (path, wanted) in [
        ("/event?source=x&id=y", "Not on record"),
        ("/incident/none", "Not on record"),
        ("/search?q=none", "Nothing of this id"),
        ("/search", "Nothing was asked for"),
    ] {
        assert!(worker.get(path).await.contains(wanted), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_read_only_and_restrained_and_works_below_a_path() {
    let stage = Stage::new().await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let client = Client::new();
    for path in ["/", "/page.css", "/incident/x", "/event?source=a&id=b", "/search?q=a"] {
        let answer = client.get(format!("{}{path}", worker.http)).send().await.expect("an answer");
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; \
            frame-ancestors 'none'";
        assert_eq!(header("content-security-policy"), policy, "{path}");
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(header(name), value, "{path}");
        }
        let page = answer.text().await.expect("text");
        assert!(!page.contains("<script") && !page.contains(" style="), "{path}");
        let base = url::Url::parse(&format!("http://proxy/ops/worker{path}")).expect("a URL");
        for link in links(&page).iter().filter(|link| !link.starts_with('#')) {
            let leads = base.join(link).expect("a link");
            assert!(
                leads.as_str().starts_with("http://proxy/ops/worker/"),
                "{path}: {link} leads to {leads}"
            );
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let refused =
                client.request(method, format!("{}{path}", worker.http)).send().await.expect("an answer");
            assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
    for path in ["/incident/", "/page.js", "/events", "/index.html"] {
        let answer = client.get(format!("{}{path}", worker.http)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let still = worker.get("/").await;
    assert!(!still.contains("http-equiv") && still.contains("href=\"?refresh=5\""), "{still}");
    let follows = worker.get("/event?source=a&id=b&refresh=7").await;
    assert!(follows.contains("<meta http-equiv=\"refresh\" content=\"7\">"), "{follows}");
    assert!(follows.contains("href=\"?source=a&amp;id=b\">Stop"), "{follows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_text_and_show_what_they_hide() {
    let stage = Stage::new().await;
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let app = App::connect(&stage.amqp_url).await;
    let long = format!("order-{}-end", "x".repeat(80));
    for (actor, shown) in [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;".to_owned()),
        ("\" autofocus onfocus=\"x", "&quot; autofocus onfocus=&quot;x".to_owned()),
        ("user\u{202e}nimda", r"user\u{202e}nimda".to_owned()),
        (&long, format!("<code class=\"whole\">{long}</code>")),
    ] {
        let id = digest(actor)[..12].to_owned();
        let mut event = logout_of(&id, json!([{ "token": canary_token() }]));
        event["data"]["actor"] = actor.into();
        app.publish(&event).await;
        let page = says(&worker, &format!("/event?source=%2Fapps%2Fshop&id={id}"), "received").await;
        assert!(page.contains(&shown), "{shown} in {page}");
        assert!(page.contains("<caption>1 target</caption>"), "{page}");
        assert!(!page.contains("<img") && !page.contains('\u{202e}'), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_incident_is_shown_with_its_end_in_sight() {
    let scene = Scene::new(Duration::from_millis(20)).await.slots(1);
    let [worker] = scene.workers().await;
    scene.open(&tokens(300));
    let page = says(&worker, "/", " a second").await;
    assert!(page.contains("href=\"incident/leak\"") && page.contains(" of 300 done"), "{page}");
    scene.steer("pause", &[]);
    let paused = says(&worker, "/", "revocation-worker incident resume leak").await;
    assert!(paused.contains("incident leak: paused"), "{paused}");
    let own = says(&worker, &format!("/incident/{LEAK}"), "pause").await;
    for wanted in
        ["theft", "alice", "bob", "By provider", "../page.css", "revocation-worker incident show leak"]
    {
        assert!(own.contains(wanted), "{wanted} in {own}");
    }
}

/// What `status` prints and the page shows are said by the same words.
#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_status_says() {
    let scene = Scene::new(Duration::ZERO).await;
    let [worker] = scene.workers().await;
    let order = ["incident", "open", LEAK, "--reason", "theft", "-"];
    let opened =
        tokio::task::block_in_place(|| feed(&mut scene.worker().command(), &order, crate::scene::A_CLIENT));
    assert_eq!(opened.code, 0, "{}", opened.stderr);
    let page = says(&worker, "/", "revocation-worker incident approve leak").await;
    let status = tokio::task::block_in_place(|| run(&mut scene.worker().command(), &["status"]));
    let first =
        status.stdout.lines().next().expect("a line").split(" since ").next().expect("its start").to_owned();
    assert!(first.starts_with("incident leak: 1 target waits") && page.contains(&first), "{first} in {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_viewers_cost_one_look_and_postgres_may_be_away() {
    let servers = Servers::own_database().await;
    let stage = Stage::on(&servers).await;
    let worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    assert_eq!(worker.metric("revocation_page_looks_total ").await, 0.0, "nobody has looked");
    says(&worker, "/", "Nothing waits at the providers").await;
    let (before, began) = (worker.metric("revocation_page_looks_total ").await, std::time::Instant::now());
    // At most 100 connections are kept: each of these has its own.
    for _viewers in 0..4 {
        let pages = (0..25).map(|_| worker.get("/"));
        assert!(futures::future::join_all(pages).await.iter().all(|page| page.contains("Nothing waits")));
    }
    let looks = worker.metric("revocation_page_looks_total ").await - before;
    assert!(looks <= 1.0 + began.elapsed().as_secs_f64(), "{looks} looks for 100 viewers");
    servers.database(|postgres| postgres.stop().expect("stop Postgres"));
    let away = says(&worker, "/", "These figures are ").await;
    assert!(away.contains("Nothing waits") && away.contains(" old."), "{away}");
    let never = worker.get("/incident/never").await;
    assert!(never.contains("There are no figures.") && never.contains("Nothing is known yet"), "{never}");
    servers.database(|postgres| postgres.restart().expect("start Postgres again"));
    eventually("the figures are new again", async || {
        (!worker.get("/").await.contains("These figures are ")).then_some(())
    })
    .await;
}

/// Who approves sees whom it logs out before: in `show`, in `approve` and on the page.
#[tokio::test(flavor = "multi_thread")]
async fn who_approves_sees_names() {
    let scene = Scene::new(Duration::ZERO).await;
    let [worker] = scene.workers().await;
    let order = ["incident", "open", LEAK, "--reason", "theft", "-"];
    let three = "{\"client_id\":\"shop\"}\n{\"client_id\":\"till\"}\n{\"iss\":\"https://a.example\"}\n";
    let opened = tokio::task::block_in_place(|| feed(&mut scene.worker().command(), &order, three));
    assert_eq!(opened.code, 0, "{}", opened.stderr);
    let names =
        "to be logged out: client shop at main, client till at main, issuer https://a.example at main";
    says(&worker, "/incident/leak", names).await;
    let show =
        tokio::task::block_in_place(|| run(&mut scene.worker().command(), &["incident", "show", LEAK]));
    assert!(show.stdout.contains(&format!("\n>>> {names}\n")), "{}", show.stdout);
    let approve = scene.approved_by_alice().await;
    assert!(approve.stdout.contains(&format!("\n{names}\n")), "{}{}", approve.stdout, approve.stderr);
}
