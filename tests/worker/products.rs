//! Providers of many products in one worker, and a declared one with the token in the path of its URL, which
//! is nowhere in what the worker writes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::json;

use crate::harness::{App, Feed, Setup, Stage, canary_token, logout_of};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};

const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

/// A kind, its settings, and the calls that it makes.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// Each kind and its settings beside the address, and the targets that it has calls for.
const KINDS: [Row; 12] = [
    ("auth0", &[("MANAGEMENT_CLIENT_ID", "m"), ("MANAGEMENT_CLIENT_SECRET", "s")], &["sid", "sub"]),
    ("google", &[], &["token"]),
    ("github", &[("CLIENT_ID", "a"), ("CLIENT_SECRET", "s")], &["token"]),
    ("slack", &[], &["token"]),
    (
        "apple",
        &[("CLIENT_ID", "a"), ("TEAM_ID", "t"), ("CLIENT_KEY_ID", "k"), ("CLIENT_PRIVATE_KEY", P256)],
        &["token"],
    ),
    (
        "cognito",
        &[
            ("CLIENT_ID", "a"),
            ("CLIENT_SECRET", "s"),
            ("REGION", "eu-west-1"),
            ("USER_POOL_ID", "p"),
            ("ACCESS_KEY_ID", "i"),
            ("ACCESS_KEY_SECRET", "s"),
        ],
        &["token", "sub"],
    ),
    ("entra", &[("CLIENT_ID", "a"), ("CLIENT_SECRET", "s"), ("TENANT_ID", "t")], &["sub"]),
    ("fusionauth", &[("API_KEY", "s")], &["token", "sub"]),
    ("clerk", &[("API_KEY", "s")], &["sid", "sub"]),
    ("workos", &[("API_KEY", "s")], &["sid", "sub"]),
    (
        "zitadel",
        &[("CLIENT_ID", "a"), ("CLIENT_SECRET", "s"), ("API_TOKEN", "s"), ("LIST_SESSIONS", "true")],
        &["token", "sid", "sub"],
    ),
    ("supabase", &[("API_KEY", "s"), ("LOGOUT_SCOPE", "global")], &["token"]),
];

