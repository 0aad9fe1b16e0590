//! The recipes of docs/gateways: those that can be run are, as they stand there; of the others the questions
//! are asked as they ask them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::{Client, Method, RequestBuilder};
use revocation_sandbox::Nginx;

use crate::consumer::skipped;
use crate::gate::{Gate, header};
use crate::harness::{App, Stage, Worker, canary_token, eventually, free_port, logout};
use crate::scripted_idp::{Memory, Reply, ScriptedIdp};

/// How a gateway asks, by its documentation or as it was seen to.
struct Asks {
    file: &'static str,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    /// What it hands over of the request's body.
    body: &'static str,
    /// Whether it takes this status for a yes.
    is_yes: fn(u16) -> bool,
}

const FORWARDED: &[(&str, &str)] = &[
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-host", "shop.example.com"),
    ("x-forwarded-method", "POST"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-uri", "/orders?page=1"),
];

fn gateways() -> [Asks; 8] {
    let is_success = |status| (200..300).contains(&status);
    let asks = |file, method, path, headers, is_yes| Asks { file, method, path, headers, body: "", is_yes };
    let is_ok = |status| status == 200;
    let envoys = &[("content-length", "0"), ("x-envoy-internal", "true")];
    [
        asks("nginx.conf", Method::GET, "/check", &[("x-original-uri", "/orders?page=1")], is_success),
        asks("envoy.yaml", Method::POST, "/check/orders?page=1", envoys, is_ok),
        asks("traefik.yaml", Method::GET, "/check", FORWARDED, is_success),
        asks("oauth2-proxy.conf", Method::GET, "/check", &[("x-forwarded-access-token", "x")], is_success),
        asks("istio.yaml", Method::DELETE, "/check/", envoys, is_ok),
        asks("kong.yaml", Method::GET, "/check", &[], |status| status == 204),
        asks("apisix.yaml", Method::GET, "/check", FORWARDED, |status| status < 300),
        Asks {
            // The method is the request's; what a client sends besides is not read.
            body: "an order",
            ..asks("oathkeeper.yaml", Method::POST, "/check/oathkeeper", &[], is_ok)
        },
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gateways")
}

fn recipe(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A worker, a gate, and a token that was logged out.
struct Scene {
    _stage: Stage,
    _worker: Worker,
    _idp: ScriptedIdp,
    gate: Gate,
    revoked: String,
}

impl Scene {
    async fn set() -> Self {
        let (stage, idp) = (Stage::new().await, Memory::default().serve().await);
        let worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
        let gate = Gate::start(&stage, "fail_closed");
        gate.wait_for_readiness(200, "ready").await;
        let revoked = canary_token();
        App::connect(&stage.amqp_url).await.publish(&logout("1", &revoked, &canary_token())).await;
        let url = format!("http://{}/check", gate.address);
        eventually("the gate denies it", async || {
            let answer = Client::new().get(&url).bearer_auth(&revoked).send().await.ok()?;
            (answer.status() == 401).then_some(())
        })
        .await;
        Self { _stage: stage, _worker: worker, _idp: idp, gate, revoked }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_answers_each_gateway_in_words_that_it_knows() {
    let scene = Scene::set().await;
    let page = recipe("README.md");
    for Asks { file, method, path, headers, body, is_yes } in gateways() {
        let text = recipe(file);
        assert!(page.contains(&format!("]({file})")) && text.contains("9310"), "{file}");
        let way =
            ["/check/oathkeeper", "/check"].into_iter().find(|way| path.starts_with(way)).expect("a way");
        assert!(text.contains(way), "{file} asks {way}");
        let ask = |token: Option<&str>| {
            let url = format!("http://{}{path}", scene.gate.address);
            let request = Client::new().request(method.clone(), url).body(body);
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            token.into_iter().fold(request, RequestBuilder::bearer_auth).send()
        };
        let allowed = ask(Some(&canary_token())).await.expect("an answer");
        assert!(is_yes(allowed.status().as_u16()), "{file}: {}", allowed.status());
        for (token, verdict) in [(Some(scene.revoked.as_str()), "denied"), (None, "unauthenticated")] {
            let refused = ask(token).await.expect("an answer");
            assert!(!is_yes(refused.status().as_u16()) && refused.status() == 401, "{file}: {verdict}");
            assert_eq!(header(refused.headers(), "x-revocation-verdict"), [verdict], "{file}");
            assert_eq!(header(refused.headers(), "www-authenticate").len(), 1, "{file}");
        }
    }
    let told = std::fs::read_dir(folder()).expect("the recipes").count() - 1;
    assert_eq!(told, gateways().len(), "each recipe is asked for");
}

/// A gateway that was fetched, as a process of its own. Dropping it kills it.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Its program: where `./dev gateways` puts it, else on the PATH.
fn program(fetched: &str, name: &str) -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/gateways").join(fetched);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    std::iter::once(fetched).chain(on_path).find(|program| program.is_file())
}

/// The recipe with the addresses of this scene. Envoy has host and port apart.
fn adapted(file: &str, addresses: &[(&str, &str)]) -> String {
    addresses.iter().fold(recipe(file), |text, (example, real)| {
        let apart = |address: &str| address.replace(':', ", port_value: ");
        let (example, real) = match text.contains(&apart(example)) {
            true => (apart(example), apart(real)),
            false => ((*example).to_owned(), (*real).to_owned()),
        };
        assert!(text.contains(&example), "{file} names {example}");
        text.replace(&example, &real)
    })
}

/// Says with which token a request comes.
type Present = fn(RequestBuilder, &str) -> RequestBuilder;

/// Of a service behind a gateway, a client sees what the gate allows; and while the gate is away, nothing.
async fn stands_before(front: &str, scene: Scene, service: &ScriptedIdp, present: Present, away: u16) {
    let url = format!("{front}/orders?page=1");
    let ask = |token: &str| present(Client::new().post(&url).body("an order"), token).send();
    let token = canary_token();
    let allowed = eventually("it is let through", async || {
        let answer = ask(&token).await.ok()?;
        (answer.status() == 200).then_some(answer)
    })
    .await;
    drop(allowed);
    let reached = service.ledger().pop().expect("the service was asked");
    assert_eq!((reached.path.as_str(), reached.body.as_str()), ("/orders?page=1", "an order"));
    assert_eq!(reached.header("authorization"), Some(format!("Bearer {token}").as_str()));
    let asked = service.ledger().len();
    let refused = ask(&scene.revoked).await.expect("an answer");
    assert_eq!(refused.status(), 401, "{front}");
    let challenge = header(refused.headers(), "www-authenticate");
    assert!(challenge.iter().any(|words| words.contains("the token was revoked")), "{challenge:?}");
    scene.gate.stop().await;
    let refused = ask(&token).await.expect("an answer");
    assert_eq!(refused.status(), away, "{front}: the gate is away");
    assert_eq!(service.ledger().len(), asked, "nothing of it reached the service");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_oauth2_proxy_the_users_access_token_is_asked_about() {
    let (scene, service) = (Scene::set().await, ScriptedIdp::start(|_| Reply::status(200)).await);
    let (gate, behind) = (scene.gate.address.clone(), service.url().trim_start_matches("http://").to_owned());
    let nginx = tokio::task::spawn_blocking(move || {
        Nginx::start(|front| {
            let addresses = [
                ("127.0.0.1:9310", gate.as_str()),
                ("127.0.0.1:8000", &behind),
                ("listen 127.0.0.1:8080", ""),
            ];
            let listen = format!("listen {front}");
            adapted(
                "oauth2-proxy.conf",
                &addresses.map(|(example, real)| match real {
                    "" => (example, listen.as_str()),
                    real => (example, real),
                }),
            )
        })
    });
    let nginx = nginx.await.expect("no panic").expect("start nginx");
    let present: Present = |request, token| request.header("x-forwarded-access-token", token);
    stands_before(&nginx.url(), scene, &service, present, 500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_behind_each_gateway_that_is_here_refuses_what_was_revoked() {
    type Start = fn(&Path, &Path, &str) -> Command;
    let envoy: Start = |program, file, _| {
        let mut command = Command::new(program);
        command.arg("-c").arg(file).args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]);
        command
    };
    let traefik: Start = |program, file, front| {
        let mut command = Command::new(program);
        command.arg(format!("--entrypoints.web.address={front}"));
        command.arg(format!("--providers.file.filename={}", file.display()));
        command
    };
    for (file, fetched, name, start, away) in [
        ("envoy.yaml", "envoy/_bin/envoy", "envoy", envoy, 403),
        ("traefik.yaml", "bin/traefik", "traefik", traefik, 500),
    ] {
        let Some(program) = program(fetched, name) else {
            skipped(&format!("{name} is not on this machine; ./dev gateways fetches it"));
            continue;
        };
        let (scene, port) = (Scene::set().await, free_port());
        let front = port.address();
        let service = ScriptedIdp::start(|_| Reply::status(200)).await;
        let behind = service.url().trim_start_matches("http://").to_owned();
        let mut addresses =
            vec![("127.0.0.1:9310", scene.gate.address.as_str()), ("127.0.0.1:8000", &behind)];
        if name == "envoy" {
            addresses.push(("127.0.0.1:8080", &front));
        }
        let place = std::env::temp_dir().join(format!("revocation-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("a folder");
        let configuration = place.join(file);
        std::fs::write(&configuration, adapted(file, &addresses)).expect("write the configuration");
        let mut command = start(&program, &configuration, &front);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let proxy = Proxy(command.spawn().expect("start it"));
        let front = format!("http://{front}");
        let present: Present = |request, token| request.bearer_auth(token);
        stands_before(&front, scene, &service, present, away).await;
        drop(proxy);
        std::fs::remove_dir_all(&place).expect("remove the folder");
    }
}
