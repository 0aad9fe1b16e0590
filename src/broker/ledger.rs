//! Numbers what is published to the log, in the order in which it lies there, and keeps what the broker has
//! confirmed of it.
//!
//! A number is given in the same step that hands the message to the client, and only for the present
//! connection; on one channel the broker keeps their order. A confirm that comes when its connection has been
//! given up counts as lost. So whoever has read a number has read every confirmed message with a smaller one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use revocation_verifier::message::{PUBLISHER_HEADER, Progress, SEQUENCE_HEADER};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::clock::Clock;

/// What a publisher has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The present connection's number; 0: there is none.
    pub link: u64,
    /// The highest number given.
    pub attempted: u64,
    /// The highest number confirmed.
    pub sequence: u64,
    /// When the message with that number was published.
    pub published: Option<(Instant, OffsetDateTime)>,
}

/// One for each run of a process.
pub(super) struct Ledger {
    publisher: String,
    standing: Mutex<Standing>,
    moved: Notify,
    clock: Clock,
}

/// A number that was given.
pub(super) struct Numbered {
    link: u64,
    sequence: u64,
    published: (Instant, OffsetDateTime),
}

impl Ledger {
    pub(super) fn new(clock: Clock) -> Self {
        let publisher = format!("{:016x}", rand::random::<u64>());
        Self { publisher, standing: Mutex::default(), moved: Notify::new(), clock }
    }

    pub(super) fn publisher(&self) -> &str {
        &self.publisher
    }

    pub(super) fn standing(&self) -> Standing {
        *self.lock()
    }

    /// Waits until something has changed since the last time that this was waited for.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// There is another connection; 0: none.
    pub(super) fn link(&self, link: u64) {
        self.lock().link = link;
        self.moved.notify_one();
    }

    /// Does `hand_over` for the connection `link`, in the order of the numbers; `None` where that is no
    /// longer the present one.
    pub(super) fn in_order<T>(&self, link: u64, hand_over: impl FnOnce(&mut Entry<'_>) -> T) -> Option<T> {
        let mut standing = self.lock();
        let handed_over = if standing.link == link {
            Some(hand_over(&mut Entry { ledger: self, standing: &mut standing }))
        } else {
            None
        };
        drop(standing);
        self.moved.notify_one();
        handed_over
    }

    /// The broker has confirmed it. Returns false where its connection had been given up before.
    pub(super) fn confirm(&self, numbered: &Numbered) -> bool {
        let mut standing = self.lock();
        if standing.link != numbered.link {
            return false;
        }
        if numbered.sequence > standing.sequence {
            (standing.sequence, standing.published) = (numbered.sequence, Some(numbered.published));
        }
        drop(standing);
        self.moved.notify_one();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger while a message is handed over.
pub(super) struct Entry<'a> {
    ledger: &'a Ledger,
    standing: &'a mut Standing,
}

impl Entry<'_> {
    /// The next number, and the properties with it.
    pub(super) fn number(&mut self, properties: BasicProperties) -> (Numbered, BasicProperties) {
        self.standing.attempted += 1;
        let sequence = self.standing.attempted;
        let mut headers = FieldTable::default();
        headers.insert(PUBLISHER_HEADER.into(), AMQPValue::LongString(self.ledger.publisher.as_str().into()));
        headers.insert(
            SEQUENCE_HEADER.into(),
            AMQPValue::LongLongInt(i64::try_from(sequence).unwrap_or(i64::MAX)),
        );
        let numbered = Numbered {
            link: self.standing.link,
            sequence,
            published: (Instant::now(), self.ledger.clock.now()),
        };
        (numbered, properties.with_headers(headers))
    }
}

impl Standing {
    /// As a heartbeat says it.
    pub fn progress(&self, publisher: &str, mark_age: Option<std::time::Duration>) -> Progress {
        Progress {
            publisher: publisher.to_owned(),
            sequence: self.sequence,
            attempted: self.attempted,
            published_at: self.published.map(|(_, at)| at),
            mark_age_ms: mark_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(ledger: &Ledger, link: u64) -> Option<Numbered> {
        ledger.in_order(link, |entry| entry.number(BasicProperties::default()).0)
    }

    #[test]
    fn the_highest_confirmed_number_stands() {
        let ledger = Ledger::new(Clock::default());
        ledger.link(1);
        let numbers: Vec<_> = (0..3).filter_map(|_| give(&ledger, 1)).collect();
        assert_eq!(ledger.standing().attempted, 3);
        for (confirmed, stands) in [(1, 2), (0, 2), (2, 3)] {
            assert!(ledger.confirm(&numbers[confirmed]));
            assert_eq!(ledger.standing().sequence, stands);
        }
    }

    #[test]
    fn a_connection_that_was_given_up_counts_no_more() {
        let ledger = Ledger::new(Clock::default());
        assert!(give(&ledger, 1).is_none(), "there is none yet");
        ledger.link(1);
        let late = give(&ledger, 1).expect("a number");
        for link in [0, 2] {
            ledger.link(link);
            assert!(give(&ledger, 1).is_none());
            assert!(!ledger.confirm(&late), "it may lie behind what the next connection published");
        }
        assert_eq!(ledger.standing().sequence, 0);
        assert_eq!(give(&ledger, 2).map(|numbered| numbered.sequence), Some(2), "numbers go on");
    }
}
