//! Where reading begins, and whether something that was published is missing there.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::message::LogMark;

/// A message as it lies in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where it lies.
    pub offset: u64,
    /// Its envelope's `time`, where that could be read.
    pub time: Option<OffsetDateTime>,
    /// SHA-256 of its body, by which it is known again, here and by others.
    pub body: [u8; 32],
}

impl Mark {
    /// The mark of a message.
    pub fn new(offset: u64, time: Option<OffsetDateTime>, body: &[u8]) -> Self {
        Self { offset, time, body: Sha256::digest(body).into() }
    }

    /// As it stands in a snapshot.
    pub fn to_wire(self) -> LogMark {
        let sha256 = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        LogMark { offset: self.offset, time: self.time, sha256 }
    }

    /// From a snapshot, if its digest is one.
    pub fn from_wire(mark: &LogMark) -> Option<Self> {
        let digits: Vec<u8> =
            mark.sha256.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        Some(Self {
            offset: mark.offset,
            time: mark.time,
            body: bytes.try_into().ok().filter(|_| digits.len() == 64)?,
        })
    }
}

/// What the stream holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Its oldest message.
    pub first: Option<Mark>,
    /// Its newest message.
    pub last: Option<Mark>,
}

impl Ends {
    /// About how many messages lie behind `mark`, or from the beginning on.
    pub fn messages_since(&self, mark: Option<Mark>) -> u64 {
        let from = mark.or(self.first).map_or(0, |mark| mark.offset);
        self.last.map_or(0, |last| last.offset.saturating_sub(from))
    }

    /// When this log began, where it is another one than that of a snapshot which reaches to `folded`. What
    /// the former one held is then in that snapshot alone.
    pub fn made_anew(&self, folded: Mark, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let first = self.first?.time.unwrap_or(now).min(now);
        folded.time.is_none_or(|folded| folded < first).then_some(first)
    }
}

/// The stream offset to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// What was written to the stream at or after this moment; some older messages come too.
    Time(OffsetDateTime),
    /// The last message applied, to see that it is still the same one.
    Again(Mark),
    /// The oldest message.
    First,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "{time}"),
            Self::Again(mark) => write!(f, "offset {}", mark.offset),
            Self::First => f.write_str("first"),
        }
    }
}

/// A plan for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Where to begin.
    pub from: From,
    /// The offset up to which reading is catching up; `None`: nothing there that still matters.
    pub catch_up_to: Option<u64>,
    /// Denials may be missing until then, when the tokens that they named have expired.
    pub incomplete_until: Option<OffsetDateTime>,
}

impl Begin {
    /// Whether a reading that begins with the message at `offset`, of this time, may have left out some that
    /// matter. The broker goes by its own clock; when it is as far behind as that, all of them.
    pub(super) fn leaves_out(&self, ends: Ends, offset: u64, time: Option<OffsetDateTime>) -> bool {
        match self.from {
            From::Time(since) => {
                ends.first.is_some_and(|first| first.offset < offset)
                    && time.is_none_or(|time| time > since + SKEW)
            }
            From::Again(_) | From::First => false,
        }
    }
}

/// Clocks of broker, workers and verifier may differ by this much before all of the log has to be read.
pub(super) const SKEW: Duration = Duration::from_secs(600);
/// Workers publish again what the broker had confirmed this long before it was lost.
const REPUBLISHED: Duration = Duration::from_secs(60);

