//! What `run` would meet at the broker, tried without a change: for `check`. Each try is an order that the
//! broker refuses, or that changes nothing, only after it has looked whether this user may give such an order
//! at all.

mod tries;

use std::fmt;

use lapin::Connection;
use revocation_verifier::amqp::{DEADLINE, close};

use super::topology::{self, Limit};
use super::{Broker, BrokerError, CUTOFF_QUEUE, DEAD, LOGOUT_QUEUE, MASS_QUEUE, VERIFIERS_QUEUE};
use crate::invalidation::{BEATS_STREAM, EXCHANGE, SNAPSHOTS_STREAM, STREAM};
use tries::{consume, declare, get, publish, tried};

/// What a user may be permitted to do with a thing.
pub(super) const CONFIGURE: &str = "configure";
const WRITE: &str = "write to";
const READ_IT: &str = "read from";

/// What a worker publishes to.
const PUBLISHED: [&str; 3] = [EXCHANGE, DEAD, SNAPSHOTS_STREAM];
/// Queues that it reads.
const READ: [&str; 4] = [LOGOUT_QUEUE, CUTOFF_QUEUE, MASS_QUEUE, VERIFIERS_QUEUE];
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
    /// Connects, tries what a worker does without changing anything, and closes.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses the login.
    pub async fn examine(&self) -> Result<Examined, BrokerError> {
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
        publish(&connection, &mut examined).await;
        close(&connection).await;
        if !self.declare && examined.missing.contains(&VERIFIERS_QUEUE) {
            examined.missing.retain(|name| *name != VERIFIERS_QUEUE);
            examined.note_reports(&format_args!("amqp.declare is false and {VERIFIERS_QUEUE} is not there"));
        }
        if self.declare && !examined.missing.contains(&DEAD) {
            self.compare_dead(&mut examined).await;
        }
        examined.tell_denied(self.user());
        Ok(examined)
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
        if thing.ends_with(VERIFIERS_QUEUE) {
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
