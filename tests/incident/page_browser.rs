//! The page in a real browser: nothing runs over at any width, in either theme, and nothing is blocked.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use revocation_verifier::message::{Staleness, Status};
use time::OffsetDateTime;

use crate::harness::{App, Worker, canary_token, eventually, logout, status};
use crate::scene::{A_CLIENT, Scene, tokens};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// What the browser is asked to find out, in a copy of the page: how far anything runs over its edge, what
/// the theme is, and how the first heading looks.
const MEASURE: &str = "<script>addEventListener('load', () => {
    const root = document.documentElement, title = getComputedStyle(document.querySelector('h1'));
    root.dataset.over = root.scrollWidth - innerWidth;
    root.dataset.width = innerWidth;
    root.dataset.dark = matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.ground = getComputedStyle(document.body).backgroundColor;
    root.dataset.cut = [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, .whole')
        && e.getBoundingClientRect().right > innerWidth + 1).length;
    root.dataset.unnamed = document.querySelectorAll('svg[role=img]:not(:has(title))').length;
    root.dataset.size = title.fontSize;
})</script>";

/// Chromium, as Debian has it.
fn browser() -> Command {
    let names = ["chromium-headless-shell", "chromium"];
    let found = names.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let mut command = Command::new(found.expect("chromium-headless-shell is missing: ./dev setup"));
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
    ]);
    command
}

fn themed(command: &mut Command, width: u32, is_dark: bool) {
    command.arg(format!("--window-size={width},1600"));
    command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark)));
}

/// The page's document as the browser has it in the end.
async fn document(url: String, width: u32, is_dark: bool) -> (String, String) {
    tokio::task::spawn_blocking(move || {
        let mut command = browser();
        themed(&mut command, width, is_dark);
        let ran =
            command.args(["--enable-logging=stderr", "--dump-dom", &url]).output().expect("run the browser");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&ran.stdout), text(&ran.stderr))
    })
    .await
    .expect("the browser ends")
}

/// Copies of a worker's pages that measure themselves.
async fn measuring(worker: &Worker, pages: &[&str]) -> ScriptedIdp {
    let mut copies = Vec::new();
    for page in pages {
        let copy = worker.get(page).await;
        copies.push(((*page).to_owned(), copy.replace("</body>", &format!("{MEASURE}</body>"))));
    }
    let (copies, style) = (Arc::new(copies), worker.get("/page.css").await);
    ScriptedIdp::start(move |request| match copies.iter().find(|(path, _)| *path == request.path) {
        Some((_, copy)) => {
            Reply::status(200).header("content-type", "text/html; charset=utf-8").body(copy.clone())
        }
        None => Reply::status(200).header("content-type", "text/css").body(style.clone()),
    })
    .await
}

fn measured<'a>(document: &'a str, name: &str) -> &'a str {
    let after = document.split(&format!("data-{name}=\"")).nth(1);
    after.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no {name} in {document}"))
}

/// A worker in the middle of a bad night: an incident under way, another that waits for somebody, a refused
/// message, verifiers of which one is behind, a provider that fails now and then.
async fn bad_night() -> (Scene, Worker, App) {
    let scene = Scene::new(Duration::from_millis(20)).await.slots(1);
    let calls = AtomicUsize::new(0);
    scene
        .provider
        .turns(move |_| (calls.fetch_add(1, Ordering::Relaxed) % 9 == 8).then(|| Reply::status(503)));
    let [worker] = scene.workers().await;
    scene.open(&tokens(2000));
    let order = ["open", "shop-clients", "--reason", "theft", "-"];
    assert_eq!(scene.incident_of("alice", &order, A_CLIENT).code, 0);
    let app = App::connect(&scene.stage.amqp_url).await;
    app.publish_raw("auth.logout", b"{", Default::default()).await;
    for number in 0..40 {
        app.publish(&logout(&number.to_string(), &canary_token(), &canary_token())).await;
    }
    for (instance, behind) in [("pod-1", 0), ("pod-2", 42), ("pod-3", 1)] {
        let applied = OffsetDateTime::now_utc() - time::Duration::seconds(behind);
        let is_stale = behind > 30;
        let report = Status {
            applied_time: Some(applied),
            stale: is_stale,
            stale_reason: is_stale.then_some(Staleness::Behind),
            ..status("shop-api", instance)
        };
        app.report(report, OffsetDateTime::now_utc()).await;
    }
    for wanted in
        [" of 2,000 done", "incident approve shop-clients", "not json", "stale: behind", " a second"]
    {
        eventually(wanted, async || worker.get("/").await.contains(wanted).then_some(())).await;
    }
    (scene, worker, app)
}

/// Pictures of the page, where somebody wants to look at them: in the folder that PAGE_PICTURES names.
async fn pictured(worker: &Worker) {
    let Some(folder) = std::env::var_os("PAGE_PICTURES") else { return };
    for (width, is_dark) in [(400, false), (400, true), (1400, false), (1400, true)] {
        let theme = if is_dark { "dark" } else { "light" };
        let file = std::path::Path::new(&folder).join(format!("page-{width}-{theme}.png"));
        let url = format!("{}/", worker.http);
        let taken = tokio::task::spawn_blocking(move || {
            let mut command = browser();
            themed(&mut command, width, is_dark);
            command.arg(format!("--screenshot={}", file.display())).arg(url).output()
        });
        assert!(taken.await.expect("the browser ends").is_ok_and(|ran| ran.status.success()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_over_at_any_width_in_either_theme() {
    let (_scene, worker, _app) = bad_night().await;
    pictured(&worker).await;
    let (_, log) = document(format!("{}/", worker.http), 1400, false).await;
    assert!(!log.contains("Content Security Policy") && !log.contains("Refused"), "{log}");
    let pages = ["/", "/incident/leak"];
    let copies = measuring(&worker, &pages).await;
    let mut grounds = Vec::new();
    for page in pages {
        for (width, is_dark) in [(400, false), (400, true), (1400, false), (1400, true), (3840, false)] {
            let (document, _) = document(format!("{}{page}", copies.url()), width, is_dark).await;
            let what = format!("{page} at {width}");
            assert_eq!(measured(&document, "width"), width.to_string(), "{what}");
            assert_eq!(measured(&document, "dark"), is_dark.to_string(), "{what}");
            assert_eq!(measured(&document, "over"), "0", "{what}: something runs over");
            assert_eq!(measured(&document, "cut"), "0", "{what}: something is cut off");
            assert_eq!(measured(&document, "unnamed"), "0", "{what}: a picture without a title");
            grounds.push((is_dark, measured(&document, "ground").to_owned()));
        }
    }
    let of =
        |is_dark: bool| grounds.iter().find(|(dark, _)| *dark == is_dark).map(|(_, ground)| ground.clone());
    assert_ne!(of(true), of(false), "the themes differ");
}
