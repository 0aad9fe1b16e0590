//! The broker as an operator sees it: its management interface, its users, its dead letters.

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};

use super::{Stage, eventually, servers};

/// A message in `revocation.dead`.
pub(crate) struct DeadLetter {
    /// The routing key, as it was published with.
    pub(crate) routing_key: String,
    /// Properties, headers included.
    pub(crate) properties: BasicProperties,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl DeadLetter {
    /// A text header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        match self.properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// The property `message_id`.
    pub(crate) fn message_id(&self) -> String {
        self.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// An operator's connection to one virtual host of the shared broker.
pub(crate) struct Operator {
    management: url::Url,
    vhost: String,
    channel: Channel,
    _connection: Connection,
}

impl Operator {
    /// Connects.
    pub(crate) async fn of(stage: &Stage) -> Self {
        let url: url::Url = stage.amqp_url.parse().expect("a URL");
        let vhost = url.path().trim_start_matches('/').to_owned();
        let connection = Connection::connect(&stage.amqp_url, ConnectionProperties::default())
            .await
            .expect("connect to the broker");
        let channel = connection.create_channel().await.expect("open a channel");
        Self { management: stage.management.clone(), vhost, channel, _connection: connection }
    }

    /// `GET /api/<what>/<this virtual host>`: queues, exchanges or bindings.
    pub(crate) async fn list(&self, what: &str) -> Vec<Value> {
        let url = format!("{}api/{what}/{}", self.management, self.vhost);
        let answer = reqwest::Client::new().get(url).send().await.expect("ask the management interface");
        answer.error_for_status().expect("an answer").json().await.expect("a list")
    }

    /// The names of its queues, sorted.
    pub(crate) async fn queues(&self) -> Vec<String> {
        let mut names: Vec<_> = self.list("queues").await.iter().map(|queue| text(&queue["name"])).collect();
        names.sort_unstable();
        names
    }

    /// A channel for whatever else a test does.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Messages that are ready in a queue.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        self.channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await
            .expect("a queue")
            .message_count()
    }

    /// Has the broker limit a queue by a policy, until another takes its place.
    pub(crate) async fn limit(&self, queue: &str, messages: u32) {
        let definition = json!({ "max-length": messages, "overflow": "reject-publish" });
        let policy = json!({
            "pattern": format!("^{}$", queue.replace('.', r"\.")), "definition": definition,
            "apply-to": "queues",
        });
        servers::put(&self.management, &format!("policies/{}/{queue}", self.vhost), policy).await;
    }

    /// Publishes until a queue behind an exchange is full. Returns how many messages that took.
    pub(crate) async fn fill(&self, exchange: &str) -> usize {
        self.channel.confirm_select(ConfirmSelectOptions::default()).await.expect("ask for confirms");
        let taken = std::sync::atomic::AtomicUsize::new(0);
        eventually("the queue is full", async || {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let sent = self
                .channel
                .basic_publish(
                    exchange.into(),
                    "".into(),
                    BasicPublishOptions::default(),
                    b"filler",
                    properties,
                )
                .await;
            let is_taken = sent.expect("publish").await.expect("a confirm").is_ack();
            taken.fetch_add(usize::from(is_taken), std::sync::atomic::Ordering::Relaxed);
            (!is_taken).then_some(())
        })
        .await;
        taken.into_inner()
    }

    /// Waits until so many messages are ready in a queue.
    pub(crate) async fn wait_for_ready(&self, wanted: u32, queue: &str) {
        let what = format!("{wanted} messages are ready in {queue}");
        eventually(&what, async || (self.ready(queue).await == wanted).then_some(())).await;
    }

    /// Takes `wanted` messages out of `revocation.dead`, oldest first, and checks that there are no more.
    pub(crate) async fn dead_letters(&self, wanted: usize) -> Vec<DeadLetter> {
        let mut letters = Vec::new();
        while letters.len() < wanted {
            let what = format!("dead letter {} of {wanted} arrives", letters.len() + 1);
            letters.push(eventually(&what, async || self.dead_letter().await).await);
        }
        assert!(self.dead_letter().await.is_none(), "more than {wanted} dead letters");
        letters
    }

    /// The next one, if there is any.
    pub(crate) async fn dead_letter(&self) -> Option<DeadLetter> {
        let got = self
            .channel
            .basic_get("revocation.dead".into(), BasicGetOptions { no_ack: true })
            .await
            .expect("read revocation.dead")?;
        let delivery = got.delivery;
        Some(DeadLetter {
            routing_key: delivery.routing_key.to_string(),
            properties: delivery.properties,
            body: delivery.data,
        })
    }

    /// Creates a broker user who may do anything on this virtual host; returns the user's URL. `impersonator`
    /// may set any `user_id`.
    pub(crate) async fn add_user(&self, stage: &Stage, name: &str, impersonator: bool) -> String {
        let tags = if impersonator { "impersonator" } else { "" };
        servers::put(
            &self.management,
            &format!("users/{name}"),
            json!({ "password": "secret", "tags": tags }),
        )
        .await;
        let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        self.permit(stage, name, everything).await
    }

    /// Creates a broker user who may do on this virtual host what the three patterns say; returns the user's
    /// URL. The user is the virtual host's own.
    pub(crate) async fn add_limited_user(&self, stage: &Stage, name: &str, permissions: Value) -> String {
        let name = self.own(name);
        servers::put(&self.management, &format!("users/{name}"), json!({ "password": "secret", "tags": "" }))
            .await;
        self.permit(stage, &name, permissions).await
    }

    /// Creates or changes something through the management interface.
    pub(crate) async fn put(&self, path: &str, body: Value) {
        servers::put(&self.management, path, body).await;
    }

    /// Closes the connections of a limited user, as a broker that restarts does. Waits until there was one.
    pub(crate) async fn disconnect(&self, name: &str) {
        let client = reqwest::Client::new();
        let url = format!("{}api/connections/username/{}", self.management, self.own(name));
        eventually("the user's connection shows and is closed", async || {
            let open: Vec<Value> = client.get(&url).send().await.ok()?.json().await.ok()?;
            let closed = client.delete(&url).send().await.ok()?;
            (!open.is_empty() && closed.status().is_success()).then_some(())
        })
        .await;
    }

    /// Users belong to the whole broker, which other tests share.
    fn own(&self, name: &str) -> String {
        format!("{name}-{}", self.vhost)
    }

    async fn permit(&self, stage: &Stage, name: &str, permissions: Value) -> String {
        servers::put(&self.management, &format!("permissions/{}/{name}", self.vhost), permissions).await;
        let mut url: url::Url = stage.amqp_url.parse().expect("a URL");
        url.set_username(name).and(url.set_password(Some("secret"))).expect("credentials");
        url.to_string()
    }
}

/// A JSON text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
