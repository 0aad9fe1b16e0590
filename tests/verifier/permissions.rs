//! What docs/verifiers.md has people type: the broker permissions of a verifier are enough, the queries run.

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use revocation_verifier::message::{Envelope, Status};
use revocation_verifier::{Denylist, Options, Staleness, StalenessPolicy, TokenView};
use serde_json::{Value, json};

use crate::harness::{App, Operator, Stage, canary_token, eventually, logout};

const PAGE: &str = include_str!("../../docs/verifiers.md");

/// As the page has them: configure, write, read.
fn documented() -> Value {
    let line = PAGE
        .lines()
        .find(|line| line.starts_with("rabbitmqctl set_permissions"))
        .expect("the line with the permissions");
    let mut quoted = line.split('\'').skip(1).step_by(2);
    let mut next = || quoted.next().expect("three patterns");
    json!({ "configure": next(), "write": next(), "read": next() })
}

fn denylist(amqp_url: &str) -> Denylist {
    Denylist::connect(Options::new(amqp_url, "shop-api", StalenessPolicy::FailClosed))
        .expect("usable options")
}

async fn wait_for_freshness(denylist: &Denylist) {
    eventually("the denylist is up to date", async || denylist.staleness().is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_allows_a_verifier_is_enough() {
    let stage = Stage::new().await;
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let operator = Operator::of(&stage).await;
    let (declared, options) = (
        QueueDeclareOptions { exclusive: true, ..Default::default() },
        BasicConsumeOptions { no_ack: true, ..Default::default() },
    );
    let name = operator
        .channel()
        .queue_declare("".into(), declared, FieldTable::default())
        .await
        .expect("declare a queue")
        .name()
        .clone();
    let bound = operator.channel().queue_bind(
        name.clone(),
        "auth.verifiers".into(),
        "status.#".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("bind the queue");
    let mut reports = operator
        .channel()
        .basic_consume(name, "reports".into(), options, FieldTable::default())
        .await
        .expect("consume");

    let denylist = denylist(&operator.add_limited_user(&stage, "limited", documented()).await);
    wait_for_freshness(&denylist).await;
    let (access, other) = (canary_token(), canary_token());
    App::connect(&stage.amqp_url).await.publish(&logout("1", &access, &canary_token())).await;
    eventually("the token is denied", async || {
        (!denylist.check(&TokenView::bearer(&access)).is_accepted()).then_some(())
    })
    .await;
    assert!(denylist.check(&TokenView::bearer(&other)).is_accepted());
    let report = reports.next().await.expect("a report").expect("a delivery");
    let report: Envelope<Status> = serde_json::from_slice(&report.data).expect("a status");
    assert_eq!(
        (report.data.service.as_str(), report.data.staleness_policy),
        ("shop-api", Some(StalenessPolicy::FailClosed))
    );
    stage
        .wait_for_count(
            1,
            "audit.verifiers WHERE service = 'shop-api' AND verified AND up_to_date AND \
            broker_user LIKE 'limited-%'",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_stream_a_verifier_is_stale() {
    let stage = Stage::new().await;
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let operator = Operator::of(&stage).await;
    let mut permissions = documented();
    permissions["read"] = json!("^$");
    let denylist = denylist(&operator.add_limited_user(&stage, "blind", permissions).await);
    eventually("the stream is refused", async || (denylist.figures().disconnects > 1).then_some(())).await;
    assert_eq!(denylist.staleness(), Some(Staleness::Disconnected));
    assert!(!denylist.check(&TokenView::bearer(&canary_token())).is_accepted());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_queries_run() {
    let stage = Stage::new().await;
    let (_, queries) = PAGE.split_once("```sql").expect("queries");
    let queries: Vec<_> = queries
        .split("```")
        .next()
        .unwrap_or_default()
        .split_inclusive(';')
        .filter(|query| query.contains("select"))
        .collect();
    assert_eq!(queries.len(), 2);
    for query in queries {
        sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&stage.db).await.expect(query);
    }
}
