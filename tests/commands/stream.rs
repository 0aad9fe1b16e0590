//! `stream` against a transmitter that answers as the examples of SSF 1.0 do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::Issuer;
use crate::program::{Ran, bare, run};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};

const TOKEN: &str = "Bearer stream-token-canary";
const PUSH: &str = "Bearer push-secret-canary";

#[derive(Default)]
struct Streams {
    all: BTreeMap<String, Value>,
    verified: Vec<Value>,
}

/// Section 7.1 and 8.1: metadata, and the management of streams, for whoever has the token.
fn answer(url: &str, streams: &Mutex<Streams>, most: usize, request: &Request) -> Reply {
    let mut streams = streams.lock().expect("no test has panicked");
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if path == "/.well-known/ssf-configuration/tenant" {
        let metadata = json!({
            "spec_version": "1_0", "issuer": format!("{url}/tenant"), "jwks_uri": format!("{url}/jwks"),
            "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
            "configuration_endpoint": format!("{url}/ssf/stream"),
            "status_endpoint": format!("{url}/ssf/status"),
            "verification_endpoint": format!("{url}/ssf/verify"),
            "authorization_schemes": [{ "spec_urn": "urn:ietf:rfc:6749" }],
        });
        return Reply::json(200, metadata.to_string());
    }
    if request.header("authorization") != Some(TOKEN) {
        return Reply::status(401);
    }
    let id = query.strip_prefix("stream_id=").unwrap_or_default().to_owned();
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", "/ssf/stream") if streams.all.len() >= most => Reply::json(409, "{}"),
        ("POST", "/ssf/stream") => {
            let id = format!("stream-{}", streams.all.len() + 1);
            let mut delivery = body["delivery"].clone();
            if delivery["method"] == "urn:ietf:rfc:8936" {
                delivery["endpoint_url"] = json!(format!("{url}/ssf/poll/{id}"));
            }
            let asked = body["events_requested"].as_array().expect("a list");
            let stream = json!({
                "stream_id": id, "iss": format!("{url}/tenant"), "aud": ["https://shop.example.com"],
                "delivery": delivery, "events_requested": asked, "events_delivered": asked[..2],
                "events_supported": asked[..2], "description": body["description"],
            });
            streams.all.insert(id, stream.clone());
            Reply::json(201, stream.to_string())
        }
        ("GET", "/ssf/stream") => {
            Reply::json(200, json!(streams.all.values().collect::<Vec<_>>()).to_string())
        }
        ("DELETE", "/ssf/stream") if streams.all.remove(&id).is_some() => Reply::status(204),
        ("GET", "/ssf/status") => {
            let status =
                json!({ "stream_id": id, "status": "paused", "reason": "SYSTEM_DOWN_FOR_MAINTENANCE" });
            Reply::json(200, status.to_string())
        }
        ("POST", "/ssf/verify") => {
            streams.verified.push(body);
            Reply::status(204)
        }
        _ => Reply::json(404, "{}"),
    }
}

struct Scene {
    transmitter: ScriptedIdp,
    streams: Arc<Mutex<Streams>>,
}

impl Scene {
    async fn new(most: usize) -> Self {
        let (streams, address) = (Arc::<Mutex<Streams>>::default(), Arc::<Mutex<String>>::default());
        let (of_answers, of_address) = (streams.clone(), address.clone());
        let transmitter = ScriptedIdp::start(move |request| {
            let url = of_address.lock().expect("no test has panicked").clone();
            answer(&url, &of_answers, most, request)
        });
        let transmitter = transmitter.await;
        transmitter.url().clone_into(&mut address.lock().expect("no test has panicked"));
        Self { transmitter, streams }
    }

