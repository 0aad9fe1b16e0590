//! The last released version and this one, side by side on this one's schema. `./dev test` builds the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lapin::BasicProperties;
use serde_json::json;

use crate::harness::{App, Feed, Logout, Setup, Stage, Worker, canary_token, eventually};
use crate::scripted_idp::{Memory, Request, ScriptedIdp};

/// The program of the version before, as `./dev test` tells.
const RELEASED: &str = "RELEASED_WORKER";

/// Work is left whenever a test looks, however fast the machine is.
const SLOW_MS: u64 = 250;

/// So many of an incident that it is still under way when a command steers it.
const TARGETS: i64 = 600;

/// Both versions at one provider, on a schema of the version before, where an old worker is at work.
struct Upgrade {
    stage: Stage,
    memory: Memory,
    idp: ScriptedIdp,
    /// How long the provider takes for an answer.
    pace_ms: Arc<AtomicU64>,
    old: Setup,
    new: Setup,
}

#[expect(clippy::print_stdout, reason = "what is skipped is told")]
async fn upgrade() -> Option<Upgrade> {
    let Ok(program) = std::env::var(RELEASED) else {
        println!("skipped: {RELEASED} names no program of the version before; ./dev test builds it");
        return None;
    };
    let (stage, memory) = (Stage::empty().await, Memory::default());
    let remembers = memory.clone();
    let pace_ms = Arc::new(AtomicU64::new(SLOW_MS));
    let pace = pace_ms.clone();
    let answer = move |request: &Request| {
        let pause = Duration::from_millis(pace.load(Ordering::Relaxed));
        remembers.answer(request).body(".").slowly(pause)
    };
    let idp = ScriptedIdp::start(answer).await;
    let user = url::Url::parse(&stage.amqp_url).expect("a URL").username().to_owned();
    let either = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", "4")
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", &user);
    let new = either.clone().set("REVOCATION__EVIDENCE__CHECKPOINT_EVERY", "1s");
    let upgrade = Upgrade { stage, memory, idp, pace_ms, old: either.program(&program), new };
    upgrade.done_by(&upgrade.old, &["migrate"]);
    Some(upgrade)
}

impl Upgrade {
    /// What a command prints that must succeed.
    #[track_caller]
    fn done_by(&self, program: &Setup, arguments: &[&str]) -> String {
        let ran = program.command().args(arguments).output().expect("run it");
        let [said, why] = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(ran.status.success(), "{arguments:?}: {said}{why}");
        said
    }

    /// Logouts with ids from here on.
    async fn publish(&self, app: &App, from: usize, many: usize) -> Vec<Logout> {
        let mut logouts = Logout::many(many);
        for (logout, number) in logouts.iter_mut().zip(from..) {
            logout.id = number.to_string();
            app.publish(&logout.event()).await;
        }
        logouts
    }

    /// Waits until so many calls were made.
    async fn calls(&self, many: usize) {
        let ledger = || self.idp.ledger().len();
        eventually("calls are made", async || (ledger() >= many).then_some(())).await;
    }

    async fn both_took_events(&self) {
        let took = "(SELECT accepted_by FROM revocation.events GROUP BY accepted_by) s";
        assert_eq!(self.stage.count(took).await, 2, "both took events");
    }

