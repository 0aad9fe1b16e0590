//! Whose word on a verifier counts: the owner's of its service, by the broker user whom RabbitMQ has
//! validated.

use revocation_verifier::{Denylist, Options, StalenessPolicy};
use sqlx::Executor;
use time::OffsetDateTime;

use crate::harness::{
    App, Loss, Operator, Proxy, Setup, Stage, Worker, canary_token, eventually, logout, status,
};

/// A worker, and a broker whose users a test makes.
struct Scene {
    stage: Stage,
    operator: Operator,
    worker: Worker,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|setup, _| setup).await
    }

    /// `change` is told the virtual host, which is part of the users' names.
    async fn with(change: impl FnOnce(Setup, &str) -> Setup) -> Self {
        let stage = Stage::new().await;
        let operator = Operator::of(&stage).await;
        let worker = change(stage.worker("http://127.0.0.1:9/revoke"), vhost(&stage)).start().await;
        Self { stage, operator, worker }
    }

    /// Users belong to the whole broker, which other tests share.
    fn user(&self, name: &str) -> String {
        format!("{name}-{}", vhost(&self.stage))
    }

    async fn url(&self, name: &str) -> String {
        self.operator.add_user(&self.stage, &self.user(name), false).await
    }

    async fn app(&self, name: &str) -> App {
        App::connect(&self.url(name).await).await
    }

    /// As if these had not reported for so long.
    async fn silent_for(&self, interval: &str, rows: &str) {
        let update = format!(
            "UPDATE revocation.verifier_reports SET last_seen_at = now() - interval '{interval}' WHERE {rows}"
        );
        self.stage.db.execute(sqlx::AssertSqlSafe(update)).await.expect("set back");
    }

    async fn written(&self, result: &str) -> f64 {
        self.worker.metric(&format!(r#"revocation_verifier_reports_total{{result="{result}"}}"#)).await
    }
}

fn vhost(stage: &Stage) -> &str {
    stage.amqp_url.rsplit('/').next().expect("a virtual host")
}

async fn report(app: &App, service: &str, instance: &str) {
    app.report(status(service, instance), OffsetDateTime::now_utc()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_gate_is_not_kept_up_to_date_by_anybody_else() {
    let scene = Scene::new().await;
    let (gate, stranger) = (scene.app("gate").await, scene.app("stranger").await);
    report(&gate, "shop-api", "pod-7").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE verified AND up_to_date").await;
    scene.silent_for("16 seconds", "true").await;
    for number in 0..5 {
        report(&stranger, "shop-api", "pod-7").await;
        report(&stranger, "shop-api", &format!("pod-new-{number}")).await;
        stranger.report_namelessly(status("shop-api", "pod-7")).await;
    }
    let strangers = format!(
        "audit.verifiers WHERE live AND NOT verified AND NOT up_to_date AND broker_user = '{}'",
        scene.user("stranger")
    );
    scene.stage.wait_for_count(6, &strangers).await;
    scene
        .stage
        .wait_for_count(
            1,
            "audit.verifiers WHERE live AND NOT verified AND NOT up_to_date AND broker_user IS NULL",
        )
        .await;
    assert_eq!(scene.stage.count("audit.verifiers WHERE up_to_date").await, 0);
    let gates =
        format!("audit.verifiers WHERE verified AND NOT live AND broker_user = '{}'", scene.user("gate"));
    assert_eq!(scene.stage.count(&gates).await, 1, "its own last word is as it was");
    report(&gate, "shop-api", "pod-8").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE up_to_date AND instance = 'pod-8'").await;
}

/// The owner's oldest row is forgotten while the stranger's, which is older than the owner's others, is kept:
/// the service changes no hands.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_stays_its_first_users_as_long_as_a_row_of_it_is_kept() {
    let scene = Scene::new().await;
    let (gate, stranger) = (scene.app("gate").await, scene.app("stranger").await);
    report(&gate, "shop-api", "pod-1").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE verified").await;
    report(&stranger, "shop-api", "pod-1").await;
    scene.stage.wait_for_count(2, "audit.verifiers").await;
    report(&gate, "shop-api", "pod-2").await;
    scene.stage.wait_for_count(2, "audit.verifiers WHERE verified").await;
    scene.silent_for("25 hours", "instance = 'pod-1' AND verified").await;
    scene.stage.wait_for_count(2, "audit.verifiers").await;
    report(&stranger, "shop-api", "pod-3").await;
    scene.stage.wait_for_count(2, "audit.verifiers WHERE NOT verified").await;
    scene.silent_for("25 hours", "verified").await;
    scene.stage.wait_for_count(0, "audit.verifiers WHERE verified").await;
    report(&stranger, "shop-api", "pod-3").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE verified AND instance = 'pod-3'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_owners_are_configured_a_squatter_has_nothing_before_or_after_them() {
    let scene = Scene::with(|setup, vhost| {
        setup.set(
            "REVOCATION__VERIFIERS__OWNERS",
            &format!(r#"{{ "shop-api" = ["gate-{vhost}", "other-{vhost}"] }}"#),
        )
    })
    .await;
    let squatter = scene.app("squatter").await;
    report(&squatter, "shop-api", "pod-7").await;
    report(&squatter, "unlisted", "pod-7").await;
    scene
        .stage
        .wait_for_count(1, "audit.verifiers WHERE service = 'shop-api' AND live AND NOT verified")
        .await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE service = 'unlisted' AND verified").await;
    for owner in ["gate", "other"] {
        report(&scene.app(owner).await, "shop-api", "pod-7").await;
        let own = format!(
            "audit.verifiers WHERE service = 'shop-api' AND up_to_date AND broker_user = '{}'",
            scene.user(owner)
        );
        scene.stage.wait_for_count(1, &own).await;
    }
    report(&squatter, "shop-api", "pod-7").await;
    eventually("it was read", async || (scene.written("written").await >= 5.0).then_some(())).await;
    assert_eq!(scene.stage.count("audit.verifiers WHERE service = 'shop-api' AND verified").await, 2);
    let unverified = async || scene.worker.metric(r#"revocation_verifiers{state="unverified"}"#).await;
    eventually("the metrics count it apart", async || (unverified().await == 1.0).then_some(())).await;
}

/// Nobody waits for a verifier that no owner vouches for, and it vouches for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_unverified_count_for_no_denial() {
    let scene = Scene::new().await;
    let (gate, stranger) = (scene.app("gate").await, scene.app("stranger").await);
    report(&gate, "shop-api", "pod-7").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE verified").await;
    gate.publish(&logout("1", &canary_token(), &canary_token())).await;
    scene.stage.wait_for_count(1, "audit.propagation WHERE denied_at IS NOT NULL").await;
    report(&stranger, "shop-api", "pod-7").await;
    stranger.report_namelessly(status("cards", "pod-1")).await;
    let mut late = status("shop-api", "pod-9");
    late.applied_time = None;
    stranger.report(late, OffsetDateTime::now_utc()).await;
    scene.stage.wait_for_count(3, "audit.verifiers WHERE live AND NOT verified").await;
    report(&gate, "shop-api", "pod-7").await;
    scene
        .stage
        .wait_for_count(
            1,
            "audit.propagation WHERE applied_by = 1 AND live_verifiers = 1 AND waiting_for = '{}'",
        )
        .await;
}

/// Names that one account invents take the place of its own dead ones, and of nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_a_thousand_rows_and_its_oldest_dead_one_goes_first() {
    let scene = Scene::new().await;
    let (gate, flood) = (scene.app("gate").await, scene.app("flood").await);
    report(&gate, "shop-api", "gate-7").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE up_to_date").await;
    scene.silent_for("16 seconds", "instance = 'gate-7'").await;
    for hundred in 0..100 {
        let names = (0..100)
            .map(|number| (format!("service-{}", number % 7), format!("pod-{}", hundred * 100 + number)));
        futures::future::join_all(
            names.map(async |(service, instance)| report(&flood, &service, &instance).await),
        )
        .await;
    }
    eventually("all are dealt with", async || {
        (scene.written("written").await + scene.written("crowded_out").await >= 10_001.0).then_some(())
    })
    .await;
    let floods = format!("audit.verifiers WHERE broker_user = '{}'", scene.user("flood"));
    assert_eq!(scene.stage.count(&floods).await, 1000);
    assert_eq!(
        scene.stage.count("audit.verifiers WHERE instance = 'gate-7'").await,
        1,
        "dead or not, another's row stays"
    );
    assert!(scene.written("crowded_out").await > 0.0);
    report(&gate, "shop-api", "gate-8").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE up_to_date AND instance = 'gate-8'").await;

    let flood_row = |instance: &str| format!("{floods} AND instance = '{instance}'");
    let oldest = scene
        .stage
        .text("SELECT min(instance) FROM revocation.verifier_reports WHERE service LIKE 'service-%'")
        .await
        .expect("one");
    scene.silent_for("30 seconds", "service = 'service-1'").await;
    scene.silent_for("1 minute", &format!("instance = '{oldest}' AND service <> 'shop-api'")).await;
    report(&flood, "service-0", "pod-late").await;
    scene.stage.wait_for_count(1, &flood_row("pod-late")).await;
    assert_eq!((scene.stage.count(&flood_row(&oldest)).await, scene.stage.count(&floods).await), (0, 1000));
}

/// A proxy stands for what makes the broker know a user by another name than the URL has: a certificate, a
/// token.
#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_whose_name_is_not_its_urls_reports_without_one() {
    let scene = Scene::new().await;
    let url = scene.url("gate-a").await;
    scene.url("gate-b").await;
    let (from, to) = (scene.user("gate-a"), scene.user("gate-b"));
    let server: url::Url = url.parse().expect("a URL");
    let address = format!("{}:{}", server.host_str().expect("a host"), server.port().expect("a port"));
    let proxy = Proxy::before(address, Loss::OfName(from.clone(), to.clone())).await;
    let mut renamed = server.clone();
    renamed
        .set_host(Some("127.0.0.1"))
        .and_then(|()| renamed.set_port(Some(proxy.port)).map_err(|()| url::ParseError::EmptyHost))
        .expect("a URL");
    let connect = |url: &str, instance: &str| {
        Denylist::connect(Options::new(url, "shop-api", StalenessPolicy::FailClosed).instance(instance))
            .expect("options")
    };
    let _renamed = connect(renamed.as_str(), "renamed");
    scene
        .stage
        .wait_for_count(
            1,
            "audit.verifiers WHERE instance = 'renamed' AND live AND NOT verified AND broker_user IS NULL",
        )
        .await;
    let _named = connect(&url, "named");
    let own = format!("audit.verifiers WHERE instance = 'named' AND up_to_date AND broker_user = '{from}'");
    scene.stage.wait_for_count(1, &own).await;
}

/// A worker from before owners writes as it did, and forgets and counts as it did; nobody vouches for what it
/// wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_from_before_owners_goes_on_and_its_rows_are_unverified() {
    let scene = Scene::new().await;
    let old =
        "INSERT INTO revocation.verifiers AS v (service, instance, reported_at, entries, stale) VALUES \
        ('shop-api', 'pod-7', now(), 7, false)
               ON CONFLICT (service, instance) DO UPDATE SET last_seen_at = now(), entries = \
               excluded.entries";
    for _twice in 0..2 {
        scene.stage.db.execute(old).await.expect("its statement runs");
    }
    let row = "audit.verifiers WHERE instance = 'pod-7' AND entries = 7 AND live AND NOT verified AND NOT \
        up_to_date AND broker_user IS NULL";
    assert_eq!((scene.stage.count(row).await, scene.stage.count("audit.verifiers").await), (1, 1));
    let gate = scene.app("gate").await;
    report(&gate, "shop-api", "pod-7").await;
    scene.stage.wait_for_count(1, "audit.verifiers WHERE instance = 'pod-7' AND up_to_date").await;
    scene.stage.db.execute(old).await.expect("its statement runs");
    assert_eq!(scene.stage.count("audit.verifiers").await, 1, "what a new worker has written counts");
    scene
        .stage
        .db
        .execute("UPDATE revocation.verifiers SET last_seen_at = now() - interval '25 hours'")
        .await
        .expect("set back");
    scene.stage.wait_for_count(0, "revocation.verifiers").await;
}
