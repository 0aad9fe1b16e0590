//! Applications that publish as any broker user, as a gateway may that is trusted to say who sent what.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::harness::{App, Operator, Stage};

/// A connection that may publish as anybody.
pub(crate) struct Gateway(App);

impl Gateway {
    pub(crate) async fn of(stage: &Stage) -> Self {
        let name = format!("gateway-{}", stage.database_url.rsplit('/').next().unwrap_or_default());
        let url = Operator::of(stage).await.add_user(stage, &name, true).await;
        Self(App::connect(&url).await)
    }

    /// Publishes an event as this user; as nobody where there is none.
    pub(crate) async fn publish(&self, user: Option<&str>, event: &Value) {
        self.publish_with(user, event, FieldTable::default()).await;
    }

    /// The same with a header that says who sent it first.
    pub(crate) async fn publish_for(&self, user: Option<&str>, first: AMQPValue, event: &Value) {
        let mut headers = FieldTable::default();
        headers.insert("x-original-user".into(), first);
        self.publish_with(user, event, headers).await;
    }

    async fn publish_with(&self, user: Option<&str>, event: &Value, headers: FieldTable) {
        let id = event["id"].as_str().unwrap_or_default();
        let mut properties =
            BasicProperties::default().with_content_type("application/json".into()).with_headers(headers);
        properties = properties.with_message_id(id.into());
        if let Some(user) = user {
            properties = properties.with_user_id(user.into());
        }
        let key = event["type"].as_str().unwrap_or_default().trim_end_matches(".v1");
        self.0.publish_raw(key, event.to_string().as_bytes(), properties).await;
    }
}

/// So many subjects.
pub(crate) fn subjects(prefix: &str, count: usize) -> Vec<Value> {
    (0..count).map(|number| json!({ "sub": format!("{prefix}-{number}") })).collect()
}

/// A mass revocation of these targets.
pub(crate) fn mass(id: &str, incident: &str, targets: &[Value]) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/soc", "type": "auth.mass_revocation.v1",
            "data": { "incident": incident, "reason": "theft", "actor": "alice", "targets": targets } })
}