    fn run(&self, authorization: &str, arguments: &[&str]) -> Ran {
        let issuer = format!("{}/tenant", self.transmitter.url());
        let name = |key: &str| format!("REVOCATION__RECEIVE__SENDERS__SIGNALS__{key}");
        let set = [
            (name("ISSUER"), issuer.as_str()),
            (name("CLIENT_ID"), "shop"),
            (name("PROVIDER"), "main"),
            (name("STREAM_AUTHORIZATION"), authorization),
            (name("PUSH_AUTHORIZATION"), PUSH),
        ];
        let set: Vec<_> = set.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let ran = run(&mut bare(&set), arguments);
        for said in [&ran.stdout, &ran.stderr] {
            assert!(!said.contains("canary"), "a secret is told: {said}");
        }
        ran
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_made_looked_at_verified_and_deleted() {
    let scene = Scene::new(2).await;
    let run = |arguments: &[&str]| scene.run(TOKEN, arguments);
    let none = run(&["stream", "status", "signals", "--json"]);
    assert_eq!((none.code, none.json()), (0, json!({ "streams": [] })));
    let made = run(&["stream", "create", "signals", "--json"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let (made, url) = (made.json(), scene.transmitter.url());
    assert_eq!(made["stream_id"], "stream-1");
    assert_eq!(made["audience"], json!(["https://shop.example.com"]));
    assert_eq!(
        (&made["delivery"], &made["endpoint"]),
        (&json!("poll"), &json!(format!("{url}/ssf/poll/stream-1")))
    );
    assert_eq!(made["jwks_uri"], format!("{url}/jwks"));
    assert_eq!(made["not_delivered"].as_array().map(Vec::len), Some(6));
    let verified = run(&["stream", "verify", "signals", "--json"]).json();
    assert_eq!(scene.streams.lock().unwrap().verified, std::slice::from_ref(&verified));
    assert!(verified["state"].as_str().is_some_and(|state| state.len() > 20));
    let status = run(&["stream", "status", "signals"]);
    assert!(status.stdout.starts_with("stream stream-1: paused: SYSTEM_DOWN_FOR_MAINTENANCE; by poll\n"));
    // Pushed, with what was agreed on.
    let endpoint = "https://inbox.example.com/ssf/signals";
    let pushed = run(&["stream", "create", "signals", "--endpoint", endpoint]);
    assert!(pushed.stdout.contains("  audience = [\"https://shop.example.com\"]\n"), "{}", pushed.stdout);
    let delivery = scene.streams.lock().unwrap().all["stream-2"]["delivery"].clone();
    let wanted =
        json!({ "method": "urn:ietf:rfc:8935", "endpoint_url": endpoint, "authorization_header": PUSH });
    assert_eq!(delivery, wanted);
    let which = run(&["stream", "delete", "signals"]);
    assert_eq!(which.code, 1);
    assert!(which.stderr.contains("stream-1, stream-2"), "{}", which.stderr);
    let third = run(&["stream", "create", "signals"]);
    assert!(third.code == 1 && third.stderr.contains("409") && third.stderr.contains("stream delete"));
    assert_eq!(run(&["stream", "delete", "signals", "--stream", "stream-1"]).code, 0);
    let gone = run(&["stream", "delete", "signals", "--stream", "stream-1"]);
    assert!(gone.code == 1 && gone.stderr.contains("404"), "{}", gone.stderr);
    assert_eq!(run(&["stream", "delete", "signals", "--json"]).json()["stream_id"], "stream-2");
    assert!(scene.streams.lock().unwrap().all.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_with_what_to_do() {
    let scene = Scene::new(1).await;
    let refused = scene.run("Bearer other-canary", &["stream", "create", "signals"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("401") && refused.stderr.contains("stream_authorization"),
        "{}",
        refused.stderr
    );
    let unknown = scene.run(TOKEN, &["stream", "status", "other"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("configured: signals"), "{}", unknown.stderr);
    assert_eq!(scene.run(TOKEN, &["stream", "verify", "signals"]).code, 1, "there is none");
    // Credentials are not sent where the metadata alone says so, nor to another issuer.
    let elsewhere = Issuer::start().await;
    let (iss, out) = (Arc::<Mutex<String>>::default(), elsewhere.issuer().to_owned());
    let shown = iss.clone();
    let liar = ScriptedIdp::start(move |_| {
        let iss = shown.lock().expect("no test has panicked").clone();
        let endpoint = format!("{out}/stream");
        Reply::json(200, json!({ "issuer": iss, "configuration_endpoint": endpoint }).to_string())
    })
    .await;
    let name = |key: &str| format!("REVOCATION__RECEIVE__SENDERS__SIGNALS__{key}");
    let set = [name("ISSUER"), name("CLIENT_ID"), name("PROVIDER"), name("STREAM_AUTHORIZATION")];
    for (issuer, wanted) in [("https://id.example.com", "slash for slash"), (liar.url(), "discovery_origins")]
    {
        issuer.clone_into(&mut iss.lock().expect("no test has panicked"));
        let set: Vec<_> = set.iter().map(String::as_str).zip([liar.url(), "shop", "main", TOKEN]).collect();
        let ran = run(&mut bare(&set), &["stream", "create", "signals"]);
        assert!(ran.code == 1 && ran.stderr.contains(wanted), "{}", ran.stderr);
    }
    assert_eq!(elsewhere.fetches(), 0);
}