/// Plans a session. `applied` is the last message applied, `is_rewritten` whether the stream turned out to
/// hold another one in its place.
pub(super) fn plan(
    applied: Option<Mark>,
    is_rewritten: bool,
    ends: Ends,
    lifetime: Duration,
    now: OffsetDateTime,
) -> Begin {
    let matters_from = now - lifetime;
    // A message whose time cannot be read, or lies ahead, may be of any time: take the worse.
    let first = ends.first.map(|first| first.time.map_or(now, |time| time.min(now)));
    let lost_before = |first: OffsetDateTime| Some(first + lifetime).filter(|_| first > matters_from);
    let from_time = From::Time(matters_from - SKEW);
    let (from, incomplete_until) = match (applied, ends.first, ends.last) {
        (None, begin, _) => {
            let is_cut = begin.is_some_and(|begin| begin.offset > 0);
            (from_time, first.filter(|_| is_cut).and_then(lost_before))
        }
        (Some(mark), Some(begin), Some(end)) if !is_rewritten && mark.offset <= end.offset => {
            if mark.offset < begin.offset {
                (From::First, first.and_then(lost_before))
            } else {
                (From::Again(mark), None)
            }
        }
        // Another stream of that name, or the broker lost the end of this one: everything anew, and what is
        // held stays.
        (Some(mark), ..) => {
            let continues = |first: OffsetDateTime| {
                mark.time.is_some_and(|applied| first <= applied.min(now) + REPUBLISHED)
            };
            (from_time, Some(first.unwrap_or(now)).filter(|first| !continues(*first)).and_then(lost_before))
        }
    };
    let catch_up_to =
        ends.last.filter(|last| last.time.is_none_or(|time| time >= matters_from)).map(|last| last.offset);
    Begin { from, catch_up_to, incomplete_until }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(number: u64) -> [u8; 32] {
        Mark::new(0, None, &number.to_be_bytes()).body
    }

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::days(20_000));

    /// A message of `minutes` ago.
    fn mark(offset: u64, minutes: u64) -> Mark {
        Mark { offset, time: Some(NOW - Duration::from_secs(60 * minutes)), body: body(offset) }
    }

    fn ends(first: Mark, last: Mark) -> Ends {
        Ends { first: Some(first), last: Some(last) }
    }

    fn doubt(begin: Begin) -> Option<u64> {
        begin.incomplete_until.map(|until| (until - NOW).whole_minutes().unsigned_abs())
    }

    #[test]
    fn a_new_verifier_reads_as_far_back_as_tokens_live() {
        let begin = plan(None, false, ends(mark(0, 30), mark(70, 0)), HOUR, NOW);
        assert_eq!(
            begin,
            Begin { from: From::Time(NOW - HOUR - SKEW), catch_up_to: Some(70), incomplete_until: None }
        );
        let begin = plan(None, false, ends(mark(5000, 61), mark(9000, 0)), HOUR, NOW);
        assert_eq!(doubt(begin), None, "the stream reaches back far enough");
    }

    #[test]
    fn a_new_verifier_notices_a_stream_that_is_too_short() {
        assert_eq!(doubt(plan(None, false, ends(mark(5000, 20), mark(9000, 0)), HOUR, NOW)), Some(40));
        let ahead = Some(time::Date::MAX.midnight().assume_utc());
        for time in [None, ahead] {
            let odd = Mark { time, ..mark(5000, 0) };
            assert_eq!(doubt(plan(None, false, ends(odd, mark(9000, 0)), HOUR, NOW)), Some(60));
        }
    }

    #[test]
    fn nothing_that_matters_is_nothing_to_catch_up_with() {
        assert_eq!(plan(None, false, Ends::default(), HOUR, NOW).catch_up_to, None);
        assert_eq!(plan(None, false, ends(mark(0, 500), mark(9, 61)), HOUR, NOW).catch_up_to, None);
    }

    #[test]
    fn a_known_verifier_goes_on_where_it_was() {
        let begin = plan(Some(mark(50, 5)), false, ends(mark(0, 30), mark(70, 0)), HOUR, NOW);
        assert_eq!(
            begin,
            Begin { from: From::Again(mark(50, 5)), catch_up_to: Some(70), incomplete_until: None }
        );
        let begin = plan(Some(mark(70, 5)), false, ends(mark(70, 5), mark(70, 5)), HOUR, NOW);
        assert_eq!(begin.from, From::Again(mark(70, 5)));
    }

    #[test]
    fn what_was_dropped_while_it_was_away_is_noticed() {
        let begin = plan(Some(mark(50, 30)), false, ends(mark(60, 10), mark(70, 0)), HOUR, NOW);
        assert_eq!((begin.from, doubt(begin)), (From::First, Some(50)));
        let begin = plan(Some(mark(50, 500)), false, ends(mark(60, 90), mark(70, 0)), HOUR, NOW);
        assert_eq!((begin.from, doubt(begin)), (From::First, None), "it named only tokens that have expired");
    }

    #[test]
    fn a_mark_is_the_same_after_a_journey() {
        let marks = [mark(7, 3), Mark { time: None, ..mark(0, 0) }, mark(u64::MAX, 1)];
        marks.into_iter().for_each(|mark| assert_eq!(Mark::from_wire(&mark.to_wire()), Some(mark)));
        for sha256 in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(
                Mark::from_wire(&LogMark { offset: 1, time: None, sha256: sha256.to_owned() }),
                None,
                "{sha256}"
            );
        }
    }

    #[test]
    fn what_a_brokers_clock_leaves_out_is_noticed() {
        let ends = ends(mark(0, 500), mark(70, 0));
        let since = plan(None, false, ends, HOUR, NOW);
        let cases = [
            (since, 70, Some(0), true, "only what is new: its clock is hours behind"),
            (since, 60, Some(59), true, "a little too late"),
            (since, 50, Some(60), false, "just in time"),
            (since, 40, Some(70), false, "as it should be"),
            (since, 0, Some(1), false, "there is nothing before it"),
            (since, 60, None, true, "of which nobody knows"),
            (Begin { from: From::First, ..since }, 60, Some(1), false, "all that there is"),
            (plan(Some(mark(60, 1)), false, ends, HOUR, NOW), 60, Some(1), false, "goes on"),
        ];
        for (begin, offset, minutes, leaves_out, what) in cases {
            let time = minutes.and_then(|minutes| mark(0, minutes).time);
            assert_eq!(begin.leaves_out(ends, offset, time), leaves_out, "{what}");
        }
    }

    #[test]
    fn another_stream_is_read_anew() {
        let all = From::Time(NOW - HOUR - SKEW);
        let lost_its_end = plan(Some(mark(71, 2)), false, ends(mark(0, 30), mark(70, 3)), HOUR, NOW);
        assert_eq!(
            (lost_its_end.from, doubt(lost_its_end)),
            (all, None),
            "workers publish the last minute again"
        );
        let rewritten = plan(Some(mark(50, 20)), true, ends(mark(0, 10), mark(70, 0)), HOUR, NOW);
        assert_eq!((rewritten.from, doubt(rewritten)), (all, Some(50)), "ten minutes are nowhere");
        let empty = plan(Some(mark(50, 20)), false, Ends::default(), HOUR, NOW);
        assert_eq!((empty.from, doubt(empty)), (all, Some(60)));
    }
}
