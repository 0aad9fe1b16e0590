//! What `run` would meet at the broker, tried without a change: for `check`. Each try is an order that the
//! broker refuses, or that changes nothing, only after it has looked whether this user may give such an order
//! at all.

mod tries;

use std::fmt;

use futures::future::join_all;
use lapin::Connection;
use revocation_verifier::amqp::{DEADLINE, close};

use super::topology::{self, Limit};
use super::{Broker, BrokerError, CUTOFF_QUEUE, DEAD, LOGOUT_QUEUE, MASS_QUEUE, VERIFIERS_QUEUE};
use crate::invalidation::{BEATS_STREAM, SNAPSHOTS_STREAM, STREAM, VERIFIERS_EXCHANGE};
use tries::{consume, declare, get, publish, tried};

/// What a user may be permitted to do with a thing.
pub(super) const CONFIGURE: &str = "configure";
const WRITE: &str = "write to";
const READ_IT: &str = "read from";

/// What a worker publishes to besides denials, by no routing key.
const PUBLISHED: [&str; 2] = [DEAD, SNAPSHOTS_STREAM];
/// So many connections a worker has, each with a channel at least.
const CONNECTIONS: usize = 10;
/// Queues that it reads.
const READ: [&str; 4] = [LOGOUT_QUEUE, CUTOFF_QUEUE, MASS_QUEUE, VERIFIERS_QUEUE];
/// What verifiers' reports take.
const REPORTS: [&str; 2] = [VERIFIERS_QUEUE, VERIFIERS_EXCHANGE];
/// Streams that it reads.
const FOLLOWED: [&str; 3] = [STREAM, BEATS_STREAM, SNAPSHOTS_STREAM];

/// What was found.
#[derive(Default)]
pub struct Examined {
    /// What is not there yet.
    pub missing: Vec<&'static str>,
    /// What keeps a worker from its work, each a sentence.
    pub problems: Vec<String>,
    /// What it can work without.
    pub notes: Vec<String>,
    /// Rights that its user has not: which, and to what.
    denied: Vec<(&'static str, String)>,
}

impl Broker {
    /// Connects, tries what a worker does for these providers without changing anything, and closes.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses the login.
    pub async fn examine(&self, providers: &[&str]) -> Result<Examined, BrokerError> {
        let connection = self.connect("check").await?;
        let mut examined = Examined::default();
        let look = topology::look(&connection, &self.stream, self.declare, &mut examined);
        if tokio::time::timeout(DEADLINE, look).await.is_err() {
            examined.note(Err(BrokerError::timeout("look for the topology", DEADLINE)), CONFIGURE, "");
        }
        if connection.status().connected() {
            self.read(&connection, &mut examined).await;
        }
        if self.declare && connection.status().connected() {
            declare(&connection, &mut examined).await;
        }
        close(&connection).await;
        // On a connection of its own, which an alarm in the broker would block.
        let connection = self.connect("check").await?;
        publish(&connection, providers, &mut examined).await;
        close(&connection).await;
        examined.note_limits(self.crowd().await);
        for of_reports in REPORTS {
            if !self.declare && examined.missing.contains(&of_reports) {
                examined.missing.retain(|name| *name != of_reports);
                examined.note_reports(&format_args!("amqp.declare is false and {of_reports} is not there"));
            }
        }
        if self.declare && !examined.missing.contains(&DEAD) {
            self.compare_dead(&mut examined).await;
        }
        examined.tell_denied(self.user());
        Ok(examined)
    }

    /// As many connections and channels as a worker has, at once for a moment.
    async fn crowd(&self) -> Result<(), BrokerError> {
        let (mut open, mut channels) = (Vec::new(), Vec::new());
        let crowded = async {
            for _ in 0..CONNECTIONS {
                let connection = self.connect("check").await?;
                let channel = connection.create_channel().await;
                open.push(connection);
                // Whoever drops a channel closes it.
                channels.push(channel.map_err(|error| BrokerError::new("open a channel", error))?);
            }
            Ok(())
        };
        let crowded = crowded.await;
        join_all(open.iter().map(close)).await;
        crowded
    }

    /// What is there is not changed by its declaration.
    async fn compare_dead(&self, examined: &mut Examined) {
        let found = self.limit_dead().await;
        if matches!(found, Ok(Limit::Unset)) {
            examined.notes.push(self.how_to_limit());
        }
        examined.note(found.map(drop), CONFIGURE, &format!("queue {DEAD}"));
    }

    async fn read(&self, connection: &Connection, examined: &mut Examined) {
        for queue in READ {
            let read =
                tried(connection, format!("read queue {queue}"), async |channel| get(channel, queue).await)
                    .await;
            examined.note(read, READ_IT, &format!("queue {queue}"));
        }
        for stream in FOLLOWED {
            let read = tried(connection, format!("read stream {stream}"), async |channel| {
                consume(channel, stream).await
            })
            .await;
            examined.note(read, READ_IT, &format!("queue {stream}"));
        }
    }
}

impl Examined {
    /// Notes what went wrong with a thing, once, and a right that it takes and the user has not. Reports of
    /// verifiers are no condition of the work.
    pub(super) fn note(&mut self, tried: Result<(), BrokerError>, right: &'static str, thing: &str) {
        let Err(error) = tried else { return };
        if REPORTS.iter().any(|of_reports| thing.contains(of_reports)) {
            return self.note_reports(&error);
        }
        if error.is_denied() && !thing.is_empty() {
            let denied = (right, thing.to_owned());
            if !self.denied.contains(&denied) {
                self.denied.push(denied);
            }
        } else if !self.problems.contains(&error.to_string()) {
            self.problems.push(error.to_string());
        }
    }

    /// A limit of connections or channels. Where it would do for a worker, others use it up at present.
    fn note_limits(&mut self, crowded: Result<(), BrokerError>) {
        let Err(error) = crowded else { return };
        let says = error.to_string();
        let limit = says.rsplit_once("limit ").and_then(|(_, rest)| {
            let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
        });
        match limit {
            Some(limit) if limit >= CONNECTIONS => {
                self.notes.push(format!("a worker has {CONNECTIONS} connections, and now {says}"));
            }
            _ => self.problems.push(format!(
                "a worker has {CONNECTIONS} connections, each with a channel or more, and the broker says: \
                    {says}; raise that limit"
            )),
        }
    }

    /// Once: one fault of their queue shows in more than one try.
    pub(super) fn note_reports(&mut self, why: &impl fmt::Display) {
        if self.notes.is_empty() {
            self.notes.push(format!(
                "verifiers' reports cannot be read: {why}; everything else goes on without them"
            ));
        }
    }

    /// One sentence for all rights: an administrator grants them together.
    fn tell_denied(&mut self, user: &str) {
        let of = |right| {
            let things: Vec<_> = self
                .denied
                .iter()
                .filter(|(denied, _)| *denied == right)
                .map(|(_, thing)| thing.as_str())
                .collect();
            (!things.is_empty()).then(|| format!("{right} {}", things.join(", ")))
        };
        let rights: Vec<_> = [CONFIGURE, WRITE, READ_IT].into_iter().filter_map(of).collect();
        if !rights.is_empty() {
            self.problems.push(format!(
                "the broker does not permit user {user:?} to {}: extend the user's permissions",
                rights.join("; to ")
            ));
        }
    }
}
