//! The worker against a real authorization server, npm's `oidc-provider`. The big round: `USERS=1000 cargo
//! test --all-features --test provider oidc`.

use std::sync::OnceLock;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use revocation_sandbox::Token;
use revocation_sandbox::{OidcProvider, SandboxError, Tokens};
use revocation_worker::invalidation::Phase;
use sqlx::Row;

use crate::harness::{App, Feed, Stage, eventually, logout};

/// Requests under way at once while tokens are issued or introspected.
const AT_ONCE: usize = 8;

fn users() -> usize {
    std::env::var("USERS").map_or(50, |users| users.parse().expect("USERS is a number"))
}

/// The server that all tests share.
fn oidc() -> &'static OidcProvider {
    static SHARED: OnceLock<OidcProvider> = OnceLock::new();
    SHARED.get_or_init(|| OidcProvider::start().expect("start oidc-provider"))
}

async fn log_in(oidc: &OidcProvider, users: usize) -> Vec<Tokens> {
    let logins =
        stream::iter((0..users).map(|user| async move { oidc.issue(&format!("user-{user}")).await }));
    logins.buffer_unordered(AT_ONCE).try_collect().await.expect("issue tokens")
}

fn all(tokens: &[Tokens]) -> impl Iterator<Item = &Token> {
    tokens.iter().flat_map(|tokens| [&tokens.access, &tokens.refresh])
}

/// How many of the tokens the server calls active.
async fn active(oidc: &OidcProvider, tokens: &[Tokens]) -> usize {
    let answers = stream::iter(all(tokens)).map(async |token| oidc.introspect(token).await);
    let answers: Result<Vec<bool>, SandboxError> = answers.buffer_unordered(AT_ONCE).try_collect().await;
    answers.expect("introspect").into_iter().filter(|active| *active).count()
}

async fn log_out(stage: &Stage, tokens: &[Tokens]) {
    let app = App::connect(&stage.amqp_url).await;
    for (user, Tokens { access, refresh }) in tokens.iter().enumerate() {
        app.publish(&logout(&format!("logout-{user}"), access.expose(), refresh.expose())).await;
    }
}

/// Every row of every table of the program, as text.
async fn dump(stage: &Stage) -> String {
    let tables = sqlx::query(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = \
            'revocation'",
    );
    let tables: Vec<String> =
        tables.fetch_all(&stage.db).await.expect("list tables").iter().map(|row| row.get(0)).collect();
    let mut text = String::new();
    for table in tables {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t")))
            .fetch_all(&stage.db)
            .await
            .expect("dump");
        rows.iter().for_each(|row| text.push_str(row.get(0)));
    }
    text
}

/// The bodies of the first `count` messages of the stream.
async fn stream_bodies(stage: &Stage, count: usize) -> String {
    let connection = Connection::connect(&stage.amqp_url, ConnectionProperties::default())
        .await
        .expect("connect to the broker");
    let channel = connection.create_channel().await.expect("open a channel");
    channel.basic_qos(200, BasicQosOptions::default()).await.expect("set the prefetch");
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let consumer = channel.basic_consume(
        "auth.invalidations.log".into(),
        "scan".into(),
        BasicConsumeOptions::default(),
        arguments,
    );
    let deliveries = consumer.await.expect("read the stream").take(count);
    let fold = deliveries.try_fold(String::new(), async |mut text, delivery| {
        text.push_str(std::str::from_utf8(&delivery.data).expect("UTF-8"));
        delivery.ack(BasicAckOptions::default()).await.map(|_| text)
    });
    tokio::time::timeout(crate::harness::PATIENCE, fold)
        .await
        .expect("the stream holds what was published")
        .expect("read the stream")
}

