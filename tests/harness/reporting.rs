//! Reports as verifiers make them, and a real verifier.

use lapin::BasicProperties;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use revocation_verifier::message::{Envelope, STATUS_TYPE, Status};
use revocation_verifier::{Denylist, Options, StalenessPolicy};
use time::OffsetDateTime;

use super::{App, Stage, eventually};

/// What an up-to-date verifier says.
pub(crate) fn status(service: &str, instance: &str) -> Status {
    Status {
        service: service.to_owned(),
        instance: instance.to_owned(),
        applied_offset: Some(812),
        applied_time: Some(OffsetDateTime::now_utc()),
        entries: 1042,
        stale: false,
        stale_reason: None,
        staleness_policy: Some(StalenessPolicy::FailOpen),
        ended: false,
    }
}

impl App {
    /// Reports as a verifier does, made at `time`.
    pub(crate) async fn report(&self, status: Status, time: OffsetDateTime) {
        let source = format!("/revocation-verifier/{}/{}", status.service, status.instance);
        let key = format!("status.{}", status.service);
        self.publish_report(&key, &Envelope { time, ..Envelope::new(source, STATUS_TYPE, status) }.to_json())
            .await;
    }

    /// The same without a word on who it is by.
    pub(crate) async fn report_namelessly(&self, status: Status) {
        self.wait_for_readers_of_reports().await;
        let body = serde_json::to_vec(&status).expect("JSON");
        self.publish_to(
            "auth.verifiers",
            &format!("status.{}", status.service),
            &body,
            BasicProperties::default(),
        )
        .await;
    }

    /// A worker that is ready may still be on its way to the reports, which no logout waits for. A channel of
    /// its own: where there is no queue the broker closes it.
    async fn wait_for_readers_of_reports(&self) {
        eventually("a worker reads reports", async || {
            let channel = self.channel_of_its_own().await;
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            let queue = channel
                .queue_declare("revocation.verifiers".into(), options, FieldTable::default())
                .await
                .ok()?;
            (queue.consumer_count() > 0).then_some(())
        })
        .await;
    }

    /// Publishes any bytes to the verifiers' exchange, as the connection's user.
    pub(crate) async fn publish_report(&self, routing_key: &str, body: &[u8]) {
        self.wait_for_readers_of_reports().await;
        let properties = BasicProperties::default().with_user_id(self.user().into());
        self.publish_to("auth.verifiers", routing_key, body, properties).await;
    }
}

impl Stage {
    /// A denylist that is up to date with a running worker's feed.
    pub(crate) async fn verifier(&self, service: &str, instance: &str) -> Denylist {
        let options = Options::new(&self.amqp_url, service, StalenessPolicy::FailClosed).instance(instance);
        let denylist = Denylist::connect(options).expect("options");
        eventually("the verifier is up to date", async || denylist.staleness().is_none().then_some(())).await;
        denylist
    }
}
