//! Checkpoints of the record: what its owner changes is found, what workers and `purge` do is not.

mod changes;
mod seed;
mod workers;

use std::time::Duration;

use revocation_evidence::{Hash, SigningKey};
use revocation_worker::checkpoint::{Chain, Finding};
use revocation_worker::config::{DatabaseConfig, Secret};
use revocation_worker::store::{Look, Store};
use sqlx::Executor;
use time::OffsetDateTime;

use crate::harness::{Chance, Stage};

/// A stage whose record is covered from some time ago on, and its checkpoints' signer.
struct Record {
    stage: Stage,
    store: Store,
    key: SigningKey,
    begin: OffsetDateTime,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::new("test", &[seed; 32]).unwrap_or_else(|why| panic!("{why}"))
}

/// Statements that Postgres runs without a rule of any trigger, as only a superuser can.
pub(crate) async fn force(stage: &Stage, statements: &str) {
    let statements = format!("SET session_replication_role = replica; {statements}");
    let mut session = stage.db.acquire().await.expect("a session");
    session.close_on_drop();
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(statements.as_str())).execute(&mut *session).await;
    done.unwrap_or_else(|error| panic!("{error}: {statements}"));
}

impl Record {
    /// Covered since `begin`, an SQL time.
    async fn since(begin: &str) -> Self {
        let stage = Stage::new().await;
        let config = DatabaseConfig { url: Secret::new(stage.database_url.clone()), max_connections: 4 };
        let store = Store::new(&config).unwrap_or_else(|error| panic!("{error}"));
        force(&stage, &seed::first_checkpoint(begin)).await;
        let begin = sqlx::query_scalar("SELECT until_at FROM revocation.checkpoints");
        let begin = begin.fetch_one(&stage.db).await.expect("a time");
        Self { stage, store, key: key(7), begin }
    }

    /// A checkpoint of what lies before this many minutes after the begin.
    async fn checkpoint(&self, minute: i64) -> Option<(i64, Hash)> {
        let at = self.begin + time::Duration::minutes(minute) + time::Duration::seconds(10);
        self.look(&Look { at, writers: Vec::new() }).await
    }

    async fn look(&self, look: &Look) -> Option<(i64, Hash)> {
        let made = self.store.make_checkpoint(look, &self.key, "test", Duration::ZERO).await;
        made.unwrap_or_else(|error| panic!("{error}")).map(|made| (made.number, made.sha256))
    }

    async fn findings(&self) -> (Vec<Finding>, Option<(i64, Hash)>) {
        let trusted = Some(vec![self.key.public()]);
        let verification = self.store.verification(|within| Chain::new(trusted, within), None).await;
        let mut verification = verification.unwrap_or_else(|error| panic!("{error}"));
        let mut findings = Vec::new();
        while let Some(page) = verification.page().await.unwrap_or_else(|error| panic!("{error}")) {
            findings.extend(page.findings);
        }
        (findings, verification.chain().head())
    }
}

/// `CHANGES=1000` makes so many.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_owner_changes_is_found() {
    let record = Record::since("now() - interval '1 h'").await;
    force(&record.stage, &seed::hour("now() - interval '1 h'")).await;
    let mut last = None;
    for minute in (5..=50).step_by(5) {
        last = record.checkpoint(minute).await;
    }
    assert_eq!((record.findings().await, last.is_some()), ((Vec::new(), last), true));
    force(&record.stage, changes::KEEP).await;
    let mut chance = Chance::new();
    let many = std::env::var("CHANGES").ok().map_or(100, |many| many.parse().expect("a number"));
    for _ in 0..many {
        let change = changes::any(&mut chance, &record).await;
        force(&record.stage, &change).await;
        let (findings, head) = record.findings().await;
        // What was cut off shows by what was published: the last checkpoint.
        assert!(!findings.is_empty() || head != last, "not found: {change}");
        force(&record.stage, changes::RESTORE).await;
    }
    assert_eq!(record.findings().await, (Vec::new(), last), "all is as it was");
}