/// Says yes as each product does; every third call finds it busy.
fn answer(count: &AtomicUsize, request: &Request) -> Reply {
    let path = request.path.as_str();
    if count.fetch_add(1, SeqCst) % 3 == 2 {
        return Reply::status(503).header("Retry-After", "0");
    }
    match () {
        () if path.ends_with("/token") && request.method == "POST" => {
            Reply::json(200, r#"{"access_token":"granted","expires_in":300}"#)
        }
        () if path.contains("/applications/") || path.contains("/logout") => Reply::status(204),
        () if request.method == "GET" && path.contains("/v1/sessions") => Reply::json(200, "[]"),
        () if path.ends_with("/v2/sessions/search") => {
            Reply::json(200, r#"{"details":{"timestamp":"2026-11-30T00:00:00Z"}}"#)
        }
        () if request.method == "GET" => Reply::json(200, r#"{"data":[]}"#),
        () if path.ends_with("auth.revoke") => Reply::json(200, r#"{"ok":true,"revoked":true}"#),
        () if path.ends_with("revokeSignInSessions") => Reply::json(200, r#"{"value":true}"#),
        () => Reply::json(200, "{}"),
    }
}

fn configured(stage: &Stage, idp: &ScriptedIdp) -> Setup {
    let mut setup = stage.worker("http://127.0.0.1:1/revoke");
    for (kind, settings, _) in KINDS {
        let name = |key: &str| format!("REVOCATION__PROVIDERS__{}__{key}", kind.to_uppercase());
        setup = setup.set(&name("KIND"), kind);
        let addresses: &[&str] = match kind {
            "entra" => &["LOGIN_URL", "GRAPH_URL"],
            "cognito" => &["BASE_URL", "API_URL"],
            _ => &["BASE_URL"],
        };
        for address in addresses {
            setup = setup.set(&name(address), idp.url());
        }
        for (key, value) in settings {
            setup = setup.set(&name(key), value);
        }
    }
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn every_product_ends_what_it_has_a_call_for_whatever_it_takes() {
    let stage = Stage::new().await;
    let count = AtomicUsize::new(0);
    let idp = ScriptedIdp::start(move |request| answer(&count, request)).await;
    let _worker = configured(&stage, &idp).start().await;
    let app = App::connect(&stage.amqp_url).await;
    let mut wanted = 0;
    for (kind, _, targets) in KINDS {
        let hint = if kind == "supabase" { "access_token" } else { "refresh_token" };
        let targets: Vec<_> = targets
            .iter()
            .map(|target| match *target {
                "token" => json!({ "token": canary_token(), "token_type_hint": hint }),
                other => json!({ other: format!("{kind}-1") }),
            })
            .collect();
        wanted += i64::try_from(targets.len()).unwrap();
        let mut event = logout_of(kind, json!(targets));
        event["data"]["provider"] = json!(kind);
        app.publish(&event).await;
    }
    stage
        .wait_for_count(wanted, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL")
        .await;
    assert_eq!(stage.count("audit.revocations").await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_path_of_a_url_is_nowhere_in_what_is_written() {
    let stage = Stage::new().await;
    let count = AtomicUsize::new(0);
    // Fails in every manner first, and repeats the path that it was asked for.
    let idp = ScriptedIdp::start(move |request| match count.fetch_add(1, SeqCst) {
        0 => Reply::status(503).body(format!("no {}", request.path)),
        1 => Reply::json(500, json!({ "error": request.path, "message": request.path }).to_string()),
        2 => Reply::garbage(request.path.clone()),
        3 => Reply::close(),
        4 => Reply::json(429, json!({ "message": format!("slow down, {}", request.path) }).to_string()),
        _ => Reply::status(204),
    })
    .await;
    let file = std::env::temp_dir().join(format!("http-{}.toml", uuid::Uuid::now_v7()));
    let declared = format!(
        "[providers.hub]\nkind = 'http'\n[providers.hub.token]\nmethod = 'DELETE'\n\
        url = '{}/oauth/v1/refresh-tokens/{{token}}'\nrevoked = ['204']\n",
        idp.url()
    );
    std::fs::write(&file, declared).unwrap();
    let level = "trace,hyper=trace,hyper_util=trace,hyper_util::client::legacy=trace,reqwest=trace,\
        reqwest::connect=trace";
    let setup = stage.worker("http://127.0.0.1:1/revoke").set("REVOCATION__LOG__LEVEL", level);
    let mut worker = setup.flag("--config").flag(file.to_str().unwrap()).start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let (app, token) = (App::connect(&stage.amqp_url).await, canary_token());
    let mut event = logout_of("one", json!([{ "token": token, "token_type_hint": "refresh_token" }]));
    event["data"]["provider"] = json!("hub");
    app.publish(&event).await;
    stage.wait_for_count(1, "audit.revocations WHERE state = 'revoked' AND attempts = 6").await;
    assert!(feed.messages() > 0);

    let metrics = reqwest::get(format!("{}/metrics", worker.http)).await.unwrap().text().await.unwrap();
    let rows = stage.rows("SELECT to_json(a) FROM audit.attempts a").await;
    let rows = format!("{rows:?}{:?}", stage.rows("SELECT to_json(r) FROM audit.revocations r").await);
    assert!(worker.stop().await.success());
    std::fs::remove_file(&file).unwrap();
    assert!(rows.contains("/oauth/v1/refresh-tokens/{token}"), "errors name the call: {rows}");
    for (what, text) in [("metrics", metrics), ("rows", rows), ("log", worker.log())] {
        assert!(text.len() > 100 && !text.contains(&token), "the token is in the {what}");
    }
}
