//! Folding the log: what of it still denies something, once, in parts; and when it is worth it.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use aws_lc_rs::digest;
use revocation_verifier::feed::{Ends, Latest};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use time::OffsetDateTime;

use super::MAX_TARGETS;

/// A part's bytes stay below this, however long its entries are.
const PART_BYTES: usize = 250_000;
/// Clocks of folder and verifiers may differ by this much: what has just expired is kept.
const SKEW: Duration = Duration::from_secs(600);

/// So many messages behind a snapshot are worth another one: a verifier reads them within half a second.
const WORTH_A_FOLD: u64 = 20_000;
/// So many are while there is much else to do: folding takes of the same processor and broker, and can wait.
/// They are read within three seconds.
const WORTH_A_FOLD_NOW: u64 = 100_000;
/// Nor is one worth it before the log has grown by this fraction of the last one's entries, all of which are
/// read and written again.
const GROWTH: u64 = 10;
/// Fewer messages are worth one only now and then, so that little is left to read in quiet times, too.
const FEW: u64 = 1000;
const NOW_AND_THEN: Duration = Duration::from_secs(3600);
/// Somebody who folds says so at least every 20 s.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);

/// Whether the log should be folded now, by a worker that is busy or not. Of bytes there is no rule: what
/// makes messages long is entries, and the live ones are read in any case.
pub fn is_due(log: &Ends, latest: &Latest, is_busy: bool, now: OffsetDateTime) -> bool {
    let (few, worth_it) = if is_busy { (WORTH_A_FOLD_NOW, WORTH_A_FOLD_NOW) } else { (FEW, WORTH_A_FOLD) };
    if latest.unfinished.is_some_and(|at| now - at < GIVEN_UP_AFTER) {
        return false;
    }
    let Some(snapshot) = &latest.complete else { return log.messages_since(None) >= few };
    let is_another_log = log.last.is_some_and(|last| last.offset < snapshot.mark.offset);
    let messages = log.messages_since((!is_another_log).then_some(snapshot.mark));
    let is_old = snapshot.mark.time.is_none_or(|at| now - at >= NOW_AND_THEN);
    messages >= worth_it.max(snapshot.end.entries / GROWTH) || (messages >= few && (is_old || is_another_log))
}

/// The members of an entry that folding looks at. The rest is passed on as it is, also what this release does
/// not know.
#[derive(Deserialize)]
struct Expiry {
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Gathers what still denies something.
pub struct Folder {
    forgotten: OffsetDateTime,
    seen: HashSet<u128>,
    part: Vec<Box<RawValue>>,
    bytes: usize,
}

impl Folder {
    /// Leaves out what has expired before `now`.
    pub fn new(now: OffsetDateTime) -> Self {
        Self { forgotten: now - SKEW, seen: HashSet::new(), part: Vec::new(), bytes: 0 }
    }

    /// Adds an entry, unless it has expired or is there already; returns the part that is full with it. One
    /// without a time of expiry is not an entry.
    pub fn add(&mut self, target: &RawValue) -> Option<Vec<Box<RawValue>>> {
        let Expiry { expires_at } = serde_json::from_str(target.get()).ok()?;
        if expires_at <= self.forgotten {
            return None;
        }
        let target = without_event(target);
        if !self.seen.insert(fingerprint(target.get())) {
            return None;
        }
        self.bytes += target.get().len();
        self.part.push(target);
        (self.part.len() >= MAX_TARGETS || self.bytes >= PART_BYTES).then(|| self.rest())
    }

    /// What is not in a part yet.
    pub fn rest(&mut self) -> Vec<Box<RawValue>> {
        self.bytes = 0;
        std::mem::take(&mut self.part)
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.seen.len() as u64
    }
}

/// An entry without the member `event`, which counts the events of its own message: outside that it means
/// nothing, and hides that two are the same.
fn without_event(target: &RawValue) -> Box<RawValue> {
    let stripped = || {
        let mut members: BTreeMap<&str, &RawValue> = serde_json::from_str(target.get()).ok()?;
        members.remove("event")?;
        to_raw_value(&members).ok()
    };
    let may_have_it = target.get().contains("\"event\"");
    may_have_it.then(stripped).flatten().unwrap_or_else(|| target.to_owned())
}

fn fingerprint(text: &str) -> u128 {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use revocation_verifier::feed::{Mark, Snapshot};
    use revocation_verifier::message::{LogMark, SnapshotEnd};
    use serde_json::json;

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::days(20_000));

    fn raw(value: &serde_json::Value) -> Box<RawValue> {
        to_raw_value(value).unwrap()
    }

