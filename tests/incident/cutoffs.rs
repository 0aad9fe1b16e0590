//! Cutoffs wait behind no backlog of tokens; and in an incident they move to the moment of the upstream
//! revocation.

use std::time::{Duration, Instant};

use revocation_verifier::{Claims, Denylist, NumericDate, TokenView, Verdict};
use revocation_worker::invalidation::{Entry, Phase};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::{App, Feed, Stage, Worker, canary_token, eventually, logout_of};
use crate::program::{feed as feed_program, run};
use crate::scene::{Scene, targets, tokens};
use crate::scripted_idp::Reply;

/// `CHUNKS=1000` for more: events of 200 targets each.
fn chunks() -> usize {
    std::env::var("CHUNKS").ok().and_then(|number| number.parse().ok()).unwrap_or(300)
}

/// What a service knows of a token of this user, issued then.
fn claims(sub: &str, issued: OffsetDateTime) -> Claims {
    let iat = NumericDate::from_millis((issued.unix_timestamp_nanos() / 1_000_000) as i64);
    Claims { sub: Some(sub.to_owned()), iat: Some(iat), ..Claims::default() }
}

fn is_denied(denylist: &Denylist, claims: &Claims) -> bool {
    matches!(denylist.check(&TokenView::claims(claims)), Verdict::Denied(_))
}

