//! Targets into events: one kind and one provider an event, and for each event an identity that the same
//! command gives it again.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::check::ValidTarget;

use super::event::{LONGEST_COUNTS, LONGEST_ID, Order, digest, now};
use crate::config::LimitsConfig;
use crate::target::Kind;
use crate::visible::hex;

/// Most targets of an event: enough to be quick, few enough that a worker that stops leaves little to do
/// again.
const MOST_TARGETS: usize = 200;
/// What `"provider":"",` adds to an event.
const PROVIDER_BYTES: usize = 14;

/// The targets of one event.
pub(crate) struct Chunk {
    pub(crate) kind: Kind,
    pub(crate) provider: Option<String>,
    /// From 1, among the chunks of its kind and provider.
    pub(crate) number: u64,
    pub(crate) targets: Vec<Zeroizing<String>>,
    bytes: usize,
}

/// The chunks that are being filled. The same targets in the same order fill the same chunks, whichever kinds
/// are left out.
pub(crate) struct Chunker {
    most_targets: usize,
    /// Of the targets alone.
    most_bytes: usize,
    /// For the targets and the provider's name.
    room: usize,
    open: BTreeMap<(&'static str, Option<String>), Chunk>,
}

impl Chunker {
    /// Chunks whose events are within the limits, whatever the counts in them come to be.
    pub(crate) fn new(order: &Order, limits: &LimitsConfig) -> Self {
        let frame = order.event(LONGEST_ID, &now(), None, &LONGEST_COUNTS, std::iter::empty()).len();
        Self {
            most_targets: MOST_TARGETS.min(limits.max_targets),
            most_bytes: limits.max_message_bytes / 2,
            room: limits.max_message_bytes.saturating_sub(frame),
            open: BTreeMap::new(),
        }
    }

    /// Takes a target; gives back the chunk that had no room for it.
    pub(crate) fn add(&mut self, target: ValidTarget) -> Option<Chunk> {
        let group = (target.kind.as_str(), target.named.clone());
        let room = self
            .room
            .saturating_sub(target.named.as_ref().map_or(0, |name| PROVIDER_BYTES + 2 * name.len()))
            .min(self.most_bytes);
        let empty = |number| Chunk {
            kind: target.kind,
            provider: target.named.clone(),
            number,
            targets: Vec::new(),
            bytes: 0,
        };
        let chunk = self.open.entry(group).or_insert_with(|| empty(1));
        let size = target.json.len() + 1;
        let is_full = chunk.targets.len() >= self.most_targets || chunk.bytes + size > room;
        let full =
            (is_full && !chunk.targets.is_empty()).then(|| std::mem::replace(chunk, empty(chunk.number + 1)));
        chunk.bytes += size;
        chunk.targets.push(target.json);
        full
    }