    /// One dies with work in hand, the other ends all of it.
    async fn outlived(&self, mut dying: Worker, mut heir: Worker, logouts: &[Logout]) {
        dying.kill();
        self.pace_ms.store(1, Ordering::Relaxed);
        self.stage.all_revoked(logouts, &self.memory).await;
        assert!(heir.stop().await.success());
        self.stage.queues_are_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_worker_goes_on_while_the_schema_changes_and_a_new_one_takes_over_from_it() {
    let Some(upgrade) = upgrade().await else { return };
    let old = upgrade.old.start().await;
    let app = App::connect(&upgrade.stage.amqp_url).await;
    let feed = Feed::listen(&upgrade.stage.amqp_url).await;
    let mut logouts = upgrade.publish(&app, 1, 400).await;
    upgrade.calls(20).await;
    let said = tokio::task::block_in_place(|| upgrade.done_by(&upgrade.new, &["migrate"]));
    let calls = upgrade.idp.ledger().len();
    assert!(upgrade.stage.count("revocation.targets WHERE finished_at IS NULL").await > 0, "{said}");
    upgrade.calls(calls + 20).await;

    let new = upgrade.new.start().await;
    logouts.extend(upgrade.publish(&app, 401, 200).await);
    upgrade.calls(calls + 60).await;
    upgrade.both_took_events().await;
    assert!(upgrade.stage.count("revocation.targets WHERE lease_owner = 1").await > 0, "it dies at work");
    upgrade.outlived(old, new, &logouts).await;
    upgrade.stage.all_announced(&feed, &logouts).await;
    assert_eq!(upgrade.stage.count("audit.rejected_events").await, 0, "nothing was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_worker_starts_on_the_new_schema_and_takes_over_from_a_new_one() {
    let Some(upgrade) = upgrade().await else { return };
    upgrade.done_by(&upgrade.new, &["migrate"]);
    let newer = upgrade.done_by(&upgrade.new, &["migrate"]);
    let same = upgrade.done_by(&upgrade.old, &["migrate"]);
    assert_eq!(newer, same, "the version before leaves it as it is, and says how new it is");

    let (new, old) = (upgrade.new.start().await, upgrade.old.clone().flag("--migrate").start().await);
    let app = App::connect(&upgrade.stage.amqp_url).await;
    let feed = Feed::listen(&upgrade.stage.amqp_url).await;
    // With what only the new version knows of an event.
    let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut logouts = Logout::many(200);
    for logout in &mut logouts {
        let mut event = logout.event();
        event["traceparent"] = json!(traced);
        app.publish(&event).await;
    }
    upgrade.calls(40).await;
    upgrade.both_took_events().await;
    assert!(upgrade.stage.count("revocation.events WHERE trace IS NOT NULL").await > 0, "the new one did");
    assert!(upgrade.stage.count("revocation.targets WHERE lease_owner = 1").await > 0, "it dies at work");
    upgrade.outlived(new, old, &logouts).await;
    upgrade.stage.all_announced(&feed, &logouts).await;
}

/// An incident and the commands, each way, while both versions work.
#[tokio::test(flavor = "multi_thread")]
async fn either_version_steers_and_shows_what_the_other_began() {
    let Some(upgrade) = upgrade().await else { return };
    upgrade.pace_ms.store(40, Ordering::Relaxed);
    upgrade.done_by(&upgrade.new, &["migrate"]);
    let (mut old, mut new) = (upgrade.old.start().await, upgrade.new.start().await);
    let app = App::connect(&upgrade.stage.amqp_url).await;
    let user = app.user().to_owned();
    let publish = async |incident: &str| {
        let targets: Vec<_> = (0..TARGETS).map(|_| json!({ "token": canary_token() })).collect();
        let event = json!({
            "specversion": "1.0", "id": incident, "source": "/soc", "type": "auth.mass_revocation.v1",
            "data": { "incident": incident, "reason": "theft", "actor": "alice", "targets": targets },
        });
        let properties = BasicProperties::default().with_user_id(user.as_str().into());
        app.publish_raw("auth.mass_revocation", event.to_string().as_bytes(), properties).await;
    };
    for (incident, one, other) in
        [("leak-1", &upgrade.old, &upgrade.new), ("leak-2", &upgrade.new, &upgrade.old)]
    {
        publish(incident).await;
        let of_it = |state: &str| format!("audit.revocations WHERE incident = '{incident}' AND {state}");
        upgrade.stage.wait_for_count(TARGETS, &of_it("true")).await;
        for (program, verb) in [(one, "pause"), (other, "resume")] {
            upgrade.done_by(program, &["incident", verb, incident, "--actor", "alice"]);
        }
        for program in [one, other] {
            let shown = upgrade.done_by(program, &["incident", "show", incident]);
            assert!(shown.contains(incident), "{shown}");
        }
        upgrade.stage.wait_for_count(TARGETS, &of_it("state = 'revoked'")).await;
        let ended = format!("audit.incidents WHERE incident = '{incident}' AND finished_at IS NOT NULL");
        upgrade.stage.wait_for_count(1, &ended).await;
    }
    for program in [&upgrade.old, &upgrade.new] {
        upgrade.done_by(program, &["status"]);
        upgrade.done_by(program, &["provider", "list"]);
        let found = upgrade.done_by(program, &["audit", "--incident", "leak-1", "--csv", "--limit", "1000"]);
        assert_eq!(
            found.lines().filter(|line| line.contains(",revoked,")).count() as i64,
            TARGETS,
            "{found}"
        );
    }
    upgrade.stage.wait_for_count(1, "audit.checkpoints WHERE checkpoint_no = 2").await;
    upgrade.done_by(&upgrade.new, &["audit", "verify"]);
    assert!(old.stop().await.success() && new.stop().await.success());
    upgrade.stage.is_whole(2).await;
}
