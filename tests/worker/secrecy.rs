//! Canaries: fifty logouts, some of them refused, at a provider that repeats what it is sent; then everything
//! the worker wrote or sent is searched.
//!
//! Out of scope: RabbitMQ's data directory holds the events as they were published, tokens included, until
//! they are acknowledged and its segments are reused. That is between the publisher and the broker; what the
//! worker itself publishes is read back from the stream.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use time::OffsetDateTime;

use crate::harness::{App, CANARY, Operator, Scanner, Servers, Stage, canary_token, forms, logout};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};

/// The client secret of the harness, and the sealing key.
const SECRET: &str = "shop-secret-canary";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// Everything at its loudest, also by the modules' own names, which are more particular than a cap on the
/// library.
const LOUDEST: &str = "trace,lapin=trace,lapin::io_loop=trace,lapin::channel=trace,lapin::channels=trace,\
    lapin::frames=trace,\
    lapin::buffer=trace,amq_protocol=trace,sqlx=trace,sqlx::query=trace,hyper=trace,\
    hyper_util::client::legacy=trace,reqwest::connect=trace,rustls::client=trace";

/// A canary with characters that encodings change.
fn odd_token() -> String {
    format!("{}+/=\"\\%", canary_token())
}

/// A JWT whose signature is the canary; its claims are no secret.
fn jwt() -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!(
        "{}.{}.{}",
        part(json!({ "alg": "none" })),
        part(json!({ "sub": "user-1", "jti": "j", "exp": 4_000_000_000_u64 })),
        canary_token()
    )
}

