//! The broker users that docs/permissions.sh makes: what each is for works, and what it is not for is
//! refused.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, ExchangeKind};
use revocation_verifier::{Denylist, Options, StalenessPolicy, TokenView};
use serde_json::json;

use crate::harness::{App, Issuer, Servers, Setup, Stage, canary_token, eventually, logout};
use crate::scripted_idp::Memory;

/// What a user may try at the broker.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Exchange and routing key.
    Publish(&'static str, &'static str),
    /// Anonymously to whatever has that name, by the default exchange.
    PublishInto(&'static str),
    Get(&'static str),
    Consume(&'static str),
    DeclareQueue(&'static str),
    DeclareExchange(&'static str),
    DeleteQueue(&'static str),
    DeleteExchange(&'static str),
    Purge(&'static str),
    /// Queue, exchange.
    Bind(&'static str, &'static str),
    /// In the name of somebody else.
    PublishAs(&'static str, &'static str, &'static str),
}

use Act::{
    Bind, Consume, DeclareExchange, DeclareQueue, DeleteExchange, DeleteQueue, Get, Publish, PublishAs,
    PublishInto, Purge,
};

/// What each role must not do. `own` is a queue that the role might make for itself.
const FORBIDDEN: [(&str, &[Act]); 4] = [
    (
        "producer",
        &[
            Publish("auth.events", "auth.mass_revocation"),
            Publish("auth.events", "auth.mass_revocation.cutoff"),
            Publish("auth.events", "auth.logoutx"),
            Publish("auth.invalidations", "invalidation.main.token"),
            Publish("auth.invalidations", "heartbeat"),
            Publish("auth.verifiers", "status.shop-api"),
            Publish("revocation.dead", ""),
            PublishInto("revocation.logout"),
            PublishAs("auth.events", "auth.logout", "soc"),
            Get("revocation.logout"),
            Get("revocation.dead"),
            Consume("auth.invalidations.log"),
            DeclareQueue("own"),
            DeclareExchange("own"),
            DeleteExchange("auth.events"),
            Purge("revocation.logout"),
            Bind("revocation.logout", "auth.events"),
        ],
    ),
    (
        "operator",
        &[
            Publish("auth.invalidations", "invalidation.main.token"),
            Publish("auth.invalidations", "heartbeat"),
            Publish("auth.verifiers", "status.shop-api"),
            PublishInto("revocation.mass"),
            PublishAs("auth.events", "auth.mass_revocation", "shop"),
            Get("revocation.logout"),
            Get("revocation.mass"),
            Consume("auth.invalidations.log"),
            DeclareQueue("own"),
            DeleteQueue("revocation.dead"),
            DeleteExchange("auth.events"),
            Bind("revocation.dead", "auth.events"),
        ],
    ),
    (
        "worker",
        &[
            Publish("auth.events", "auth.logout"),
            Publish("auth.events", "auth.mass_revocation"),
            Publish("auth.verifiers", "status.shop-api"),
            PublishInto("revocation.logout"),
            DeclareQueue("own"),
            DeclareQueue("auth.invalidations.other"),
            DeclareExchange("own"),
            Get("orders"),
            DeleteQueue("orders"),
            Bind("revocation.logout", "amq.topic"),
        ],
    ),
    (
        "verifier",
        &[
            Publish("auth.events", "auth.logout"),
            Publish("auth.invalidations", "invalidation.main.token"),
            Publish("auth.invalidations", "heartbeat"),
            Publish("auth.verifiers", "status.cards"),
            Publish("auth.verifiers", "status.shop-api-2"),
            Publish("auth.verifiers", "status.shopXapi"),
            PublishAs("auth.verifiers", "status.shop-api", "cards"),
            Get("revocation.logout"),
            Get("revocation.dead"),
            Get("revocation.verifiers"),
            Consume("revocation.mass"),
            DeclareQueue("own"),
            DeleteQueue("auth.invalidations.log"),
            Purge("revocation.verifiers"),
            Bind("auth.invalidations.log", "auth.events"),
        ],
    ),
];

impl Act {
    /// Does it on a channel of its own; the broker's refusal is the error.
    async fn attempt(self, connection: &Connection) -> Result<(), lapin::Error> {
        let channel = connection.create_channel().await.expect("open a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let publish = async |exchange: &str, key: &str, properties: BasicProperties| {
            let sent = channel
                .basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), b"{}", properties)
                .await?;
            sent.await.map(drop)
        };
        let (nothing, table) = (BasicProperties::default, FieldTable::default);
        match self {
            Publish(exchange, key) => publish(exchange, key, nothing()).await,
            PublishInto(queue) => publish("", queue, nothing()).await,
            PublishAs(exchange, key, user) => {
                publish(exchange, key, nothing().with_user_id(user.into())).await
            }
            Get(queue) => channel.basic_get(queue.into(), BasicGetOptions::default()).await.map(drop),
            Consume(queue) => {
                channel.basic_qos(1, Default::default()).await?;
                channel
                    .basic_consume(queue.into(), "x".into(), BasicConsumeOptions::default(), table())
                    .await
                    .map(drop)
            }
            DeclareQueue(name) => {
                channel.queue_declare(name.into(), QueueDeclareOptions::default(), table()).await.map(drop)
            }
            DeclareExchange(name) => {
                channel
                    .exchange_declare(
                        name.into(),
                        ExchangeKind::Topic,
                        ExchangeDeclareOptions::default(),
                        table(),
                    )
                    .await
            }
            DeleteQueue(name) => {
                channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.map(drop)
            }
            DeleteExchange(name) => {
                channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await
            }
            Purge(name) => channel.queue_purge(name.into(), QueuePurgeOptions::default()).await.map(drop),
            Bind(queue, exchange) => {
                channel
                    .queue_bind(
                        queue.into(),
                        exchange.into(),
                        "x".into(),
                        QueueBindOptions::default(),
                        table(),
                    )
                    .await
            }
        }
    }
}

/// Runs the script; returns the user's URL.
fn user(servers: &Servers, stage: &Stage, arguments: &[&str]) -> String {
    let mut url: url::Url = stage.amqp_url.parse().expect("a URL");
    let vhost = url.path().trim_start_matches('/').to_owned();
    let ran = servers.broker(|broker| {
        let mut script = broker
            .script(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.sh"))
            .expect("rabbitmqctl");
        run(script.args(arguments).env("RABBITMQ_VHOST", vhost), "pass word\n")
    });
    assert!(ran.0, "{arguments:?}: {}", ran.1);
    url.set_username(arguments[1]).and(url.set_password(Some("pass%20word"))).expect("credentials");
    url.to_string()
}

fn run(script: &mut Command, input: &str) -> (bool, String) {
    let mut child = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run the script");
    // It reads nothing where the user is there already.
    drop(child.stdin.take().expect("a pipe").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("wait for it");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn command(setup: &Setup, amqp_url: &str, arguments: &[&str], input: &str) -> String {
    let mut command = setup.clone().set("AMQP_URL", amqp_url).command();
    let (succeeded, said) = run(command.args(arguments), input);
    assert!(succeeded, "{arguments:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_it_is_for_and_nothing_else() {
    let servers = Servers::private().await;
    let stage = Stage::on(&servers).await;
    // Somebody else's, on the same broker.
    let administrator =
        Connection::connect(&stage.amqp_url, ConnectionProperties::default()).await.expect("connect");
    DeclareQueue("orders").attempt(&administrator).await.expect("a queue");
    let roles = [
        &["producer", "shop"][..],
        &["receiver", "inbox"],
        &["operator", "soc"],
        &["worker", "revoker"],
        &["verifier", "gate-1", "shop-api"],
    ];
    let urls = roles.map(|arguments| user(&servers, &stage, arguments));
    let [producer, receiver, operator, worker, verifier] = &urls;

    let idp = Memory::default().serve().await;
    let setup = stage
        .worker(&format!("{}/revoke", idp.url()))
        .set("AMQP_URL", worker)
        .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", "soc")
        .set("REVOCATION__LOG__LEVEL", "info");
    let running = setup.start().await;
    let denylist =
        Denylist::connect(Options::new(verifier, "shop-api", StalenessPolicy::FailClosed)).expect("options");
    eventually("the verifier is up to date", async || denylist.staleness().is_none().then_some(())).await;
    let verified = "service = 'shop-api' AND broker_user = 'gate-1' AND verified AND up_to_date";
    stage.wait_for_count(1, &format!("audit.verifiers WHERE {verified}")).await;

    let (access, app) = (canary_token(), App::connect(producer).await);
    app.publish(&logout("1", &access, &canary_token())).await;
    app.publish_raw("auth.logout.shop", b"no event", BasicProperties::default()).await;
    let revoked = "audit.revocations WHERE event_id = '1' AND state = 'revoked' AND confirmed_at IS NOT NULL";
    stage.wait_for_count(2, revoked).await;
    eventually("the token is denied", async || {
        (!denylist.check(&TokenView::bearer(&access)).is_accepted()).then_some(())
    })
    .await;
    stage.wait_for_count(1, "audit.rejected_events WHERE code = 'not_json' AND broker_user IS NULL").await;

    let listed = || command(&setup, operator, &["dead", "list"], "");
    eventually("the refused message is listed", async || listed().contains("not_json").then_some(())).await;
    command(&setup, operator, &["dead", "discard", "1", "--yes"], "");
    let event = json!({ "specversion": "1.0", "id": "2", "source": "/soc", "type": "auth.logout.v1",
        "data": { "provider": "main", "targets": [{ "token": canary_token() }] } });
    command(&setup, operator, &["submit"], &format!("{event}\n"));
    command(
        &setup,
        operator,
        &["incident", "open", "leak", "--reason", "theft", "--sub", "user-1", "--actor", "alice"],
        "",
    );
    stage.wait_for_count(1, "audit.revocations WHERE event_source = '/soc' AND state = 'revoked'").await;
    stage
        .wait_for_count(
            1,
            "audit.revocations WHERE incident = 'leak' AND sub = 'user-1' AND denied_at IS NOT NULL",
        )
        .await;
    command(&setup, worker, &["check"], "");
    let issuer = Issuer::start().await;
    let _inbox = issuer.known_to(setup.clone()).set("AMQP_URL", receiver).receive(&issuer.address).await;
    assert_eq!(issuer.send(&issuer.logout_token("j-1", "user-2")).await.expect("an answer").status(), 200);
    stage.wait_for_count(1, "audit.revocations WHERE event_id = 'op/j-1' AND denied_at IS NOT NULL").await;

    // A receiver may no more than a producer.
    let of_receiver = (&FORBIDDEN[0], receiver);
    let roles_and_urls = FORBIDDEN.iter().zip([producer, operator, worker, verifier]).chain([of_receiver]);
    for ((role, acts), url) in roles_and_urls {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("connect");
        for act in *acts {
            let refusal =
                act.attempt(&connection).await.expect_err(&format!("{role} may not {act:?}")).to_string();
            let is_forged = matches!(act, PublishAs(..)) && refusal.contains("PRECONDITION_FAILED");
            assert!(is_forged || refusal.contains("ACCESS_REFUSED"), "{role} {act:?}: {refusal}");
        }
    }
    for arguments in roles {
        user(&servers, &stage, arguments);
    }
    assert!(
        App::connect(producer).await.offer(&logout("3", &canary_token(), &canary_token())).await,
        "the same again changes nothing"
    );
    assert!(!running.log().contains("ACCESS_REFUSED"), "the worker lacked nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_takes_rights_away_again_and_refuses_what_would_be_a_pattern() {
    let servers = Servers::private().await;
    let stage = Stage::on(&servers).await;
    let (url, administrator) =
        (user(&servers, &stage, &["worker", "shop"]), App::connect(&stage.amqp_url).await);
    drop(administrator);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("connect");
    DeclareExchange("auth.events").attempt(&connection).await.expect("a worker declares");
    servers.broker(|broker| {
        broker.ctl(&["set_user_tags", "shop", "administrator", "impersonator"]).expect("tags")
    });
    user(&servers, &stage, &["producer", "shop"]);
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("connect");
    for act in [
        DeclareExchange("auth.verifiers"),
        Publish("auth.events", "auth.mass_revocation"),
        PublishAs("auth.events", "auth.logout", "soc"),
    ] {
        act.attempt(&connection).await.expect_err("a producer may not");
    }
    Publish("auth.events", "auth.logout").attempt(&connection).await.expect("a producer may");
    for arguments in [
        &["producer", ".*x|y"][..],
        &["verifier", "gate", "shop|.*"],
        &["nobody", "x"],
        &["producer"],
        &["producer", "a", "b"],
        &[],
    ] {
        let refused = servers.broker(|broker| {
            let mut script = broker
                .script(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.sh"))
                .expect("rabbitmqctl");
            run(script.args(arguments), "")
        });
        assert!(!refused.0, "{arguments:?}: {}", refused.1);
    }
}
