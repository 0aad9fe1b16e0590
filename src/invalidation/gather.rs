//! Gathering: which targets share a message. One message tells of one provider and one kind, of as many
//! events as it has room for.

use std::collections::VecDeque;
use std::sync::Arc;

use revocation_verifier::message::{Entry, EventOf, MAX_TARGETS, TargetOf};

use super::entry::texts;
use crate::target::Kind;

/// A message takes no more once its entries are this long, bytes of JSON, about.
const FULL: usize = 256 * 1024;
/// What an entry takes beside its texts: names of members, digests, times.
const ENTRY: usize = 256;

/// What one message will say. `W` is whoever wants to know when it has been said.
pub struct Gathered<W> {
    pub(super) provider: Arc<str>,
    pub(super) kind: Kind,
    pub(super) events: Vec<Arc<EventOf>>,
    pub(super) targets: Vec<TargetOf>,
    /// One for each of its events.
    pub waiting: Vec<W>,
    bytes: usize,
}

impl<W> Gathered<W> {
    /// How many targets it tells of.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Whether it has no room left.
    pub fn is_full(&self) -> bool {
        self.targets.len() >= MAX_TARGETS || self.bytes >= FULL
    }
}

/// What waits to be said, in order of arrival.
pub struct Gathering<W>(VecDeque<Gathered<W>>);

impl<W> Default for Gathering<W> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<W: Clone> Gathering<W> {
    /// Adds what an event denies or confirms at its providers; returns how many messages that is in, each of
    /// which tells the one who `waits`.
    pub fn add(
        &mut self,
        event: &Arc<EventOf>,
        entries: impl IntoIterator<Item = (Arc<str>, Entry)>,
        waits: &W,
    ) -> usize {
        let mut messages = 0;
        for (provider, entry) in entries {
            let (kind, bytes) = (entry.kind(), ENTRY + texts(&entry));
            // The last of its kind: those before it are full.
            let last = self.0.iter().rposition(|one| one.kind == kind && one.provider == provider);
            let message = match last.and_then(|at| self.0.get_mut(at)) {
                Some(message) if !message.is_full() => message,
                _ => self.0.push_back_mut(Gathered::new(provider, kind)),
            };
            if !message.events.last().is_some_and(|last| Arc::ptr_eq(last, event)) {
                message.bytes += event.event.source.len() + event.event.id.len();
                message.bytes += event.traceparent.as_ref().map_or(0, String::len);
                message.events.push(event.clone());
                message.waiting.push(waits.clone());
                messages += 1;
            }
            message.bytes += bytes;
            message.targets.push(TargetOf { entry, event: message.events.len() - 1 });
        }
        messages
    }

    /// The message that has waited longest.
    pub fn first(&self) -> Option<&Gathered<W>> {
        self.0.front()
    }

    /// Takes it.
    pub fn take(&mut self) -> Option<Gathered<W>> {
        self.0.pop_front()
    }
}

impl<W> Gathered<W> {
    fn new(provider: Arc<str>, kind: Kind) -> Self {
        Self { provider, kind, events: Vec::new(), targets: Vec::new(), waiting: Vec::new(), bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use revocation_verifier::message::EventRef;
    use time::OffsetDateTime;

    use super::*;

    fn event(id: &str) -> Arc<EventOf> {
        let event = EventRef { source: "/apps/shop".to_owned(), id: id.to_owned() };
        Arc::new(EventOf { event, incident: None, traceparent: None })
    }

    fn of(provider: &str, sub: &str) -> (Arc<str>, Entry) {
        let (not_before, expires_at) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        let (subject_claims, claims_iss, iss) = (Vec::new(), None, None);
        let entry =
            Entry::Subject { iss, sub: sub.to_owned(), subject_claims, claims_iss, not_before, expires_at };
        (provider.into(), entry)
    }

    fn issuer(provider: &str) -> (Arc<str>, Entry) {
        let (not_before, expires_at) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        let entry = Entry::Issuer { iss: "i".to_owned(), not_before, expires_at };
        (provider.into(), entry)
    }

    /// Each message: how many targets, its events by id, and who waits for it.
    fn taken(gathering: &mut Gathering<char>) -> Vec<(usize, Vec<String>, Vec<char>)> {
        let taken = std::iter::from_fn(|| gathering.take());
        let ids = |one: &Gathered<char>| one.events.iter().map(|event| event.event.id.clone()).collect();
        taken.map(|one| (one.targets(), ids(&one), one.waiting)).collect()
    }

    #[test]
    fn events_share_a_message_by_provider_and_kind() {
        let mut gathering = Gathering::default();
        assert_eq!(gathering.add(&event("1"), [of("a", "u"), of("b", "u"), of("a", "v")], &'x'), 2);
        assert_eq!(gathering.add(&event("2"), [of("a", "w"), issuer("a")], &'y'), 2);
        assert_eq!(gathering.add(&event("3"), [], &'z'), 0);
        let first = gathering.first().expect("one waits");
        assert_eq!(first.targets.iter().map(|target| target.event).collect::<Vec<_>>(), [0, 0, 1]);
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            taken(&mut gathering),
            [(3, ids(&["1", "2"]), vec!['x', 'y']), (1, ids(&["1"]), vec!['x']), (1, ids(&["2"]), vec!['y'])]
        );
        assert!(gathering.first().is_none());
    }

    #[test]
    fn a_message_is_full_by_targets_and_by_bytes() {
        let sizes = |texts: Vec<String>| {
            let mut gathering = Gathering::default();
            gathering.add(&event("0"), [of("a", "u")], &'x');
            gathering.add(&event("1"), texts.iter().map(|text| of("a", text)), &'y');
            gathering.add(&event("2"), [of("a", "u")], &'z');
            taken(&mut gathering).into_iter().map(|(targets, ..)| targets).collect::<Vec<_>>()
        };
        assert_eq!(sizes(vec!["u".to_owned(); 498]), [500]);
        assert_eq!(sizes(vec!["u".to_owned(); 499]), [500, 1]);
        assert_eq!(sizes(vec!["u".to_owned(); 1000]), [500, 500, 2]);
        assert_eq!(sizes(vec!["u".repeat(FULL / 2); 4]), [3, 2, 1]);
        assert_eq!(sizes(vec!["u".repeat(FULL); 2]), [2, 1, 1]);
    }
}