    /// The chunks that are not full.
    pub(crate) fn finish(self) -> impl Iterator<Item = Chunk> {
        self.open.into_values()
    }
}

impl Chunk {
    /// The `id` of a chunk's event: it follows from the order's random part, the incident's name and the
    /// targets. A cutoff that was given is part of it, so that another one is another event; one that was not
    /// is the first event's, as the worker drops the second.
    pub(crate) fn id(&self, order: &Order) -> String {
        let incident = hex(&digest([order.random.as_str(), &order.incident])[..8]);
        let cutoff =
            if self.kind == Kind::Token { "" } else { order.not_before.as_deref().unwrap_or_default() };
        let named = [order.random.as_str(), self.provider.as_deref().unwrap_or_default(), cutoff];
        let targets =
            hex(&digest(named.into_iter().chain(self.targets.iter().map(|target| target.as_str())))[..16]);
        format!("{incident}-{}-{}-{targets}", self.kind.as_str(), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::order;
    use super::*;

    fn limits(max_message_bytes: usize, max_targets: usize) -> LimitsConfig {
        LimitsConfig { max_message_bytes, max_targets, ..LimitsConfig::default() }
    }

    fn target(kind: Kind, provider: Option<&str>, json: &str) -> ValidTarget {
        let json = Zeroizing::new(json.to_owned());
        ValidTarget {
            kind,
            named: provider.map(str::to_owned),
            provider: "".into(),
            fingerprint: [0; 16],
            json,
        }
    }

    fn tokens(count: usize) -> impl Iterator<Item = ValidTarget> {
        (0..count).map(|number| target(Kind::Token, None, &format!(r#"{{"token":"{number:06}"}}"#)))
    }

    /// Every chunk's id and number of targets, in the order in which they are given out.
    fn chunks(
        order: Order,
        limits: &LimitsConfig,
        targets: impl IntoIterator<Item = ValidTarget>,
    ) -> Vec<(String, usize)> {
        let mut chunker = Chunker::new(&order, limits);
        let mut found = Vec::new();
        let mut give = |chunk: Chunk| {
            let id = chunk.id(&order);
            let event = order.event(
                &id,
                &now(),
                chunk.provider.as_deref(),
                &LONGEST_COUNTS,
                chunk.targets.iter().map(|target| target.as_str()),
            );
            assert!(
                event.len() <= limits.max_message_bytes && id.len() <= LONGEST_ID.len(),
                "{} bytes",
                event.len()
            );
            found.push((id, chunk.targets.len()));
        };
        for target in targets {
            chunker.add(target).into_iter().for_each(&mut give);
        }
        chunker.finish().for_each(&mut give);
        found
    }

    fn sizes(limits: &LimitsConfig, targets: impl IntoIterator<Item = ValidTarget>) -> Vec<usize> {
        chunks(order(), limits, targets).into_iter().map(|(_, size)| size).collect()
    }

    #[test]
    fn events_have_200_targets_or_what_the_limits_allow() {
        assert_eq!(sizes(&LimitsConfig::default(), tokens(450)), [200, 200, 50]);
        assert_eq!(sizes(&limits(1 << 20, 100), tokens(250)), [100, 100, 50]);
        // 17 bytes a target and a comma, in half of 4 KiB.
        assert_eq!(sizes(&limits(4096, 1000), tokens(200)), [107, 93]);
    }

    #[test]
    fn however_small_a_message_may_be_events_fit() {
        // Half of a message has room for two; beside the reason, the whole has not.
        let order = Order { reason: "r".repeat(300), ..order() };
        let long = |number: usize| {
            target(Kind::Token, Some("a-providers-name"), &format!(r#"{{"token":"{number:0200}"}}"#))
        };
        let sizes: Vec<usize> =
            chunks(order, &limits(1024, 1000), (0..10).map(long)).into_iter().map(|(_, size)| size).collect();
        assert_eq!(sizes, [1; 10]);
    }

    #[test]
    fn one_kind_and_one_provider_an_event() {
        let named = |kind, provider| target(kind, provider, r#"{"sub":"u"}"#);
        let mixed = [
            named(Kind::Subject, None),
            named(Kind::Client, None),
            named(Kind::Subject, Some("main")),
            named(Kind::Subject, None),
            named(Kind::Token, Some("main")),
        ];
        let found = chunks(order(), &LimitsConfig::default(), mixed);
        assert_eq!(found.iter().map(|(_, size)| *size).collect::<Vec<_>>(), [1, 2, 1, 1]);
    }

    #[test]
    fn ids_follow_from_the_random_part_name_and_targets_alone() {
        let ids = |order: Order, targets: Vec<ValidTarget>| chunks(order, &LimitsConfig::default(), targets);
        let first = ids(order(), tokens(450).collect());
        assert_eq!(
            ids(
                Order { reason: "other".to_owned(), actor: "bob".to_owned(), ..order() },
                tokens(450).collect()
            ),
            first
        );
        assert!(first[0].0.contains("-token-1-") && first[2].0.contains("-token-3-"), "{first:?}");
        let other = ids(Order { incident: "other".to_owned(), ..order() }, tokens(450).collect());
        assert!(other.iter().zip(&first).all(|(other, first)| other.0 != first.0));
        let guessed = ids(Order { random: "guessed".to_owned(), ..order() }, tokens(450).collect());
        let parts = |ids: &[(String, usize)]| {
            ids.iter()
                .flat_map(|(id, _)| [id[..16].to_owned(), id[id.len() - 32..].to_owned()])
                .collect::<Vec<_>>()
        };
        assert!(
            parts(&guessed).iter().zip(parts(&first)).all(|(guessed, first)| *guessed != first),
            "no part can be computed without it"
        );
        let fewer = ids(order(), tokens(449).collect());
        assert!(fewer[..2] == first[..2] && fewer[2] != first[2]);
        let at_provider = |provider| ids(order(), vec![target(Kind::Subject, provider, "{}")]);
        assert_ne!(at_provider(None), at_provider(Some("main")));
    }

    #[test]
    fn another_cutoff_is_another_event_of_wide_targets_only() {
        let ids = |kind, not_before: Option<&str>| {
            let order = Order { not_before: not_before.map(str::to_owned), ..order() };
            chunks(order, &LimitsConfig::default(), [target(kind, None, "{}")])
        };
        let (one, other) = (Some("2026-11-20T22:30:00Z"), Some("2026-11-20T23:30:00Z"));
        assert_ne!(ids(Kind::Subject, one), ids(Kind::Subject, other));
        assert_ne!(ids(Kind::Subject, one), ids(Kind::Subject, None));
        assert_eq!(ids(Kind::Token, one), ids(Kind::Token, other));
    }
}
