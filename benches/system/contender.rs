//! Who takes the events: how each is prepared, and what it has on record.

use serde::Serialize;
use sqlx::Executor;

use crate::client::migrate;
use crate::stage::Stage;
use crate::{Result, bare, peer};

/// What drains the queue.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// The bare loop of this benchmark.
    Bare,
    /// The consumer in Go of this benchmark.
    Go,
    /// revocation-worker.
    Worker,
}

impl Contender {
    /// In the order of a round.
    pub(crate) const ALL: [Self; 3] = [Self::Bare, Self::Go, Self::Worker];

    /// Those that this machine can run. Says why one is left out.
    pub(crate) fn present() -> Vec<Self> {
        let mut present = Self::ALL.to_vec();
        if let Err(reason) = peer::program() {
            println!("The consumer in Go is left out: {reason}.");
            present.retain(|contender| *contender != Self::Go);
        }
        present
    }

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Go => "Go",
            Self::Worker => "worker",
        }
    }

    /// Brings the empty database up to date.
    pub(crate) async fn prepare(self, stage: &Stage) -> Result {
        match self {
            Self::Bare => stage.database.execute(bare::SCHEMA).await.map(drop)?,
            Self::Go => stage.database.execute(peer::SCHEMA).await.map(drop)?,
            Self::Worker => migrate(stage).await?,
        }
        Ok(())
    }

    /// Whether everything is on record of `events` whose tokens have all reached the provider.
    pub(crate) async fn has_recorded(self, stage: &Stage, events: u32) -> Result<bool> {
        if self != Self::Worker {
            return Ok(self.count(stage).await? == self.expected(events));
        }
        let open = "SELECT EXISTS (SELECT FROM revocation.targets WHERE state <> 'revoked' OR \
            confirmed_at IS NULL)";
        Ok(!sqlx::query_scalar::<_, bool>(open).fetch_one(&stage.database).await?)
    }

    /// What it has on record as revoked: events (bare loop) or tokens.
    pub(crate) async fn count(self, stage: &Stage) -> Result<i64> {
        stage
            .count(match self {
                Self::Bare | Self::Go => "SELECT count(*) FROM logouts",
                Self::Worker => "SELECT count(*) FROM audit.revocations WHERE state = 'revoked'",
            })
            .await
    }

    /// What [`Self::count`] must be after `events`.
    pub(crate) fn expected(self, events: u32) -> i64 {
        match self {
            Self::Bare => i64::from(events),
            Self::Go | Self::Worker => 2 * i64::from(events),
        }
    }

    /// When it took the first event, in microseconds since 1970.
    pub(crate) async fn first_taken_us(self, stage: &Stage) -> Result<i64> {
        stage
            .count(match self {
                Self::Bare | Self::Go => {
                    "SELECT (extract(epoch FROM min(received_at)) * 1000000)::bigint FROM logouts"
                }
                Self::Worker => {
                    "SELECT (extract(epoch FROM min(received_at)) * 1000000)::bigint FROM revocation.events"
                }
            })
            .await
    }

    /// Whether it tells verifiers a second time, when the provider has confirmed.
    pub(crate) fn confirms(self) -> bool {
        self == Self::Worker
    }
}