/// When the denial of a user was seen, and what it said.
async fn denial_of(feed: &Feed, phase: Phase, sub: &str) -> (Instant, OffsetDateTime, OffsetDateTime) {
    eventually(&format!("{sub} is seen in phase {phase:?}"), async || {
        feed.seen().into_iter().filter(|seen| seen.data.phase == phase).find_map(|seen| {
            seen.data.targets.iter().find_map(|entry| match entry {
                Entry::Subject { sub: named, not_before, expires_at, .. } if named == sub => {
                    Some((seen.at, *not_before, *expires_at))
                }
                _ => None,
            })
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a measuring test shows its figures")]
async fn a_cutoff_is_denied_within_a_second_while_hundreds_of_chunks_wait() {
    let scene = Scene::alone(Duration::from_millis(20)).await.approval_above(10000000);
    let [mut declares] = scene.workers().await;
    assert!(declares.stop().await.success());
    let app = App::connect(&scene.stage.amqp_url).await;
    for number in 0..chunks() {
        scene.publish(&app, &number.to_string(), targets(&tokens(200))).await;
    }
    let [worker] = scene.workers().await;
    let (feed, denylist) =
        (Feed::listen(&scene.stage.amqp_url).await, scene.stage.verifier("shop-api", "1").await);
    let began = Instant::now();
    let ran =
        scene.incident("alice", &["open", "takeover", "--reason", "account_takeover", "--sub", "user-1"]);
    let ordered = Instant::now();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (seen, not_before, _) = denial_of(&feed, Phase::Requested, "user-1").await;
    let (backlog, _) = app.depth("revocation.mass").await;
    println!(
        "denied {:?} after the command's start, {:?} after its end, with {backlog} events queued",
        seen - began,
        seen.saturating_duration_since(ordered)
    );
    assert!(seen < ordered + Duration::from_secs(1), "denied {:?} after the command", seen - ordered);
    assert!(backlog > 0, "the backlog was still there");
    eventually("a verifier refuses the user's tokens", async || {
        is_denied(&denylist, &claims("user-1", not_before)).then_some(())
    })
    .await;
    assert!(
        !is_denied(&denylist, &claims("user-1", not_before + Duration::from_secs(2))),
        "what the user got since is accepted"
    );
    assert!(!is_denied(&denylist, &claims("user-2", not_before)));

    const RECORD: &str =
        "SELECT to_jsonb(r) FROM audit.revocations r WHERE sub = 'user-1' AND denied_at IS NOT NULL";
    let before = eventually("it is on record", async || {
        Some(scene.stage.rows(RECORD).await).filter(|rows| !rows.is_empty())
    })
    .await;
    eventually("the other copy comes to its turn", async || {
        (app.depth("revocation.mass").await.0 == 0).then_some(())
    })
    .await;
    let again = targets(&tokens(1));
    for _ in 0..3 {
        scene.publish(&app, "again", again.clone()).await;
    }
    let duplicates = async || worker.metric("revocation_events_duplicate_total").await;
    eventually("what came after it and twice again is known", async || {
        (duplicates().await >= 2.0).then_some(())
    })
    .await;
    assert_eq!(duplicates().await, 2.0, "the broker's own copy of the cutoff is no duplicate");
    assert_eq!(
        scene.stage.rows("SELECT to_jsonb(r) FROM audit.revocations r WHERE sub = 'user-1'").await,
        before,
        "it changes nothing"
    );
    scene.steer("cancel", &["--reason", "this test has seen enough"]);
    scene.ends("cancelled").await;
}

/// A worker at a provider that ends everything of a user, and only when it is let.
async fn at_okta() -> (Scene, [Worker; 1]) {
    let scene = Scene::new(Duration::from_millis(5)).await;
    let scene = scene.at_okta();
    let worker = scene.workers().await;
    (scene, worker)
}

async fn on_record(stage: &Stage, sub: &str) -> (OffsetDateTime, OffsetDateTime, OffsetDateTime) {
    let sql = format!(
        "SELECT jsonb_build_array(r.not_before, r.revoked_at, t.deny_until) FROM audit.revocations r
         JOIN revocation.targets t ON revocation.revocation_id(t.event_id, t.ordinal) = r.revocation_id \
         WHERE r.sub = '{sub}' AND r.state = 'revoked'"
    );
    let row = eventually("it is revoked", async || stage.rows(&sql).await.into_iter().next()).await;
    let time =
        |place: usize| OffsetDateTime::parse(row[place].as_str().expect("a time"), &Rfc3339).expect("a time");
    (time(0), time(1), time(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cutoff_of_a_user_in_an_incident_moves_to_the_upstream_revocation() {
    let (scene, _worker) = at_okta().await;
    let (feed, denylist) =
        (Feed::listen(&scene.stage.amqp_url).await, scene.stage.verifier("shop-api", "1").await);
    scene.provider.turns(|_| Some(Reply::status(503)));
    let ran = scene.incident("alice", &["open", "leak", "--reason", "account_takeover", "--sub", "user-1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (_, cutoff, expires) = denial_of(&feed, Phase::Requested, "user-1").await;
    eventually("the thief has refreshed meanwhile", async || {
        (OffsetDateTime::now_utc() > cutoff + Duration::from_millis(1100)).then_some(())
    })
    .await;
    let stolen = claims("user-1", OffsetDateTime::now_utc());
    assert!(!is_denied(&denylist, &stolen), "it is younger than the event");
    scene.provider.turns(|_| Some(Reply::status(204)));
    let (_, moved, moved_expires) = denial_of(&feed, Phase::Confirmed, "user-1").await;
    let (not_before, revoked_at, deny_until) = on_record(&scene.stage, "user-1").await;
    assert!(
        moved > cutoff + Duration::from_secs(1) && moved_expires > expires,
        "{cutoff} to {moved}, until {expires} to {moved_expires}"
    );
    // Messages have milliseconds, the record microseconds.
    for (name, one, other) in [
        ("not_before", not_before, moved),
        ("revoked_at", revoked_at, moved),
        ("deny_until", deny_until, moved_expires),
    ] {
        assert!(
            (one - other).abs() < Duration::from_millis(1),
            "{name}: {one} on record, {other} in the message"
        );
    }
    eventually("a verifier refuses what the thief has", async || is_denied(&denylist, &stolen).then_some(()))
        .await;
    assert!(
        !is_denied(&denylist, &claims("user-1", moved + Duration::from_secs(2))),
        "what the user got since is accepted"
    );
    scene.ends("finished").await;
}

/// On an operator's machine whose clock is off. Without the database, that clock is all there is, and a
/// remark says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_default_cutoff_of_an_order_is_by_the_databases_clock() {
    let (scene, _worker) = at_okta().await;
    let away = "postgres://nobody@127.0.0.1:9/nothing";
    for ahead in [-300, 600, -86_400_i64] {
        for database in [Some("there"), Some(away), None] {
            let setup = scene.worker().clone().ahead(ahead);
            let setup = match database {
                Some("there") => setup,
                Some(url) => setup.set("DATABASE_URL", url),
                None => setup.unset("DATABASE_URL"),
            };
            let (sub, name) = (
                format!("user{ahead}{}", database.unwrap_or("-").len()),
                format!("i{ahead}{}", database.unwrap_or("-").len()),
            );
            let order = ["incident", "open", &name, "--reason", "theft", "--sub", &sub];
            let ran = tokio::task::block_in_place(|| run(&mut setup.command(), &order));
            let now = OffsetDateTime::now_utc();
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            let sql = format!("SELECT to_jsonb(not_before) FROM audit.revocations WHERE sub = '{sub}'");
            let told =
                eventually("it is on record", async || scene.stage.rows(&sql).await.into_iter().next()).await;
            let told = OffsetDateTime::parse(told.as_str().expect("a time"), &Rfc3339).expect("a time");
            // A worker holds what lies ahead at the receipt.
            let off = if database == Some("there") { 0 } else { ahead.min(0) };
            assert!(
                (told - now - time::Duration::seconds(off)).abs() < time::Duration::seconds(5),
                "{ahead} {database:?}: {told} at {now}"
            );
            let is_told = ran.stderr.contains("cutoffs are by this machine's clock");
            assert_eq!(is_told, database != Some("there"), "{}", ran.stderr);
            if database == Some("there") {
                tokio::task::block_in_place(|| run(&mut setup.ahead(0).command(), &order));
                assert_eq!(
                    scene.stage.count(&format!("audit.revocations WHERE sub = '{sub}'")).await,
                    1,
                    "the same order"
                );
            }
        }
    }
    let tokens = tokio::task::block_in_place(|| {
        let setup = scene.worker().clone().unset("DATABASE_URL");
        feed_program(
            &mut setup.command(),
            &["incident", "open", "i", "--reason", "theft", "-"],
            &format!("{{\"token\":\"{}\"}}\n", canary_token()),
        )
    });
    assert_eq!((tokens.code, tokens.stderr.contains("clock")), (0, false), "{}", tokens.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cutoff_of_a_logout_stays_where_it_is() {
    let (scene, _worker) = at_okta().await;
    let (feed, denylist) =
        (Feed::listen(&scene.stage.amqp_url).await, scene.stage.verifier("shop-api", "1").await);
    scene.provider.turns(|_| Some(Reply::status(204)));
    App::connect(&scene.stage.amqp_url)
        .await
        .publish(&logout_of("1", json!([{ "sub": "user-1" }, { "token": canary_token() }])))
        .await;
    let (_, cutoff, expires) = denial_of(&feed, Phase::Requested, "user-1").await;
    let (_, confirmed, confirmed_expires) = denial_of(&feed, Phase::Confirmed, "user-1").await;
    assert_eq!((confirmed, confirmed_expires), (cutoff, expires));
    assert_eq!(on_record(&scene.stage, "user-1").await.0, cutoff);
    eventually("older tokens are refused", async || {
        is_denied(&denylist, &claims("user-1", cutoff)).then_some(())
    })
    .await;
    assert!(
        !is_denied(&denylist, &claims("user-1", OffsetDateTime::now_utc())),
        "the user may be signed in again"
    );
}
