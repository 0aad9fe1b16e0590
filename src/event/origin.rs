//! Where a delivery comes from, as the broker and its headers say.

use std::sync::Arc;

use super::party::Party;
use crate::trace::Trace;

/// Most senders that the header of a message may name; beyond that it is unreadable.
pub const MAX_SENDERS: usize = 8;

/// Who sent an event: a broker user, or nobody whom it names.
pub type Sender<'a> = Option<&'a str>;

/// Who sent a message first, as its header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Original {
    /// It says nothing: whoever published it.
    #[default]
    NotSaid,
    /// These, `None` being one whom it did not name. Several where it was put back by users that are no
    /// operators.
    Senders(Vec<Option<String>>),
    /// The header is of another form.
    Unreadable,
}

/// A token that is an input by itself, once its signature is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedInput {
    /// OpenID Connect Back-Channel Logout 1.0
    LogoutToken,
    /// Shared Signals 1.0: CAEP, RISC
    SecurityEvent,
}

/// What the broker says of a delivery, for authorisation and for the record of refusals.
#[derive(Clone, Default)]
pub struct Origin {
    /// Queue it came by.
    pub queue: Arc<str>,
    /// Routing key it was published with.
    pub routing_key: String,
    /// The AMQP `user_id` property, validated by RabbitMQ; of a message that an operator put back, who sent
    /// it first.
    pub broker_user: Option<String>,
    /// Who sent it first, as the header of a message that was put back says. Empty once that is judged: see
    /// [`Authority::attribute`](crate::authorization::Authority::attribute).
    pub original: Original,
    /// Whose rights it needs, all of them; empty: those of `broker_user`.
    pub senders: Vec<Option<String>>,
    /// The operator who put it back.
    pub requeued_by: Option<String>,
    /// The AMQP `content_type` property.
    pub content_type: Option<String>,
    /// CloudEvents attributes that stand in the headers (binary mode), each as often as it is given.
    pub attributes: Vec<(&'static str, String)>,
    /// The event that a signed token means, once its signature is verified: it is read in place of the body.
    pub verified: Option<Arc<[u8]>>,
    /// The trace of the header `traceparent`, for an event that tells none itself.
    pub trace: Option<Trace>,
    /// AMQP names of the properties, `routing_key` among them, that were not UTF-8 or, of headers, nested too
    /// deep.
    pub unreadable: Vec<&'static str>,
}

impl Origin {
    /// Whose share of the work this is.
    pub fn party(&self) -> Party {
        Party::of(self.broker_user.as_deref())
    }

    /// Whose rights the message needs, all of them.
    pub fn senders(&self) -> impl Iterator<Item = Sender<'_>> {
        let own = self.senders.is_empty().then_some(self.broker_user.as_deref());
        own.into_iter().chain(self.senders.iter().map(Option::as_deref))
    }
}
