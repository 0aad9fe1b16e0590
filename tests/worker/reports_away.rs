//! The queue of verifiers' reports is on one node alone. Whatever keeps it away, logouts go on, and reports
//! come back with it.

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use revocation_worker::invalidation::Phase;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::harness::{App, Feed, Operator, Setup, Stage, canary_token, logout, status};
use crate::scripted_idp::Memory;

const QUEUE: &str = "revocation.verifiers";
const EXCHANGE: &str = "auth.verifiers";

/// What the broker says of the queue, as it does of one whose node is away: no.
#[derive(Clone, Copy, Debug)]
enum Why {
    OtherArguments,
    OtherType,
    LockedByAnother,
    NotPermitted,
    NotDeclared,
    OtherExchange,
    ExchangeNotPermitted,
}

impl Why {
    const ALL: [Self; 7] = [
        Self::OtherArguments,
        Self::OtherType,
        Self::LockedByAnother,
        Self::NotPermitted,
        Self::NotDeclared,
        Self::OtherExchange,
        Self::ExchangeNotPermitted,
    ];

    async fn arrange(self, stage: &Stage, operator: &Operator, setup: Setup) -> Setup {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let declare = async |options, arguments: &[(&str, AMQPValue)]| {
            let mut table = FieldTable::default();
            for (name, value) in arguments {
                table.insert((*name).into(), value.clone());
            }
            operator.channel().queue_declare(QUEUE.into(), options, table).await.expect("declare the queue");
        };
        match self {
            Self::OtherArguments => declare(durable, &[("x-message-ttl", AMQPValue::LongLongInt(7))]).await,
            Self::OtherType => {
                declare(durable, &[("x-queue-type", AMQPValue::LongString("quorum".into()))]).await
            }
            Self::LockedByAnother => {
                declare(QueueDeclareOptions { exclusive: true, ..Default::default() }, &[]).await
            }
            Self::NotPermitted => {
                assert!(setup.start().await.stop().await.success(), "it is there");
                let but_the_queue = r"^(?!revocation\.verifiers$)";
                let rights =
                    json!({ "configure": but_the_queue, "write": but_the_queue, "read": but_the_queue });
                return setup.set("AMQP_URL", &operator.add_limited_user(stage, "worker", rights).await);
            }
            Self::OtherExchange => {
                let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
                let arguments = FieldTable::default();
                let kind = ExchangeKind::Fanout;
                let declared =
                    operator.channel().exchange_declare(EXCHANGE.into(), kind, options, arguments).await;
                declared.expect("declare the exchange");
            }
            Self::ExchangeNotPermitted => {
                assert!(setup.start().await.stop().await.success(), "it is there");
                let but_it = r"^(?!(auth|revocation)\.verifiers$)";
                let rights = json!({ "configure": but_it, "write": but_it, "read": but_it });
                return setup.set("AMQP_URL", &operator.add_limited_user(stage, "worker", rights).await);
            }
            Self::NotDeclared => {
                assert!(setup.start().await.stop().await.success(), "it declares the rest");
                operator
                    .channel()
                    .queue_delete(QUEUE.into(), QueueDeleteOptions::default())
                    .await
                    .expect("delete the queue");
                return setup.set("REVOCATION__AMQP__DECLARE", "false");
            }
        }
        setup
    }
}

fn broker_in(report: &Value) -> &Value {
    let checks = report["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["what"] == "broker").expect("the broker's")
}

#[tokio::test(flavor = "multi_thread")]
async fn logouts_go_on_whatever_keeps_the_queue_away() {
    for why in Why::ALL {
        let (stage, memory) = (Stage::new().await, Memory::default());
        let idp = memory.serve().await;
        let operator = Operator::of(&stage).await;
        let setup = stage.worker(&format!("{}/revoke", idp.url()));
        let setup = why.arrange(&stage, &operator, setup).await;
        let mut worker = setup.start().await;
        worker.wait_for_log("session on the verifiers' reports failed").await;
        let (feed, app) = (Feed::listen(&stage.amqp_url).await, App::connect(&stage.amqp_url).await);
        app.publish(&logout("1", &canary_token(), &canary_token())).await;
        feed.wait_for(Phase::Requested, "1").await;
        stage
            .wait_for_count(2, "audit.revocations WHERE state = 'revoked' AND confirmed_at IS NOT NULL")
            .await;
        assert_eq!(worker.readiness().await, Some(200), "{why:?}");

        let checked = setup.command().args(["check", "--json"]).output().expect("run check");
        let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
        let broker = broker_in(&report);
        assert_eq!((checked.status.code(), &broker["ok"]), (Some(0), &json!(true)), "{why:?}: {report}");
        let note = broker["notes"][0].as_str().unwrap_or_default();
        assert!(
            (note.contains(QUEUE) || note.contains(EXCHANGE)) && note.contains("everything else goes on"),
            "{why:?}: {report}"
        );
        assert!(worker.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_read_once_the_queue_is_as_it_should_be() {
    let stage = Stage::new().await;
    let operator = Operator::of(&stage).await;
    let setup =
        Why::OtherArguments.arrange(&stage, &operator, stage.worker("http://127.0.0.1:9/revoke")).await;
    let worker = setup.start().await;
    worker.wait_for_log("session on the verifiers' reports failed").await;
    operator
        .channel()
        .queue_delete(QUEUE.into(), QueueDeleteOptions::default())
        .await
        .expect("delete the queue");
    App::connect(&stage.amqp_url).await.report(status("shop-api", "1"), OffsetDateTime::now_utc()).await;
    stage.wait_for_count(1, "audit.verifiers WHERE service = 'shop-api'").await;
}
