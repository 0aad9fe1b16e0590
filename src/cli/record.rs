//! What the database knows of an order before it is published. Where it is away, the order goes out all the
//! same: a worker finds out the rest.

use std::collections::HashSet;

use super::output::remark;
use crate::clock::Clock;
use crate::config::DatabaseSettings;
use crate::order::event::SOURCE;
use crate::store::{Store, StoreError};

/// The database, or why it cannot be asked; `None`: none is configured.
pub(super) struct Record(Option<Result<Store, String>>);

impl Record {
    pub(super) async fn reach(settings: Option<&DatabaseSettings>) -> Self {
        let Some(settings) = settings else { return Self(None) };
        let reached = async {
            let store = Store::new(&settings.database)?;
            store.ping().await?;
            Ok(store)
        };
        Self(Some(reached.await.map_err(|error: StoreError| error.to_string())))
    }

    /// Whether the incident is on record as cancelled.
    pub(super) async fn is_cancelled(&self, incident: &str) -> bool {
        let Some(Ok(store)) = &self.0 else { return false };
        matches!(store.incident_state(incident).await, Ok(Some(state)) if state == "cancelled")
    }

    /// The ids of this incident's events that a worker has recorded and this user has published: somebody
    /// else's may say anything. Where nobody tells, every event is published: one that arrives twice changes
    /// nothing.
    pub(super) async fn event_ids(&self, incident: &str, user: &str) -> HashSet<String> {
        let known = match &self.0 {
            None => return HashSet::new(),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(store)) => {
                store.event_ids(SOURCE, incident, user).await.map_err(|error| error.to_string())
            }
        };
        known.unwrap_or_else(|error| {
            remark(format_args!(
                "cannot tell what is on record already and publishes everything, which does no harm: {error}"
            ));
            HashSet::new()
        })
    }

    /// The database's clock, where there are cutoffs to tell by it; this machine's own, which may be off,
    /// where that cannot be asked.
    pub(super) async fn clock(&self, has_cutoffs: bool) -> Clock {
        let clock = Clock::default();
        if !has_cutoffs {
            return clock;
        }
        let told = match &self.0 {
            None => Err("no database is configured (DATABASE_URL)".to_owned()),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(store)) => store.time().await.map_err(|error| error.to_string()),
        };
        match told {
            // How far this machine is off, nobody here asks.
            Ok(reading) => drop(clock.learn(reading)),
            Err(why) => remark(format_args!(
                "cutoffs are by this machine's clock, which lets live what was issued since if it is behind: \
                    {why}"
            )),
        }
        clock
    }

    pub(super) async fn close(self) {
        if let Some(Ok(store)) = self.0 {
            store.close().await;
        }
    }
}