/// Repeats what it was sent, in the clear and encoded, with an answer of every class; fails too seldom to be
/// left alone.
fn echo(number: usize, request: &Request) -> Reply {
    let token = request.field("token").unwrap_or_default();
    let authorization = request.header("authorization").unwrap_or_default();
    let encoded =
        forms(&token).into_iter().filter_map(|(_, bytes)| String::from_utf8(bytes).ok()).collect::<Vec<_>>();
    let text = format!(
        "{token} {SECRET} {authorization} {} {} {}",
        request.body,
        STANDARD.encode(&token),
        encoded.join(" ")
    );
    let spelled: String = token.chars().map(|c| format!("&#{};", u32::from(c))).collect();
    let pieces = token.as_bytes().chunks(5).map(String::from_utf8_lossy).collect::<Vec<_>>().join("</b> <b>");
    match number % 12 {
        0 => Reply::status(503).body(text),
        1 => Reply::json(400, json!({ "error": "invalid_request", "error_description": text }).to_string()),
        2 => Reply::json(400, json!({ "error": text }).to_string()),
        3 => {
            Reply::status(500).header("X-Echo", token.replace(|c: char| !c.is_ascii_graphic(), "")).body(text)
        }
        4 => Reply::garbage(text),
        5 => {
            Reply::json(400, json!({ "error": "invalid_request", "error_description": spelled }).to_string())
        }
        6 => Reply::status(400).body(format!("error=invalid_request&error_description={pieces}")),
        7 => Reply::json(400, format!(r#"{{"error":"{spelled}","message":"{pieces}"#)),
        8 => Reply::status(400).body(
            json!({ "message": pieces })
                .to_string()
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>(),
        ),
        _ => Reply::status(200).body(text),
    }
}

/// Fifty events: every third is bad, with a canary where a hurried publisher may have put it.
fn event(number: usize) -> (String, Value) {
    let mut event = logout(&number.to_string(), &odd_token(), &jwt());
    match number % 9 {
        0 => event["data"]["targets"][0]["token_type_hint"] = odd_token().into(),
        3 => event["data"]["not_before"] = odd_token().into(),
        6 => event["data"]["targets"][0]["sub"] = json!([odd_token()]),
        _ => {}
    }
    let body = event.to_string();
    (if number == 48 { body[..body.len() - 2].to_owned() } else { body }, event)
}

/// Bodies and headers of every message in the stream so far.
async fn stream(operator: &Operator) -> Vec<u8> {
    let channel = operator.channel();
    channel.basic_qos(100, BasicQosOptions::default()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let mut consumer = channel
        .basic_consume(
            "auth.invalidations.log".into(),
            "scan".into(),
            BasicConsumeOptions::default(),
            arguments,
        )
        .await
        .unwrap();
    let (began, mut everything) = (OffsetDateTime::now_utc(), Vec::new());
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.unwrap();
        everything.extend_from_slice(&delivery.data);
        everything.extend_from_slice(format!("{:?}", delivery.properties).as_bytes());
        delivery.ack(BasicAckOptions::default()).await.unwrap();
        let message: Value = serde_json::from_slice(&delivery.data).unwrap();
        let published = OffsetDateTime::parse(
            message["time"].as_str().unwrap(),
            &time::format_description::well_known::Rfc3339,
        )
        .unwrap();
        if published > began {
            break;
        }
    }
    everything
}

/// The text of every row of every table, as a dump would have it.
async fn dump(stage: &Stage) -> String {
    let tables = "SELECT to_jsonb(schemaname || '.' || tablename) FROM pg_tables WHERE schemaname IN \
        ('revocation', 'public')";
    let mut dump = String::new();
    for table in stage.rows(tables).await {
        let rows = stage.rows(&format!("SELECT to_jsonb(t::text) FROM {} t", table.as_str().unwrap())).await;
        rows.iter().for_each(|row| dump.push_str(row.as_str().unwrap()));
    }
    dump
}

#[test]
fn the_scanner_finds_a_secret_in_every_form() {
    let (planted, directory) =
        ("pl4nted+/\"T0ken", std::env::temp_dir().join(format!("scan-{}", std::process::id())));
    let scanner = Scanner::new(&["absent", planted]);
    std::fs::create_dir_all(directory.join("below")).unwrap();
    for (form, bytes) in forms(planted) {
        let text = [b"before ", &bytes[..], b" after"].concat();
        assert!(scanner.findings(&text).contains(&format!("secret 1 {form}").as_str()), "{form}");
        std::fs::write(directory.join("below/leak"), &text).unwrap();
        let (found, bytes) = scanner.findings_in(&directory);
        assert!(!found.is_empty() && bytes == u64::try_from(text.len()).unwrap(), "{form}");
    }
    std::fs::remove_dir_all(directory).unwrap();
    for before in ["", "x", "xy", "Bearer ", "shop:"] {
        let encoded = STANDARD.encode(format!("{before}{planted} and more"));
        assert!(scanner.findings(encoded.as_bytes()).iter().any(|form| form.contains("base64")), "{before}");
    }
    let debugged = format!("{:?}", planted.as_bytes());
    assert_eq!(scanner.findings(debugged.as_bytes()), ["secret 1 as a list of bytes"]);
    assert_eq!(scanner.findings(b"pl4nted+/ \"T0ken p l4nted"), [""; 0]);
}

/// On servers of its own: other tests' rows and logs are not to be searched.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_left_anywhere_in_any_form() {
    let servers = Servers::private().await;
    let stage = Stage::on(&servers).await;
    let count = std::sync::atomic::AtomicUsize::new(0);
    let idp = ScriptedIdp::start(move |request| {
        echo(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed), request)
    })
    .await;
    let setup = stage.worker(&format!("{}/revoke", idp.url())).set("REVOCATION__LOG__LEVEL", LOUDEST);
    let mut worker = setup.start().await;
    let (app, operator) = (App::connect(&stage.amqp_url).await, Operator::of(&stage).await);
    let events: Vec<_> = (0..50).map(event).collect();
    for (body, _) in &events {
        app.publish_raw(
            "auth.logout",
            body.as_bytes(),
            lapin::BasicProperties::default().with_content_type("application/json".into()),
        )
        .await;
    }
    let refused = i64::try_from((0..50).filter(|number| number % 3 == 0 || *number == 48).count()).unwrap();
    stage.wait_for_count(refused, "audit.rejected_events").await;
    let attempted = "audit.revocations WHERE attempts > 0 AND last_outcome IS NOT NULL";
    stage.wait_for_count(2 * (50 - refused), attempted).await;
    let errors =
        stage.count("audit.attempts WHERE error IS NOT NULL AND outcome IN ('transient', 'rejected')").await;
    assert!(errors > 0, "the provider's errors are on record");
    assert!(stage.count("revocation.targets WHERE sealed IS NOT NULL").await > 0, "some tokens wait, sealed");

    let scanner = Scanner::new(&[CANARY, SECRET, KEY]);
    let metrics = worker.get("/metrics").await;
    for (what, bytes) in [
        ("metrics", metrics.into_bytes()),
        ("tables", dump(&stage).await.into_bytes()),
        ("stream", stream(&operator).await),
    ] {
        assert!(bytes.len() > 1000, "{what}: there is something to search");
        assert_eq!(scanner.findings(&bytes), [""; 0], "{what}");
    }
    assert_nothing_in_the_process(&scanner, worker.pid());
    assert!(worker.stop().await.success());
    let log = worker.log();
    assert_eq!(scanner.findings(log.as_bytes()), [""; 0], "log");
    assert!(
        log.contains("event refused")
            && log.matches("\"message\":\"target\"").count() as i64 >= 2 * (50 - refused),
        "the log tells of every attempt"
    );
    assert_nothing_on_disk(&servers, &stage, &scanner).await;
}