fn assert_absent(tokens: &[Tokens], place: &str, text: &str) {
    assert!(!text.is_empty(), "the scan of {place} saw something");
    assert_eq!(all(tokens).filter(|token| text.contains(token.expose())).count(), 0, "raw tokens in {place}");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the big round's figures are its result")]
async fn every_token_of_every_user_dies_and_is_nowhere_in_the_clear() {
    let (stage, oidc, users) = (Stage::new().await, oidc(), users());
    let targets = 2 * users;
    let mut worker = stage.worker_at(oidc).set("REVOCATION__LOG__LEVEL", "debug").start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let tokens = log_in(oidc, users).await;
    assert_eq!(active(oidc, &tokens).await, targets, "all tokens live before the logout");

    let started = Instant::now();
    log_out(&stage, &tokens).await;
    let published = started.elapsed();
    eventually("all targets are denied", async || {
        (feed.digests(Phase::Requested).len() == targets).then_some(())
    })
    .await;
    let denied = started.elapsed();
    let rows = i64::try_from(targets).expect("a count");
    stage
        .wait_for_count(rows, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL")
        .await;
    let recorded = started.elapsed();

    assert_eq!(active(oidc, &tokens).await, 0, "no token lives after the logout");
    assert_eq!(stage.count("audit.revocations").await, rows);
    assert_eq!(stage.count("audit.attempts WHERE outcome = 'revoked' AND http_status = 200").await, rows);
    let mut digests: Vec<_> = all(&tokens).map(|token| token.fingerprint().to_string()).collect();
    digests.sort_unstable();
    assert_eq!(feed.digests(Phase::Requested), digests);
    eventually("all targets are confirmed", async || {
        (feed.digests(Phase::Confirmed) == digests).then_some(())
    })
    .await;
    assert!(worker.stop().await.success());
    assert_absent(&tokens, "Postgres", &dump(&stage).await);
    assert_absent(&tokens, "the worker's log", &worker.log());
    assert_absent(&tokens, "the stream", &stream_bodies(&stage, feed.messages()).await);
    assert!(!worker.log().contains(oidc.client_secret()), "the client's secret is in the log");
    println!(
        "{users} users, {targets} tokens: published in {published:?}, all denied after {denied:?}, all \
            revoked and confirmed after {recorded:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_access_token_is_unsupported_and_its_refresh_token_dies() {
    let (stage, oidc) = (Stage::new().await, oidc());
    let _worker = stage.worker_at(oidc).start().await;
    let tokens = [oidc.issue_jwt("user-jwt").await.expect("issue a JWT")];
    log_out(&stage, &tokens).await;

    stage
        .wait_for_count(
            1,
            "audit.revocations WHERE token_type_hint = 'access_token' AND state = 'unsupported'",
        )
        .await;
    stage
        .wait_for_count(1, "audit.revocations WHERE token_type_hint = 'refresh_token' AND state = 'revoked'")
        .await;
    assert!(!oidc.introspect(&tokens[0].refresh).await.expect("introspect"));
    let denied =
        "audit.revocations WHERE state = 'unsupported' AND denied_at IS NOT NULL AND last_http_status = 400";
    stage.wait_for_count(1, denied).await;
    assert_absent(&tokens, "Postgres", &dump(&stage).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret_pauses_the_provider_and_burns_nothing() {
    let (stage, oidc) = (Stage::new().await, oidc());
    let mut wrong =
        stage.worker_at(oidc).set("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "wrong").start().await;
    let feed = Feed::listen(&stage.amqp_url).await;
    let tokens = log_in(oidc, 3).await;
    log_out(&stage, &tokens).await;

    stage
        .wait_for_count(
            1,
            "audit.providers WHERE provider = 'main' AND breaker = 'open' AND last_error IS NOT NULL",
        )
        .await;
    stage.wait_for_count(6, "audit.revocations WHERE state = 'pending' AND denied_at IS NOT NULL").await;
    assert_eq!(feed.digests(Phase::Requested).len(), 6, "denied although the provider is paused");
    assert_eq!(
        stage.count("revocation.targets WHERE failures > 0").await,
        0,
        "a target spent an attempt on the wrong secret"
    );
    assert_eq!(active(oidc, &tokens).await, 6);
    assert!(wrong.stop().await.success());

    let _mended = stage.worker_at(oidc).start().await;
    stage.wait_for_count(6, "audit.revocations WHERE state = 'revoked'").await;
    assert_eq!(active(oidc, &tokens).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_tokens_are_parked_and_pause_nobody() {
    let (stage, oidc) = (Stage::new().await, oidc());
    let _worker = stage.worker_at(oidc).start().await;
    let app = App::connect(&stage.amqp_url).await;
    for user in 0..5 {
        let foreign = oidc.issue_to_other(&format!("stranger-{user}")).await.expect("issue tokens");
        app.publish(&logout(&format!("foreign-{user}"), foreign.access.expose(), foreign.refresh.expose()))
            .await;
    }
    let tokens = log_in(oidc, 5).await;
    log_out(&stage, &tokens).await;

    stage.wait_for_count(10, "audit.revocations WHERE state = 'revoked' AND event_id LIKE 'logout-%'").await;
    assert_eq!(active(oidc, &tokens).await, 0);
    stage
        .wait_for_count(
            10,
            "audit.revocations WHERE state = 'parked' AND event_id LIKE 'foreign-%' AND \
        last_outcome = 'rejected'",
        )
        .await;
    assert_eq!(
        stage.count("audit.attempts WHERE outcome = 'misconfigured'").await,
        0,
        "the provider was never paused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_finds_the_endpoints_and_introspection_proves_the_end() {
    let (stage, oidc) = (Stage::new().await, oidc());
    let _worker = stage
        .worker_at(oidc)
        .set("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", "")
        .set("REVOCATION__PROVIDERS__MAIN__ISSUER", oidc.issuer())
        .set("REVOCATION__PROVIDERS__MAIN__VERIFY", "introspect")
        .start()
        .await;
    let tokens = log_in(oidc, 2).await;
    log_out(&stage, &tokens).await;

    stage.wait_for_count(4, "audit.revocations WHERE state = 'revoked'").await;
    // A refresh token's end takes the access token with it, which nobody has then seen alive before its own
    // revocation.
    assert_eq!(
        stage.count("audit.revocations WHERE proof = 'verified' AND token_type_hint = 'refresh_token'").await,
        2
    );
    assert_eq!(
        stage.count("audit.revocations WHERE proof = 'accepted' AND token_type_hint = 'access_token'").await,
        2
    );
    assert_eq!(active(oidc, &tokens).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_genauth_kind_revokes_at_the_same_routes() {
    let (stage, oidc) = (Stage::new().await, oidc());
    let app_host = oidc.issuer().strip_suffix("/oidc").expect("mounted there");
    let _worker = stage
        .worker_at(oidc)
        .set("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", "")
        .set("REVOCATION__PROVIDERS__MAIN__KIND", "genauth")
        .set("REVOCATION__PROVIDERS__MAIN__APP_HOST", app_host)
        .set("REVOCATION__PROVIDERS__MAIN__PROTOCOL", "oidc")
        .set("REVOCATION__PROVIDERS__MAIN__CLIENT_AUTH", "client_secret_post")
        .start()
        .await;
    let tokens = log_in(oidc, 2).await;
    log_out(&stage, &tokens).await;

    stage.wait_for_count(4, "audit.revocations WHERE state = 'revoked' AND proof = 'accepted'").await;
    assert_eq!(active(oidc, &tokens).await, 0);
}

/// What the demo uses where there is no Node must mean the same to the worker.
#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_kills_tokens_too() {
    let (stage, pretend) = (Stage::new().await, OidcProvider::pretend().await.expect("start the stand-in"));
    let tokens = log_in(&pretend, 2).await;
    assert_eq!(active(&pretend, &tokens).await, 4);
    let _worker = stage
        .worker_at(&pretend)
        .set("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", "")
        .set("REVOCATION__PROVIDERS__MAIN__ISSUER", pretend.issuer())
        .set("REVOCATION__PROVIDERS__MAIN__VERIFY", "introspect")
        .start()
        .await;
    log_out(&stage, &tokens).await;

    stage.wait_for_count(4, "audit.revocations WHERE state = 'revoked'").await;
    // A refresh token's end takes the access token with it, which nobody has then seen alive before its own
    // revocation.
    assert_eq!(
        stage.count("audit.revocations WHERE proof = 'verified' AND token_type_hint = 'refresh_token'").await,
        2
    );
    assert_eq!(
        stage.count("audit.revocations WHERE proof = 'accepted' AND token_type_hint = 'access_token'").await,
        2
    );
    assert_eq!(active(&pretend, &tokens).await, 0);
}
