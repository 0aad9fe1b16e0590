//! What of a message could not be passed on as it was.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The parts of messages that came unreadable, for whoever takes the messages: by channel and delivery tag.
#[derive(Clone, Default)]
pub struct Unreadable(Arc<Noted>);

#[derive(Default)]
struct Noted {
    any: AtomicBool,
    /// Names of headers that are left out last.
    kept: &'static [&'static str],
    faults: Mutex<HashMap<(u16, u64), Faults>>,
}

/// What of a message came otherwise than it was published.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The AMQP names of what could not be read, `routing_key` among them.
    pub parts: Vec<&'static str>,
    /// How many headers were left out.
    pub left_out: usize,
    /// Which of those that were to be kept are among them.
    pub lost: Vec<&'static str>,
    /// Whether in the headers, at any depth, a name comes twice, or they make no sense: what is read of them
    /// may be another thing than others read.
    pub is_ambiguous: bool,
}

impl Unreadable {
    /// Of messages of whose headers these, by their whole names, are left out last.
    pub fn keeping(kept: &'static [&'static str]) -> Self {
        Self(Arc::new(Noted { kept, ..Noted::default() }))
    }

    /// What became of a message on its way; to be asked once for each delivery.
    pub fn take(&self, channel: u16, delivery_tag: u64) -> Faults {
        if !self.has_any() {
            return Faults::default();
        }
        let mut faults = self.lock();
        let taken = faults.remove(&(channel, delivery_tag)).unwrap_or_default();
        self.0.any.store(!faults.is_empty(), Ordering::Release);
        taken
    }

    pub(super) fn note(&self, channel: u16, delivery_tag: u64, found: Faults) {
        let mut faults = self.lock();
        faults.insert((channel, delivery_tag), found);
        self.0.any.store(true, Ordering::Release);
    }

    /// Names of headers that are left out last.
    pub(super) fn kept(&self) -> &'static [&'static str] {
        self.0.kept
    }

    /// Whether anything is noted.
    pub(super) fn has_any(&self) -> bool {
        self.0.any.load(Ordering::Acquire)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<(u16, u64), Faults>> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
