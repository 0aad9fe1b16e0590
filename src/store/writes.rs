//! Whether Postgres takes what is to be written: with a full disk, or read-only, it goes on answering.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::visible::times::utc_to_the_second;

/// Since when no write works, and the server's words.
#[derive(Default)]
pub(super) struct Writes(Mutex<Option<(Instant, String)>>);

/// That Postgres takes no writes, as a sentence without its end: "Postgres refuses writes since 2026-12-01
/// 04:28:53 UTC: could not extend file …".
#[derive(Debug, Serialize, Deserialize)]
pub struct RefusedWrites {
    /// Since when; `None`: whoever asks has only just found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// In its own words.
    pub reason: String,
}

impl fmt::Display for RefusedWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres refuses writes")?;
        if let Some(since) = &self.since {
            write!(f, " since {}", utc_to_the_second(since))?;
        }
        write!(f, ": {}", self.reason)?;
        if self.reason.ends_with("(SQLSTATE 25006)") {
            f.write_str("; it is a standby, or set read-only")?;
        }
        Ok(())
    }
}

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
