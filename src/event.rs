//! A logout event: bytes in, a valid [`LogoutEvent`] or a [`Refusal`] out (docs/contract.md, section 2).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::authorization::Authority;
use crate::target::{Kind, Target};
use crate::trace::Trace;

mod binary;
mod cloudevents;
mod content;
mod data;
mod envelope;
mod formats;
mod json;
mod keycloak;
mod lifetime;
mod members;
mod names;
mod origin;
mod party;
mod provider;
mod receipt;
mod refusal;
mod refused_input;
mod targets;

#[cfg(test)]
mod bad_input_tests;
#[cfg(test)]
mod claims_tests;
#[cfg(test)]
mod content_tests;
#[cfg(test)]
mod equal_targets_tests;
#[cfg(test)]
mod formats_tests;
#[cfg(test)]
mod hostile_input_tests;
#[cfg(test)]
mod rights_tests;
#[cfg(test)]
mod tests;

pub use content::content;
pub use formats::{Form, Format, Said};
pub use names::{CUTOFF_ROUTING_KEY, EventType, Lane};
pub use origin::{MAX_SENDERS, Origin, Original, Sender, SignedInput};
pub use party::Party;
pub(crate) use refusal::quoted;
pub use refusal::{Refusal, RefusalCode};
pub use refused_input::{REFUSED_INPUT, REFUSED_INPUT_KEY, RefusedInput};

/// A valid event. A value that exists satisfies every rule of docs/contract.md, section 2.
pub struct LogoutEvent {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`; with `source` the event's identity.
    pub id: String,
    /// CloudEvents `type`.
    pub event_type: EventType,
    /// CloudEvents `time`.
    pub occurred_at: Option<OffsetDateTime>,
    /// When this worker received it.
    pub received_at: OffsetDateTime,
    /// Cutoff of wide targets: `data.not_before`, else `time`, else the receipt. A logout's never lies after
    /// the receipt.
    pub not_before: OffsetDateTime,
    /// `data.not_before` as the event says it.
    pub asked_not_before: Option<OffsetDateTime>,
    /// `data.reason`.
    pub reason: Option<String>,
    /// `data.actor`.
    pub actor: Option<String>,
    /// `data.incident`; of a logout's targets beyond a sender's rate, the incident that holds them.
    pub incident: Option<String>,
    /// `data.incident_targets`.
    pub incident_targets: Option<i64>,
    /// `data.incident_kinds`: how many targets of each kind the whole incident will have, where known.
    pub incident_kinds: Vec<(Kind, i64)>,
    /// The trace that it belongs to. It means nothing for what the event orders.
    pub trace: Option<Trace>,
    /// 1 to `max_targets` targets.
    pub targets: Vec<Target>,
}

/// The rules that a deployment adds to the contract's.
pub struct Rules {
    /// Largest accepted body, bytes.
    pub max_message_bytes: usize,
    /// Most targets in an event.
    pub max_targets: usize,
    /// Longest token, bytes.
    pub max_token_bytes: usize,
    /// Provider of events that name none.
    pub default_provider: Option<Arc<str>>,
    /// The configured providers.
    pub providers: Vec<ProviderRule>,
    /// Who may order what.
    pub authority: Authority,
    /// From the ids of Keycloak's realms to the providers that they are.
    pub realms: BTreeMap<String, Arc<str>>,
}

impl Rules {
    /// How long a token of this provider lives at most, where nothing is known of it.
    pub fn token_ttl(&self, provider: &str) -> Duration {
        self.providers
            .iter()
            .find(|rule| *rule.name == *provider)
            .map_or(Duration::ZERO, |rule| rule.token_ttl)
    }
}

/// What parsing needs to know of a provider.
#[derive(Clone)]
pub struct ProviderRule {
    /// Its name.
    pub name: Arc<str>,
    /// Its `issuer`, to resolve targets by `iss`.
    pub issuer: Option<String>,
    /// How long a denial lasts where the token's end of life is unknown or lies beyond reason.
    pub token_ttl: Duration,
}

/// Reads one delivery of this form. `received_at` is this worker's clock.
///
/// # Errors
/// The refusal of the first broken rule. It carries the event's `source` and `id` where those could be read.
pub fn read(
    form: Form,
    body: &[u8],
    origin: &Origin,
    rules: &Rules,
    received_at: OffsetDateTime,
) -> Result<Said, Refusal> {
    form.read(body, &receipt::Receipt { origin, rules, at: received_at })
}

/// Reads one in the format that its properties and its shape name, and that is to ask for something.
///
/// # Errors
/// See [`read`].
pub fn parse(
    body: &[u8],
    origin: &Origin,
    rules: &Rules,
    received_at: OffsetDateTime,
) -> Result<LogoutEvent, Refusal> {
    match read(Form::of(body, origin, rules)?, body, origin, rules, received_at)? {
        Said::Event(event) => Ok(*event),
        Said::Nothing | Said::RefusedInput(_) => {
            let detail = "the event is of a kind that asks for nothing";
            Err(Refusal::new(RefusalCode::UnknownType, detail))
        }
    }
}
