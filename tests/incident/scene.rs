//! One incident's surroundings: servers, a provider, workers, and the people who order and steer.

use std::time::{Duration, Instant};

use lapin::BasicProperties;
use revocation_worker::invalidation::Phase;
use revocation_worker::target::Token;
use serde_json::{Value, json};
use url::Url;

use crate::harness::{App, Feed, Servers, Setup, Stage, Worker, canary_token, eventually};
use crate::program::{Ran, bare, feed, run};
use crate::provider::Provider;

/// A line of `incident open`: everybody's tokens of a client, which takes a second person.
pub(crate) const A_CLIENT: &str = "{\"client_id\":\"shop\"}\n";
/// Name of the incident.
pub(crate) const LEAK: &str = "leak";

/// The world of one test.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) provider: Provider,
    setup: Setup,
}

impl Scene {
    /// On the shared servers, with a provider that takes `delay` a call.
    pub(crate) async fn new(delay: Duration) -> Self {
        Self::at(Stage::new().await, delay).await
    }

    /// The same, and no other test of this binary runs beside it.
    pub(crate) async fn alone(delay: Duration) -> Self {
        Self::at(Stage::alone().await, delay).await
    }

    /// The same on servers of its own.
    pub(crate) async fn on(servers: &Servers, delay: Duration) -> Self {
        Self::at(Stage::on(servers).await, delay).await
    }

    async fn at(stage: Stage, delay: Duration) -> Self {
        let provider = Provider::start(delay).await;
        let session = stage.text("SELECT session_user::text").await;
        stage
            .people(&json!({
                "alice": { "broker_users": [user(&stage)] }, "bob": { "database_roles": [session] },
            }))
            .await;
        let setup = stage
            .worker(&provider.endpoint())
            .set("REVOCATION__AUTHORIZATION__MASS_REVOCATION_USERS", &user(&stage))
            .set("REVOCATION__LOG__LEVEL", "warn");
        Self { stage, provider, setup }
    }

