//! `reconcile`: has every denial in the log of the invalidations its event on record, and the other way
//! round?

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use serde::Serialize;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::CommandError;
use super::audit::{Moment, moment};
use super::operator::open_store;
use super::output::{count, exact, printable, remark, say, say_json};
use crate::broker::{Broker, Denials, Denied, Logged};
use crate::config::{BrokerSettings, DatabaseSettings, Environment, InvalidationConfig};
use crate::store::Store;

const HELP: &str = include_str!("reconcile.txt");
/// Events that are looked up at once.
const AT_ONCE: usize = 500;
/// Most findings of a kind that are told one by one.
const TOLD: usize = 1000;

/// Compares the denials in the log of the invalidations with the events on record.
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// Begin with the denials of this time: 2h (ago), 7d, or RFC 3339 [default: all that the log has]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// How long the record may lag behind a denial, or the log behind the record, without being a finding
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    lag: std::time::Duration,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// An event that only one of both knows.
#[derive(Serialize)]
struct Finding {
    event_source: String,
    event_id: String,
    #[serde(with = "time::serde::rfc3339")]
    denied_at: OffsetDateTime,
    /// Who published its denial, by its own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// Findings of one kind, of which not all are told one by one.
#[derive(Default)]
struct Findings {
    told: Vec<Finding>,
    more: u64,
}

/// What was found.
#[derive(Default)]
struct Report {
    messages: u64,
    /// Of the oldest denial that was read.
    first: Option<OffsetDateTime>,
    /// Events in the log, each once, by a hash that is this process's own.
    logged: HashSet<u64>,
    hasher: RandomState,
    recorded: u64,
    unrecorded: Findings,
    unlogged: Findings,
    lagging: u64,
    unreadable: u64,
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let environment = Environment::of_process();
    let settings = BrokerSettings::load(path, &environment)?;
    let database = DatabaseSettings::load(path, &environment)?.database;
    let broker = Broker::new(&settings.amqp, &InvalidationConfig::default(), "reconcile")
        .map_err(CommandError::Usage)?;
    let store = open_store(&database).await?;
    let now = OffsetDateTime::now_utc();
    let since = args.since.map(|since| since.before(now));
    let lag = Duration::try_from(args.lag).unwrap_or(Duration::MAX);
    let settled = now.saturating_sub(lag);
    let mut report = Report::default();
    let mut denials = broker.denials(since).await?;
    let oldest = denials.oldest();
    let read = report.read(&mut denials, &store, since, settled).await;
    denials.close().await;
    read?;
    // What the log no longer has, it need not have. An empty one lacks everything.
    let from = since.max(oldest).map_or(OffsetDateTime::UNIX_EPOCH, |from| from.saturating_add(lag));
    report.look_for_unlogged(&store, from, settled).await?;
    store.close().await;
    report.end(args.json)
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        if self.told.len() < TOLD {
            self.told.push(finding);
        } else {
            self.more += 1;
        }
    }

    fn count(&self) -> u64 {
        self.told.len() as u64 + self.more
    }
}

impl Report {
    async fn read(
        &mut self,
        denials: &mut Denials,
        store: &Store,
        since: Option<OffsetDateTime>,
        settled: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let mut waiting = Vec::new();
        while let Some(logged) = denials.next().await? {
            self.messages += 1;
            match logged {
                Logged::Unreadable => self.unreadable += 1,
                Logged::Denied(denied) if since.is_none_or(|since| denied.at >= since) => {
                    self.first = Some(self.first.map_or(denied.at, |first| first.min(denied.at)));
                    self.take(denied, &mut waiting);
                }
                Logged::Denied(_) | Logged::Other => {}
            }
            if waiting.len() >= AT_ONCE {
                self.look_up(std::mem::take(&mut waiting), store, settled).await?;
            }
        }
        self.look_up(waiting, store, settled).await
    }

    /// Those that have not been seen yet.
    fn take(&mut self, denied: Denied, waiting: &mut Vec<Finding>) {
        for event in denied.events {
            if self.logged.insert(self.hasher.hash_one((&event.source, &event.id))) {
                waiting.push(Finding {
                    event_source: event.source,
                    event_id: event.id,
                    denied_at: denied.at,
                    by: Some(denied.by.clone()),
                });
            }
        }
    }

