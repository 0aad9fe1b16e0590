//! A refused message as it lies in its queue: what its headers say of it.

use aws_lc_rs::digest;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString};
use revocation_verifier::amqp::Faults;

use crate::broker::headers::{AT, CODE, DETAIL, KEY, QUEUE, USER, header, without};
use crate::broker::original;
use crate::visible::hex;

/// So much of a digest tells messages of one queue from each other.
const ID_BYTES: usize = 5;

/// What `dead list` shows of a message: never the body.
pub struct DeadMessage {
    /// Place in the queue, from 1.
    pub place: usize,
    /// Refusal code, or why the broker dead-lettered it (`delivery_limit`).
    pub code: String,
    /// The sentence.
    pub detail: String,
    /// The queue it was in.
    pub queue: String,
    /// The routing key it was published with.
    pub routing_key: String,
    /// Who published it.
    pub user: Option<String>,
    /// When it was refused, RFC 3339.
    pub at: Option<String>,
    /// Size of the body, bytes.
    pub bytes: usize,
    /// AMQP `message_id`.
    pub message_id: Option<String>,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
    pub(super) tag: u64,
    /// Whether its headers may hide what the broker or a worker says of its sender.
    pub(super) may_hide_sender: bool,
}

/// The headers without those that the refusal and the broker's dead-lettering added.
pub(super) fn strip(headers: FieldTable) -> FieldTable {
    let added =
        ["x-refused-", original::HEADER, "x-death", "x-first-death", "x-last-death", "x-delivery-count"];
    without(headers, |name| added.iter().any(|added| name.starts_with(added)))
}

/// A header's value in words.
fn plain(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => LongString::to_string(text),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(flag) => flag.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Timestamp(seconds) => seconds.to_string(),
        _ => "(not text)".to_owned(),
    }
}

impl DeadMessage {
    pub(super) fn new(
        place: usize,
        routing_key: &str,
        properties: BasicProperties,
        body: Vec<u8>,
        tag: u64,
        faults: &Faults,
    ) -> Self {
        let text = |name| header(&properties, name);
        Self {
            place,
            code: text(CODE).or_else(|| text("x-first-death-reason")).unwrap_or_else(|| "unknown".to_owned()),
            detail: text(DETAIL).unwrap_or_else(|| match &faults.parts[..] {
                [] => "the broker dead-lettered it".to_owned(),
                names => format!(
                    "the broker dead-lettered it; AMQP {}: not UTF-8, or nested too deep",
                    names.join(", ")
                ),
            }),
            queue: text(QUEUE).or_else(|| text("x-first-death-queue")).unwrap_or_default(),
            routing_key: text(KEY).unwrap_or_else(|| routing_key.to_owned()),
            user: text(USER),
            at: text(AT),
            bytes: body.len(),
            message_id: properties.message_id().as_ref().map(ToString::to_string),
            properties,
            body,
            tag,
            may_hide_sender: faults.is_ambiguous || !faults.lost.is_empty(),
        }
    }

    /// What tells it from the others wherever it lies: places change.
    pub fn id(&self) -> String {
        let body = digest::digest(&digest::SHA256, &self.body);
        let words = [&self.message_id, &self.at, &self.user];
        let words = words.map(|word| word.clone().unwrap_or_default()).join("\n");
        let whole = [
            body.as_ref(),
            self.queue.as_bytes(),
            b"\n",
            self.routing_key.as_bytes(),
            b"\n",
            words.as_bytes(),
        ];
        let digest = digest::digest(&digest::SHA256, &whole.concat());
        format!("m{}", hex(&digest.as_ref()[..ID_BYTES]))
    }

    /// What it has in common with its copy from another queue.
    pub(super) fn twin(&self) -> ([u8; 32], AMQPValue) {
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, &self.body).as_ref());
        (digest, original::of_dead(&self.properties, self.may_hide_sender))
    }

    /// The properties that its publisher set, by their AMQP names.
    pub fn properties(&self) -> Vec<(&'static str, String)> {
        let p = &self.properties;
        let words = [
            ("content_type", p.content_type()),
            ("content_encoding", p.content_encoding()),
            ("correlation_id", p.correlation_id()),
            ("type", p.kind()),
            ("app_id", p.app_id()),
        ];
        words.into_iter().filter_map(|(name, word)| Some((name, word.as_ref()?.to_string()))).collect()
    }

    /// The headers that its publisher set, without those of the refusal. A value may hold anything, raw
    /// tokens too.
    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = strip(self.properties.headers().clone().unwrap_or_default());
        headers.inner().iter().map(|(name, value)| (name.to_string(), plain(value))).collect()
    }

    /// The message's body, for an operator who asks to see it. It may hold raw tokens.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}