    /// With a setting of workers and commands.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.setup = self.setup.set(name, value);
        self
    }

    /// So many targets need no second person.
    pub(crate) fn approval_above(self, targets: usize) -> Self {
        self.set("REVOCATION__AUTHORIZATION__APPROVAL_ABOVE_TARGETS", &targets.to_string())
    }

    /// With so many slots a worker.
    pub(crate) fn slots(self, slots: usize) -> Self {
        self.set("REVOCATION__PROVIDERS__MAIN__CONCURRENCY", &slots.to_string())
    }

    /// At a provider that has a call for whole users.
    pub(crate) fn at_okta(mut self) -> Self {
        let base = self.provider.endpoint().trim_end_matches("/revoke").to_owned();
        self.setup = self.setup.unset("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT");
        self.set("REVOCATION__PROVIDERS__MAIN__KIND", "okta")
            .set("REVOCATION__PROVIDERS__MAIN__BASE_URL", &base)
            .set("REVOCATION__PROVIDERS__MAIN__API_TOKEN", "api-token-canary")
    }

    /// A worker that is about to start.
    pub(crate) fn worker(&self) -> &Setup {
        &self.setup
    }

    /// So many workers, ready.
    pub(crate) async fn workers<const N: usize>(&self) -> [Worker; N] {
        let mut workers = [(); N].map(|()| self.setup.spawn());
        for worker in &mut workers {
            worker.ready().await;
        }
        workers
    }

    /// Runs `incident …` as `actor` to its end.
    pub(crate) fn incident(&self, actor: &str, arguments: &[&str]) -> Ran {
        self.incident_of(actor, arguments, "")
    }

    /// The same with `input` to read.
    pub(crate) fn incident_of(&self, actor: &str, arguments: &[&str], input: &str) -> Ran {
        let arguments = [&["incident"], arguments, &["--actor", actor]].concat();
        tokio::task::block_in_place(|| feed(&mut self.setup.command(), &arguments, input))
    }

    /// What comes of it when Alice approves, in her own session, whatever name she gives.
    pub(crate) async fn approved_by_alice(&self) -> Ran {
        self.stage.roles().await;
        let alice = self.stage.login("revocation_operator").await;
        let session = self.stage.text("SELECT session_user::text").await;
        let of_alice = json!({ "broker_users": [user(&self.stage)], "database_roles": [alice.role] });
        self.stage.people(&json!({ "alice": of_alice, "bob": { "database_roles": [session] } })).await;
        tokio::task::block_in_place(|| {
            run(&mut bare(&[("DATABASE_URL", &alice.url)]), &["incident", "approve", LEAK, "--actor", "bob"])
        })
    }

    /// This role is a person's, and the events are Alice's.
    pub(crate) async fn tell(&self, person: &str, role: &str) {
        self.stage
            .people(&json!({
                "alice": { "broker_users": [user(&self.stage)] }, person: { "database_roles": [role] },
            }))
            .await;
    }

    /// Steers the incident as Bob; it must be done.
    #[track_caller]
    pub(crate) fn steer(&self, verb: &str, more: &[&str]) {
        let ran = self.incident("bob", &[&[verb, LEAK], more].concat());
        assert_eq!(ran.code, 0, "{verb}: {}{}", ran.stdout, ran.stderr);
    }

    /// Alice opens the incident for these tokens.
    #[track_caller]
    pub(crate) fn open(&self, tokens: &[String]) {
        self.open_with(tokens, "");
    }

    /// The same with more lines behind those of the tokens.
    #[track_caller]
    pub(crate) fn open_with(&self, tokens: &[String], lines: &str) {
        let ran = self.order(tokens, lines);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    }

    /// The same, whatever becomes of it.
    pub(crate) fn order(&self, tokens: &[String], lines: &str) -> Ran {
        self.incident_of(
            "alice",
            &["open", LEAK, "--reason", "theft", "-"],
            &format!("{}{lines}", ndjson(tokens)),
        )
    }

    /// Publishes one event of the incident by hand: one that does not say how many targets there will be.
    pub(crate) async fn publish(&self, app: &App, id: &str, targets: Value) {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/soc", "type": "auth.mass_revocation.v1",
            "data": { "incident": LEAK, "reason": "theft", "actor": "alice", "targets": targets },
        });
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_user_id(user(&self.stage).into());
        app.publish_raw("auth.mass_revocation", event.to_string().as_bytes(), properties).await;
    }

    /// Waits until so many of the incident's targets are in a state.
    pub(crate) async fn wait_for(&self, targets: usize, state: &str) {
        self.stage
            .wait_for_count(
                targets as i64,
                &format!("audit.revocations WHERE incident = '{LEAK}' AND {state}"),
            )
            .await;
    }

    /// How many are.
    pub(crate) async fn count(&self, state: &str) -> usize {
        self.stage.count(&format!("audit.revocations WHERE incident = '{LEAK}' AND {state}")).await as usize
    }

    /// A member of the incident's row in `audit.incidents`.
    pub(crate) async fn row(&self) -> Value {
        let rows = self
            .stage
            .rows(&format!("SELECT to_jsonb(i) FROM audit.incidents i WHERE incident = '{LEAK}'"))
            .await;
        rows.into_iter().next().unwrap_or(Value::Null)
    }

    /// Waits until the incident has ended, then checks that its record is whole.
    pub(crate) async fn ends(&self, state: &str) -> Value {
        let row = eventually("the incident ends", async || {
            Some(self.row().await).filter(|row| !row["finished_at"].is_null())
        })
        .await;
        assert_eq!(row["state"], state);
        self.counts_add_up().await;
        row
    }

    /// The counts that are kept are those of the table, and nothing is held, sealed or missing.
    pub(crate) async fn counts_add_up(&self) {
        let row = self.row().await;
        for state in ["pending", "revoked", "unsupported", "expired", "parked", "cancelled"] {
            let targets = self.count(&format!("state = '{state}'")).await;
            assert_eq!(row[state], targets, "{state} of {row}");
        }
        assert_eq!(row["targets_received"], self.count("true").await, "{row}");
        assert_eq!(row["denied"], self.count("denied_at IS NOT NULL").await, "{row}");
        let sealed = "revocation.targets WHERE finished_at IS NOT NULL AND sealed IS NOT NULL";
        assert_eq!(self.stage.count(sealed).await, 0, "sealed copies are erased");
        assert_eq!(
            self.stage
                .count("revocation.targets WHERE lease_owner IS NOT NULL AND finished_at IS NOT NULL")
                .await,
            0
        );
    }

    /// Every token is in exactly one target's row.
    pub(crate) async fn each_is_on_record_once(&self, tokens: &[String]) {
        let rows = self
            .stage
            .rows(&format!(
                "SELECT to_jsonb(token_sha256) FROM audit.revocations WHERE \
            incident = '{LEAK}' AND token_sha256 IS NOT NULL ORDER BY token_sha256"
            ))
            .await;
        let rows: Vec<_> = rows.iter().map(|row| row.as_str().expect("a digest").to_owned()).collect();
        assert!(rows == digests(tokens), "{} tokens, {} rows", tokens.len(), rows.len());
    }

    /// What is on record as answered was a call, and what was a call is on record: answered, or unknown where
    /// a worker died over it.
    pub(crate) async fn every_call_is_on_record(&self) {
        let sql = "SELECT jsonb_build_array(r.token_sha256, count(*) FILTER (WHERE a.outcome <> 'unknown'), \
            count(*))
            FROM audit.attempts a JOIN audit.revocations r USING (revocation_id) GROUP BY r.token_sha256";
        let calls: std::collections::HashMap<_, _> = self
            .provider
            .by_token()
            .into_iter()
            .map(|(token, calls)| (digest(&token), calls as u64))
            .collect();
        let mut known = 0;
        for row in self.stage.rows(sql).await {
            let made = calls.get(row[0].as_str().expect("a digest")).copied().unwrap_or(0);
            let (answered, all) = (row[1].as_u64().expect("a count"), row[2].as_u64().expect("a count"));
            assert!((answered..=all).contains(&made), "{made} calls, {answered} answered, {all} on record");
            known += usize::from(made > 0);
        }
        assert_eq!(known, calls.len(), "calls for tokens that are not on record");
    }

    /// An ordinary logout's confirmation is seen: whatever was published before it has been seen too.
    pub(crate) async fn passes_a_logout(&self, feed: &Feed, id: &str) {
        let event = crate::harness::logout(id, &canary_token(), &canary_token());
        App::connect(&self.stage.amqp_url).await.publish(&event).await;
        feed.wait_for(Phase::Confirmed, id).await;
    }
}

