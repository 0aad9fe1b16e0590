//! Whether Postgres takes what is to be written: with a full disk, or read-only, it goes on answering questions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Store, StoreError};

/// Since when no write works, and the server's words.
#[derive(Default)]
pub(super) struct Writes(Mutex<Option<(Instant, String)>>);

impl Writes {
    fn lock(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a call failed with.
    pub(super) fn failed(&self, error: &StoreError) {
        if let Some(words) = error.refused_write() {
            let mut refused = self.lock();
            let since = refused.as_ref().map_or_else(Instant::now, |(since, _)| *since);
            *refused = Some((since, words.to_owned()));
        }
    }
}

impl Store {
    /// How long Postgres has refused writes, in which words; `None` where it takes them, as far as is known.
    pub fn refuses_writes(&self) -> Option<(Duration, String)> {
        self.writes.lock().as_ref().map(|(since, words)| (since.elapsed(), words.clone()))
    }

    /// Tries a write that changes nothing. A role that may not try learns nothing by it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn try_write(&self) -> Result<(), StoreError> {
        let tried = within!(self, "write to the database", |c| {
            sqlx::query("SELECT revocation.try_write()").execute(c).await
        });
        match tried {
            Err(error) if !error.is_forbidden() => Err(error),
            // A change of another row may work although this does not: that alone says nothing.
            _ => {
                *self.writes.lock() = None;
                Ok(())
            }
        }
    }
}