    fn entry(name: usize, minutes: i64) -> serde_json::Value {
        let expires_at = NOW + time::Duration::minutes(minutes);
        let expires_at = expires_at.format(&time::format_description::well_known::Rfc3339).unwrap();
        json!({ "kind": "subject", "sub": name.to_string(), "unknown": [name], "expires_at": expires_at })
    }

    #[test]
    fn what_still_denies_something_is_kept_once_and_as_it_is() {
        let mut folder = Folder::new(NOW);
        let mut with_event = entry(1, 60);
        with_event["event"] = json!(3);
        let kept = [entry(1, 60), entry(2, 1), entry(2, 2), entry(3, -9)];
        let left_out = [
            entry(1, 60),
            with_event,
            entry(4, -11),
            json!({ "kind": "token" }),
            json!({ "expires_at": "soon" }),
            json!(7),
        ];
        for target in kept.iter().chain(&left_out) {
            assert!(folder.add(&raw(target)).is_none(), "no part is full");
        }
        assert_eq!(folder.entries(), 4);
        let rest: Vec<serde_json::Value> =
            folder.rest().iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
        assert_eq!(rest, kept);
        assert!(folder.rest().is_empty());
    }

    #[test]
    fn an_entry_of_a_shared_message_is_kept_without_its_index() {
        let mut folder = Folder::new(NOW);
        let mut target = entry(1, 60);
        target["event"] = json!(3);
        assert!(folder.add(&raw(&target)).is_none());
        let rest: serde_json::Value = serde_json::from_str(folder.rest()[0].get()).unwrap();
        assert_eq!(rest, entry(1, 60));
    }

    #[test]
    fn a_part_is_full_by_number_and_by_bytes() {
        let mut folder = Folder::new(NOW);
        let full: Vec<_> = (0..MAX_TARGETS).filter_map(|n| folder.add(&raw(&entry(n, 60)))).collect();
        assert_eq!(full.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_TARGETS]);
        let mut long = entry(MAX_TARGETS, 60);
        long["sid"] = json!("x".repeat(PART_BYTES));
        assert_eq!(folder.add(&raw(&long)).map(|part| part.len()), Some(1));
    }

    fn mark(offset: u64, minutes: i64) -> Mark {
        Mark { offset, time: Some(NOW - time::Duration::minutes(minutes)), body: [0; 32] }
    }

    fn latest(offset: u64, minutes: i64, entries: u64) -> Latest {
        let end = SnapshotEnd {
            parts: 1,
            entries,
            after: None,
            mark: LogMark { offset, time: None, sha256: String::new() },
            complete_since: None,
            publishers: BTreeMap::new(),
            publishers_since: None,
        };
        Latest {
            complete: Some(Snapshot {
                id: "s".to_owned(),
                offset: 0,
                end,
                mark: mark(offset, minutes),
                made_at: NOW,
            }),
            ..Latest::default()
        }
    }

    #[test]
    fn the_log_is_folded_when_it_has_grown() {
        let log = |last| Ends { first: Some(mark(0, 99_999)), last: Some(mark(last, 0)) };
        let cases = [
            (log(999), Latest::default(), false, "too short to begin"),
            (log(1000), Latest::default(), true, "long enough to begin"),
            (log(26_999), latest(7000, 30, 10), false, "little behind the snapshot"),
            (log(27_000), latest(7000, 30, 10), true, "enough behind the snapshot"),
            (log(27_000), latest(7000, 30, 1_000_000), false, "little beside what it holds"),
            (log(107_000), latest(7000, 30, 1_000_000), true, "enough beside what it holds"),
            (log(8000), latest(7000, 59, 10), false, "a little, soon after"),
            (log(8000), latest(7000, 60, 10), true, "a little, an hour after"),
            (log(7999), latest(7000, 6000, 10), false, "next to nothing"),
            (log(6000), latest(7000, 1, 10), true, "another log"),
            (log(900), latest(7000, 1, 10), false, "another log, just begun"),
        ];
        for (log, latest, due, why) in cases {
            assert_eq!(is_due(&log, &latest, false, NOW), due, "{why}");
        }
        for (last, due) in [(27_000, false), (106_999, false), (107_000, true)] {
            assert_eq!(is_due(&log(last), &latest(7000, 60, 10), true, NOW), due, "busy at {last}");
        }
        for (seconds, due) in [(0, false), (59, false), (60, true)] {
            let unfinished = Some(NOW - Duration::from_secs(seconds));
            assert_eq!(
                is_due(&log(90_000), &Latest { unfinished, ..latest(0, 0, 0) }, false, NOW),
                due,
                "somebody folded {seconds} s ago"
            );
        }
    }
}