/// Heap, WAL and logs of Postgres, and the logs of RabbitMQ; first, that a leak into them would be seen.
async fn assert_nothing_on_disk(servers: &Servers, stage: &Stage, scanner: &Scanner) {
    let planted = "pl4ntedT0ken";
    stage
        .db
        .execute(AssertSqlSafe(format!("CREATE TABLE leak AS SELECT '{planted}' AS token; DROP TABLE leak")))
        .await
        .unwrap();
    stage
        .db
        .execute(AssertSqlSafe(format!("DO $$ BEGIN RAISE WARNING 'a leak: {planted}'; END $$")))
        .await
        .unwrap();
    stage.db.execute("CHECKPOINT").await.unwrap();
    let postgres = servers.database(|postgres| postgres.data_dir());
    let place = postgres.parent().unwrap();
    let (found, _) = Scanner::new(&[planted]).findings_in(place);
    for file in ["pg_wal/", "postgres.log"] {
        assert!(
            found.iter().any(|finding| finding.contains(file)),
            "what leaks into {file} is seen: {found:?}"
        );
    }
    let (found, bytes) = scanner.findings_in(place);
    assert!(bytes > 20_000_000, "heap and WAL are searched");
    assert_eq!(found, [""; 0]);
    let logs = servers.broker(|broker| broker.log_dir());
    let (found, bytes) = scanner.findings_in(&logs);
    assert!(bytes > 1000, "the broker's log is searched");
    assert_eq!(found, [""; 0]);
}

/// What `ps` shows to every user of the machine.
fn assert_nothing_in_the_process(scanner: &Scanner, pid: u32) {
    let read = |file: &str| {
        std::fs::read(Path::new("/proc").join(pid.to_string()).join(file)).expect("read from /proc")
    };
    let line = read("cmdline");
    assert!(line.ends_with(b"run\0"));
    assert_eq!(scanner.findings(&line), [""; 0], "command line");
    assert_eq!(scanner.findings(&read("comm")), [""; 0], "name");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_from_files_are_not_in_the_environment() {
    let stage = Stage::new().await;
    let folder = std::env::temp_dir().join(format!("secrets-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let mut setup = stage.worker("http://127.0.0.1:9/revoke");
    for (name, secret) in [
        ("AMQP_URL", stage.amqp_url.clone()),
        ("DATABASE_URL", stage.database_url.clone()),
        ("SEALING_KEYS", format!("test:{KEY}=")),
        ("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", SECRET.to_owned()),
    ] {
        let file = folder.join(name);
        std::fs::write(&file, secret + "\n").unwrap();
        setup = setup.unset(name).set(&format!("{name}_FILE"), file.to_str().unwrap());
    }
    let worker =
        tokio::time::timeout(Duration::from_secs(60), setup.start()).await.expect("the worker starts");
    let environment = std::fs::read(format!("/proc/{}/environ", worker.pid())).unwrap();
    assert!(environment.windows(12).any(|part| part == b"DATABASE_URL"));
    let password = url::Url::parse(&stage.database_url).unwrap().password().unwrap().to_owned();
    assert_eq!(Scanner::new(&[SECRET, KEY, &password]).findings(&environment), [""; 0]);
    std::fs::remove_dir_all(folder).unwrap();
}
