//! Denials on their way to the broker. The first goes out at once; what comes while the broker has not yet
//! confirmed it gathers, and goes out together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use crate::broker::Publisher;
use crate::clock::Clock;
use crate::invalidation::{Composer, Entry, EventOf, Gathered, Gathering, Phase};

/// Most messages on their way at once, each of up to 500 targets.
const MESSAGES: usize = 8;

/// Called when the broker has confirmed a denial, with that moment.
pub(super) type Heard = Box<dyn FnOnce(OffsetDateTime) + Send>;

/// Denials that wait for no others.
pub(super) struct Outbox {
    publisher: Publisher,
    composer: Composer,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    gathering: Gathering<Arc<Unconfirmed>>,
    /// Messages that the broker has not confirmed yet, and what they tell of.
    messages: usize,
    targets: usize,
}

/// Who waits for an event's denial.
struct Unconfirmed {
    /// Messages that are not confirmed yet. Whatever else happens to them, it does not get to zero.
    messages: AtomicUsize,
    heard: Mutex<Option<Heard>>,
}

impl Outbox {
    pub(super) fn new(publisher: Publisher, composer: Composer, clock: Clock) -> Self {
        Self { publisher, composer, clock, state: Mutex::default() }
    }

    /// Denies entries of an event.
    pub(super) fn deny(
        self: &Arc<Self>,
        event: EventOf,
        entries: impl Iterator<Item = (Arc<str>, Entry)>,
        heard: Heard,
    ) {
        // One more than there are, so that none is the last one before all are counted.
        let waiting = Arc::new(Unconfirmed { messages: AtomicUsize::new(1), heard: Mutex::new(Some(heard)) });
        let entries: Vec<_> = self.composer.named(entries).collect();
        let messages = self.state().gathering.add(&Arc::new(event), entries, &waiting);
        waiting.messages.fetch_add(messages, Ordering::AcqRel);
        self.send_due();
        waiting.confirmed(&self.clock);
    }

    fn send_due(self: &Arc<Self>) {
        while let Some(message) = self.next() {
            tokio::spawn(self.clone().send(message));
        }
    }

    fn next(&self) -> Option<Gathered<Arc<Unconfirmed>>> {
        let mut state = self.state();
        let message = state.due().then(|| state.gathering.take())??;
        state.messages += 1;
        state.targets += message.targets();
        drop(state);
        Some(message)
    }

    async fn send(self: Arc<Self>, gathered: Gathered<Arc<Unconfirmed>>) {
        let is_confirmed = match self.composer.message(Phase::Requested, &gathered) {
            Some(message) => self.publisher.deliver(&message).await.is_ok(),
            None => false,
        };
        let mut state = self.state();
        state.messages -= 1;
        state.targets -= gathered.targets();
        drop(state);
        self.send_due();
        if is_confirmed {
            gathered.waiting.iter().for_each(|waiting| waiting.confirmed(&self.clock));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the message that has waited longest goes out: alone on its way, or with at least as much as is
    /// on its way already. So a lone denial never waits, and under load a message follows another in the time
    /// that the broker takes for one, each as long as the load makes it.
    fn due(&self) -> bool {
        self.gathering.first().is_some_and(|first| {
            self.messages == 0
                || (self.messages < MESSAGES && (first.is_full() || first.targets() >= self.targets))
        })
    }
}

impl Unconfirmed {
    /// One more of its messages was.
    fn confirmed(&self, clock: &Clock) {
        if self.messages.fetch_sub(1, Ordering::AcqRel) == 1 {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
            heard.into_iter().for_each(|heard| heard(clock.now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::invalidation::EventRef;

    fn wait(state: &mut State, targets: usize) {
        let event = EventRef { source: "/apps/shop".to_owned(), id: Uuid::now_v7().to_string() };
        let waiting = Arc::new(Unconfirmed { messages: AtomicUsize::new(1), heard: Mutex::new(None) });
        let entry = |_| {
            let (not_before, expires_at) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
            ("main".into(), Entry::Issuer { iss: "i".to_owned(), not_before, expires_at })
        };
        state.gathering.add(
            &Arc::new(EventOf { event, incident: None, traceparent: None }),
            (0..targets).map(entry),
            &waiting,
        );
    }

    #[test]
    fn what_gathers_goes_out_when_it_is_as_much_as_is_on_its_way() {
        assert!(!State::default().due(), "nothing is there");
        for (messages, targets, waits, due) in [
            (0, 0, 1, true),
            (1, 1, 1, true),
            (1, 2, 1, false),
            (1, 2, 2, true),
            (2, 1000, 499, false),
            (2, 1000, 500, true),
            (7, 3500, 700, true),
            (8, 8, 9, false),
            (8, 4000, 500, false),
        ] {
            let mut state = State { messages, targets, ..State::default() };
            wait(&mut state, waits);
            assert_eq!(state.due(), due, "{waits} wait behind {targets} in {messages} messages");
        }
    }

    #[test]
    fn an_event_is_heard_of_when_the_last_of_its_messages_is_confirmed() {
        let (heard, hears) = std::sync::mpsc::channel();
        let tell: Heard = Box::new(move |at| _ = heard.send(at));
        let waiting = Unconfirmed { messages: AtomicUsize::new(3), heard: Mutex::new(Some(tell)) };
        for left in [2, 1] {
            waiting.confirmed(&Clock::default());
            assert!(hears.try_recv().is_err(), "{left} are not");
        }
        waiting.confirmed(&Clock::default());
        assert!(hears.try_recv().is_ok());
    }
}