/// What was committed late, or is written long after its own time, is in a checkpoint all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_is_no_tampering_and_is_not_missed() {
    let record = Record::since("now() - interval '1 min'").await;
    let stage = &record.stage;
    stage
        .raw("INSERT INTO revocation.workers (instance, version, lease_until) VALUES ('w', '1', now())")
        .await;
    let refusal = |ago: &str| {
        format!(
            "INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, code, detail, \
                body_sha256, body_bytes, worker_no)
             VALUES (clock_timestamp() - interval '{ago}', 'q', 'k', 'not_json', 'd', sha256('x'), 1, 1)"
        )
    };
    let mut open = stage.db.begin().await.expect("a transaction");
    open.execute(sqlx::AssertSqlSafe(refusal("9.8 s"))).await.expect("a row");
    let at: OffsetDateTime = sqlx::query_scalar("SELECT max(rejected_at) FROM revocation.rejected_events")
        .fetch_one(&mut *open)
        .await
        .expect("a time");
    let look = crate::harness::eventually("its time is covered", async || {
        let look = record.store.look_at_writers().await.unwrap_or_else(|error| panic!("{error}"));
        (look.at - time::Duration::seconds(10) > at).then_some(look)
    })
    .await;
    let writing = async || record.store.still_writing(&look).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(writing().await.len(), 1, "a checkpoint waits for who was writing");
    open.commit().await.expect("commit");
    assert_eq!(writing().await, Vec::<i32>::new());
    record.look(&look).await.expect("a checkpoint");
    let covered = |part: &str| format!("audit.checkpoints WHERE document LIKE '%{part}%'");
    let refused = r#"{"table":"rejected_events","late":false,"rows":1,"#;
    assert_eq!(stage.count(&covered(refused)).await, 1, "what was committed late is in it");

    stage.raw(&refusal("10 min")).await;
    assert_eq!(record.findings().await.0, [], "it waits for its checkpoint");
    let look = record.store.look_at_writers().await.unwrap_or_else(|error| panic!("{error}"));
    // Its own moment is behind the end of the last one, that of its writing before the end of this.
    record.look(&Look { at: look.at + time::Duration::seconds(1), ..look }).await.expect("a checkpoint");
    let late = r#"{"table":"rejected_events","late":true,"rows":1,"#;
    assert_eq!(stage.count(&covered(late)).await, 1);
    assert_eq!(record.findings().await.0, []);
    force(stage, &refusal("11 min")).await;
    force(
        stage,
        &format!("UPDATE revocation.rejected_events SET rejected_at = '{at}' WHERE rejected_no = 3"),
    )
    .await;
    let [finding] = &record.findings().await.0[..] else { panic!("one finding") };
    assert!(finding.text.contains("1 row added"), "{}", finding.text);
}

/// The digest is that of what any client of Postgres gets.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_computes_the_same_digest_with_copy() {
    let record = Record::since("now() - interval '1 h'").await;
    force(&record.stage, &seed::hour("now() - interval '1 h'")).await;
    record.checkpoint(5).await.expect("a checkpoint");
    let row = record.stage.rows("SELECT to_jsonb(c) FROM audit.checkpoints c WHERE checkpoint_no = 1").await;
    let document: serde_json::Value =
        serde_json::from_str(row[0]["document"].as_str().expect("a text")).expect("JSON");
    for part in document["parts"].as_array().expect("parts") {
        let place = ["attempts", "targets", "rejected_events", "operations"];
        let place = place.iter().position(|table| part["table"] == **table).expect("a table");
        let time = |name: &str| format!("'{}'", document[name].as_str().expect("a time"));
        let query = revocation_worker::store::QUERIES[place]
            .replace("$1", &format!("{}::timestamptz", time("after")));
        let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", query.replace("$2", &time("until")));
        let chunks: Vec<_> = futures::TryStreamExt::try_collect(
            sqlx::postgres::PgPoolCopyExt::copy_out_raw(&record.stage.db, copy.as_str()).await.expect("copy"),
        )
        .await
        .expect("all of it");
        let bytes = chunks.concat();
        let rows = &bytes[19..bytes.len() - 2];
        assert_eq!(part["sha256"], Hash::of(&[rows]).to_string(), "{}", part["table"]);
    }
}
