//! Revokes OAuth tokens everywhere after a logout: at the identity provider, at every local verifier, on
//! record.
//!
//! # One event's walk
//!
//! `worker/walk.rs` is this list as code; `worker/mod.rs` names the file of each step.
//!
//! 1. [`broker`] takes a delivery from `revocation.logout`, `revocation.mass` or `revocation.cutoff` and does
//!    not acknowledge it yet.
//! 2. [`event::read`] turns its bytes into a valid [`event::LogoutEvent`], into nothing where it asks for
//!    nothing, or into a [`event::Refusal`] that goes to `revocation.dead` and `audit.rejected_events`.
//! 3. Its denial is published ([`invalidation::Phase::Requested`]), without waiting for Postgres; a mass
//!    revocation's waits half a second at most to learn of its incident (2 s right after a start), and where
//!    a second person must approve it, its denial is withheld.
//! 4. Beside that, the tokens are sealed ([`seal`]) and event and targets committed to Postgres ([`store`]),
//!    leased to this worker as far as it has room, or soon will have. A mass revocation's targets wait for
//!    their incident's turn instead.
//! 5. After both, the delivery is acknowledged.
//! 6. Each target is revoked by its [`provider`], refresh tokens first, unless the provider is to be left
//!    alone. [`outcome::settle`] computes the target's next state, once: final, or due again by the schedule
//!    of [`retry`].
//! 7. The confirmation is published ([`invalidation::Phase::Confirmed`]), then attempt and state are
//!    committed together, and the attempt is logged.
//!
//! Whatever stops in between, the event is in the broker or its targets are in Postgres, and a live worker
//! goes on.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | target | what an event wants revoked: a token, or a session, subject, client or issuer |
//! | wide | said of a target, or a call, that is for anything but a token |
//! | denial | what verifiers are told of a target before it is revoked; one target in it is an entry |
//! | cutoff | the moment up to which a wide target denies what was issued |
//! | withheld | said of a denial that waits for a second person's approval |
//! | lane | interactive for logouts, which go first; mass for incidents, at least every eighth call |
//! | party | the broker user whose share of the work it is |
//! | turn | whose is next among those who wait: fair among parties, by rate within an incident |
//! | lease | a target is one worker's for as long as that worker gives signs of life |
//! | parked | said of a target that needs a person; it is tried again now and then |
//! | incident | a mass revocation, or a broker user's excess, under a name, which operators steer |
//! | fuse | stops an incident that has come to need an approval that it does not have |
//! | excess | what a broker user orders beyond its rate; it waits for a second person |
//! | checkpoint | a signed digest of what has come on record, which follows the one before |
//! | mark | a message that denies nothing, that heartbeats name: who has read it has read all before it |
//! | snapshot | what the stream still denies, folded into a few messages, so that verifiers start fast |
//!
//! # The map
//!
//! | question | file |
//! |---|---|
//! | what is a target, a token, what may print it | [`target`] |
//! | which characters a name may not have | [`visible`] |
//! | what does an answer mean, what comes next | [`outcome`], and `classify` in each file of [`provider`] |
//! | when is the next attempt | [`retry`] |
//! | how is anything repeated that failed | [`again`] |
//! | what time is it | [`clock`] |
//! | when does a second person have to approve | [`approval`] |
//! | who may approve it | `revocation.approval_fault` (migration 0012), called by `approve_incident` (0015) |
//! | how does a file become the events of a mass revocation | `order/mod.rs` |
//! | who may order what, and how much at once | [`authorization`] |
//! | what are verifiers told, and when | `worker/announce.rs`; the messages are made in [`invalidation`] |
//! | what is published again after the broker was lost | `worker/owed.rs` |
//! | how are bytes read; a new format of events | `event/formats.rs` |
//! | who acknowledges | `worker/acknowledge.rs` |
//! | what happens while Postgres is away | `worker/postgres.rs` |
//! | when is a provider left alone | [`admission`], `admission/health.rs`, `admission/breaker.rs` |
//! | who calls a provider next | `admission/lanes.rs` |
//! | whose turn is it among broker users | `admission/fair_queue.rs`, `event/party.rs`, `store/claim.rs` |
//! | who may have how many targets in memory, or leased | `admission/room.rs`, `worker/ahead.rs` |
//! | how do operators pause, throttle, approve | `store/incidents/order.rs` |
//! | what do pause, throttle, approval, cancellation do | `worker/incidents.rs`; `worker/fleet.rs` polls |
//! | what does a logout by HTTP mean, who answers it | [`receive`], `app/receive/inputs.rs` |
//! | whose signature counts, by queue too | [`senders`], `worker/signed.rs` |
//! | what is in the database | `migrations/`, [`store`] |
//! | what is in the broker | `broker/topology.rs` |
//! | every setting | [`config`] |
//! | who may read this process's memory | [`core_dump`] |
//! | how is SIGTERM obeyed | `finish` in [`app`] |
//! | the log line of an attempt | `worker/record.rs` |
//! | every log field | `docs/logging.md` |
//! | every metric | [`telemetry`] |
//! | whose trace is an event of, where is it carried | [`trace`], `worker/traced.rs`, `docs/tracing.md` |
//! | what do verifiers report, whose word counts | [`report`], `report/owners.rs`, `worker/reports.rs` |
//! | what does an auditor ask, and how is it found | `cli/audit.rs`, `store/audit.rs` |
//! | how do tables, times and names look to people | `cli/table.rs`, `visible/` |
//! | what is wrong, what waits for a person, what may still work | [`attention`] |
//! | what does the page show, how often is it looked up | `http/page.rs`, `http/page/look.rs` |
//! | how does an operator end a wait | `cli/provider.rs`, `worker/fleet.rs` |
//! | was the record changed afterwards | [`checkpoint`], `worker/checkpoints.rs`, `store/checkpoints.rs` |
//! | what does an auditor get | `crates/evidence`, `docs/evidence.md` |
//! | who wires it, in which order | [`app`] |
//! | what lives beside the worker: verifier, gate, HTTP server, archives, private servers | `crates/` |
//!
//! Pure modules ([`approval`], [`authorization`], [`checkpoint`], [`clock`], [`config`], [`event`],
//! [`invalidation`], [`outcome`], [`receive`], [`report`], [`retry`], [`seal`], [`target`], [`trace`],
//! [`visible`]) import no adapter; only [`broker`] uses lapin, only [`provider`] reqwest, only [`store`]
//! sqlx.

pub mod admission;
pub mod again;
pub mod app;
pub mod approval;
pub mod attention;
pub mod authorization;
pub mod broker;
pub mod checkpoint;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core_dump;
pub mod event;
pub mod failpoint;
pub mod http;
pub mod invalidation;
mod order;
pub mod outcome;
pub mod provider;
pub mod receive;
pub mod report;
pub mod retry;
pub mod seal;
pub mod senders;
pub mod store;
pub mod target;
pub mod telemetry;
pub mod trace;
pub mod visible;
pub mod worker;

/// Version of this program, as `--version`, the audit views and the metrics show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
