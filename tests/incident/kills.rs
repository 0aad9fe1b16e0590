//! Workers and commands are killed at random moments; the same command again, and the workers that are left,
//! make it whole.

use std::process::{Child, Stdio};
use std::time::Duration;

use rand::Rng;

use crate::harness::{Chance, Feed, Worker, eventually};
use crate::scene::{Scene, TokenFile, all_denied, tokens};

/// `KILLS=20` for more.
fn kills() -> usize {
    std::env::var("KILLS").ok().and_then(|number| number.parse().ok()).unwrap_or(3)
}

/// Three workers, of which one at a time is killed and replaced.
struct Fleet {
    workers: [Worker; 3],
}

impl Fleet {
    async fn of(scene: &Scene) -> Self {
        Self { workers: scene.workers().await }
    }

    /// Kills any one; another starts, and is not waited for.
    fn lose_one(&mut self, scene: &Scene, chance: &mut Chance) {
        let worker = &mut self.workers[chance.gen_range(0..3)];
        worker.kill();
        *worker = scene.worker().spawn();
    }

    async fn stop(mut self) {
        for worker in &mut self.workers {
            worker.ready().await;
            assert!(worker.stop().await.success());
        }
    }
}

/// Starts a command that will be killed.
fn start(scene: &Scene, arguments: &[&str]) -> Child {
    let mut command = scene.worker().command();
    command
        .arg("incident")
        .args(arguments)
        .args(["--actor", "alice"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("start the command")
}

/// Kills it unless it has ended by itself; returns whether it was killed.
fn kill(mut command: Child) -> bool {
    drop(command.kill());
    command.wait().expect("wait for the command").code().is_none()
}

async fn wholly_revoked(scene: &Scene, feed: &Feed, tokens: &[String]) {
    all_denied(feed, tokens).await;
    scene
        .wait_for(tokens.len(), "state = 'revoked' AND denied_at IS NOT NULL AND confirmed_at IS NOT NULL")
        .await;
    scene.ends("finished").await;
    scene.each_is_on_record_once(tokens).await;
    scene.every_call_is_on_record().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how often it was killed in the middle is chance")]
async fn an_opening_that_is_killed_again_and_again_is_ended_by_the_same_command() {
    let (scene, tokens) =
        (Scene::new(Duration::from_millis(2)).await.approval_above(1_000_000), tokens(3000 + 2000 * kills()));
    let (mut fleet, mut chance) = (Fleet::of(&scene).await, Chance::new());
    let (feed, file) = (Feed::listen(&scene.stage.amqp_url).await, TokenFile::of(&tokens));
    let (order, mut killed) = (["open", "leak", "--reason", "theft", file.path()], 0);
    for _ in 0..kills() {
        let (before, more) = (feed.seen().len(), chance.gen_range(1..=8));
        let mut command = start(&scene, &order);
        eventually("some is denied", async || {
            (feed.seen().len() >= before + more || command.try_wait().expect("look").is_some()).then_some(())
        })
        .await;
        killed += usize::from(kill(command));
        fleet.lose_one(&scene, &mut chance);
    }
    println!("killed {killed} of {} times before its end", kills());
    assert!(killed > 0, "it was killed in the middle");
    let ran = scene.incident("alice", &order);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    wholly_revoked(&scene, &feed, &tokens).await;
    fleet.stop().await;
    scene.stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_that_are_killed_leave_one_state_or_the_other() {
    let (scene, tokens) = (Scene::new(Duration::from_millis(20)).await.slots(8), tokens(3000));
    let (mut fleet, mut chance) = (Fleet::of(&scene).await, Chance::new());
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    scene.open(&tokens);
    for kill_number in 0..kills() {
        let (before, more) = (scene.provider.count(), chance.gen_range(1..=200));
        eventually("it goes on", async || (scene.provider.count() >= before + more).then_some(())).await;
        for verb in ["pause", "resume"] {
            let command = start(&scene, &[verb, "leak"]);
            fleet.lose_one(&scene, &mut chance);
            kill(command);
            let state = scene.row().await["state"].clone();
            assert!(state == "running" || state == "paused", "{state} after kill {kill_number}");
            scene.steer(verb, &[]);
        }
    }
    wholly_revoked(&scene, &feed, &tokens).await;
    fleet.stop().await;
    scene.stage.queues_are_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_whose_command_is_killed_is_ended_by_the_workers() {
    let (scene, tokens) = (Scene::new(Duration::from_millis(100)).await.slots(8), tokens(8000));
    let (mut fleet, mut chance) = (Fleet::of(&scene).await, Chance::new());
    let feed = Feed::listen(&scene.stage.amqp_url).await;
    scene.open(&tokens);
    all_denied(&feed, &tokens).await;
    scene.wait_for(tokens.len(), "true").await;
    fleet.lose_one(&scene, &mut chance);
    let command = start(&scene, &["cancel", "leak", "--reason", "a mistake"]);
    eventually("it is cancelled", async || (scene.row().await["state"] == "cancelled").then_some(())).await;
    kill(command);
    fleet.lose_one(&scene, &mut chance);
    let row = scene.ends("cancelled").await;
    let number = |member: &str| row[member].as_u64().expect("a number") as usize;
    assert_eq!(number("revoked") + number("cancelled"), tokens.len(), "{row}");
    scene.each_is_on_record_once(&tokens).await;
    scene.every_call_is_on_record().await;
    fleet.stop().await;
    scene.stage.queues_are_empty().await;
}
