//! The headers that a message gets with its refusal, and what reading and writing headers takes.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString};

pub(super) const CODE: &str = "x-refused-code";
pub(super) const DETAIL: &str = "x-refused-detail";
pub(super) const QUEUE: &str = "x-refused-queue";
pub(super) const KEY: &str = "x-refused-routing-key";
pub(super) const USER: &str = "x-refused-user";
pub(super) const AT: &str = "x-refused-at";

/// `BasicProperties` has no way to unset one.
pub(super) fn without_user(from: &BasicProperties) -> BasicProperties {
    let mut to = BasicProperties::default();
    macro_rules! keep {
        ($($get:ident => $set:ident),* $(,)?) => {
            $(if let Some(value) = from.$get().clone() { to = to.$set(value); })*
        };
    }
    keep!(
        content_type => with_content_type, content_encoding => with_content_encoding,
        priority => with_priority,
        correlation_id => with_correlation_id, reply_to => with_reply_to, message_id => with_message_id,
        timestamp => with_timestamp, kind => with_type, app_id => with_app_id, cluster_id => with_cluster_id,
    );
    to
}

pub(super) fn without(headers: FieldTable, is_dropped: impl Fn(&str) -> bool) -> FieldTable {
    let mut kept = FieldTable::default();
    for (name, value) in headers.inner().iter().filter(|(name, _)| !is_dropped(name.as_str())) {
        kept.insert(name.clone(), value.clone());
    }
    kept
}

pub(super) fn header(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(LongString::to_string(text)),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}