    async fn look_up(
        &mut self,
        waiting: Vec<Finding>,
        store: &Store,
        settled: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let sources: Vec<_> = waiting.iter().map(|event| event.event_source.clone()).collect();
        let ids: Vec<_> = waiting.iter().map(|event| event.event_id.clone()).collect();
        let missing: HashSet<_> = store.unrecorded(&sources, &ids).await?.into_iter().collect();
        for (place, event) in waiting.into_iter().enumerate() {
            if !missing.contains(&place) {
                self.recorded += 1;
            } else if event.denied_at >= settled {
                self.lagging += 1;
            } else {
                self.unrecorded.add(event);
            }
        }
        Ok(())
    }

    /// Events on record as denied within the time of the log, and not in it.
    async fn look_for_unlogged(
        &mut self,
        store: &Store,
        from: OffsetDateTime,
        settled: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let mut row = first_row(from);
        loop {
            let page = store.events_after(row).await?;
            let Some(last) = page.last() else { return Ok(()) };
            row = last.event_row;
            for event in page {
                let Some(denied_at) = event.denied_at.filter(|at| (from..settled).contains(at)) else {
                    continue;
                };
                if self.logged.contains(&self.hasher.hash_one((&event.event_source, &event.event_id))) {
                    continue;
                }
                let (event_source, event_id) = (event.event_source, event.event_id);
                self.unlogged.add(Finding { event_source, event_id, denied_at, by: None });
            }
        }
    }

    fn end(self, is_json: bool) -> Result<(), CommandError> {
        let (unrecorded, unlogged) = (self.unrecorded.count(), self.unlogged.count());
        if is_json {
            say_json(&json!({
                "ok": unrecorded + unlogged + self.unreadable == 0,
                "since": self.first.map(exact), "messages": self.messages, "events": self.logged.len(),
                "on_record": self.recorded, "lagging": self.lagging, "unreadable": self.unreadable,
                "unrecorded": unrecorded, "unlogged": unlogged,
                "without_record": self.unrecorded.told, "without_denial": self.unlogged.told,
            }));
        } else {
            self.say();
        }
        match (unrecorded, unlogged, self.unreadable) {
            (0, 0, 0) => Ok(()),
            (0, 0, unreadable) => Err(CommandError::advised(
                format!(
                    "{} in the log cannot be read: verifiers refuse or skip them",
                    count(unreadable, "message")
                ),
                "look who may publish to auth.invalidations: SECURITY.md says who should",
            )),
            (0, unlogged, _) => Err(CommandError::advised(
                format!("{} on record as denied, and not in the log", count(unlogged, "event")),
                "a verifier that started since accepts their tokens: have their sources send them again \
                    under new ids",
            )),
            (unrecorded, _, _) => Err(CommandError::advised(
                format!("{} denied, and not on record", count(unrecorded, "event")),
                "have their sources send them again: nothing is known of their revocation; where these never \
                    sent them, look who may publish to auth.invalidations",
            )),
        }
    }

    fn say(&self) {
        for event in &self.unrecorded.told {
            let by = printable(event.by.as_deref().unwrap_or_default());
            say(format_args!(
                "not on record: {}, denied at {} by {by}",
                named(event),
                exact(event.denied_at)
            ));
        }
        for event in &self.unlogged.told {
            say(format_args!(
                "not in the log: {}, on record as denied at {}",
                named(event),
                exact(event.denied_at)
            ));
        }
        let more = [(self.unrecorded.more, "not on record"), (self.unlogged.more, "not in the log")];
        for (more, what) in more {
            if more > 0 {
                say(format_args!("{what}: {} more", count(more, "event")));
            }
        }
        let since = self.first.map_or_else(
            || "nothing is denied in it".to_owned(),
            |first| {
                format!(
                    "{} denied since {}, {} on record",
                    count(self.logged.len() as u64, "event"),
                    exact(first),
                    self.recorded
                )
            },
        );
        say(format_args!("the log: {}; {since}", count(self.messages, "message")));
        if self.lagging > 0 {
            remark(format_args!(
                "{} denied a moment ago, not on record yet: workers commit beside the denial",
                count(self.lagging, "event")
            ));
        }
    }
}

/// Before all rows of this time: their ids are UUIDs of version 7.
fn first_row(at: OffsetDateTime) -> Uuid {
    // A row is made at its event's receipt, a moment before its denial, or days before where that waits for
    // approval.
    let at = at - Duration::days(7);
    let millis = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

fn named(event: &Finding) -> String {
    format!("event {} of {}", printable(&event.event_id), printable(&event.event_source))
}