/// The broker's user, whom events are ordered as.
fn user(stage: &Stage) -> String {
    Url::parse(&stage.amqp_url).expect("a URL").username().to_owned()
}

/// So many tokens.
pub(crate) fn tokens(count: usize) -> Vec<String> {
    (0..count).map(|_| canary_token()).collect()
}

/// As `incident open` reads tokens.
fn ndjson(tokens: &[String]) -> String {
    tokens.iter().map(|token| format!("{}\n", json!({ "token": token }))).collect()
}

/// Tokens in a file of a test's own, removed at its end.
pub(crate) struct TokenFile(std::path::PathBuf);

impl TokenFile {
    pub(crate) fn of(tokens: &[String]) -> Self {
        let path = std::env::temp_dir().join(format!("incident-{}.ndjson", uuid::Uuid::now_v7()));
        std::fs::write(&path, ndjson(tokens)).expect("write the file");
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// The targets of an event.
pub(crate) fn targets(tokens: &[String]) -> Value {
    tokens.iter().map(|token| json!({ "token": token })).collect()
}

/// As the record names a token.
pub(crate) fn digest(token: &str) -> String {
    Token::new(token.to_owned()).fingerprint().to_string()
}

/// The digests of tokens, sorted.
pub(crate) fn digests(tokens: &[String]) -> Vec<String> {
    let mut digests: Vec<_> = tokens.iter().map(|token| digest(token)).collect();
    digests.sort_unstable();
    digests
}

/// Waits until each of these tokens is denied for the first time; returns when that was.
pub(crate) async fn all_denied(feed: &Feed, tokens: &[String]) -> Instant {
    let wanted = digests(tokens);
    eventually("every token is denied", async || (feed.digests(Phase::Requested) == wanted).then_some(()))
        .await;
    feed.seen()
        .iter()
        .filter(|seen| seen.data.phase == Phase::Requested)
        .map(|seen| seen.at)
        .max()
        .expect("denials")
}
