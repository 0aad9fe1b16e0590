//! Revokes OAuth tokens everywhere after a logout: at the identity provider, at every local verifier, on
//! record.
//!
//! # One event's walk
//!
//! 1. [`broker`] takes a delivery from `revocation.logout`, `revocation.mass` or `revocation.cutoff` and does
//!    not acknowledge it yet.
//! 2. [`event::parse`] turns its bytes into a valid [`event::LogoutEvent`], or into a [`event::Refusal`] that
//!    goes to `revocation.dead` and `audit.rejected_events`.
//! 3. [`worker`] publishes the denial ([`invalidation::Phase::Requested`]) and, side by side, seals the
//!    tokens ([`seal`]) and commits event and targets to Postgres ([`store`]), already leased to this worker.
//!    After both, it acknowledges. A mass revocation's targets wait for their incident's turn instead, and
//!    where a second person must approve, its denial waits too.
//! 4. Each target is revoked by its [`provider`], refresh tokens first, behind a gate that knows when to
//!    leave the provider alone.
//! 5. [`outcome::settle`] computes the target's next state, once: final, or due again by the schedule of
//!    [`retry`].
//! 6. The confirmation is published ([`invalidation::Phase::Confirmed`]), then attempt and state are
//!    committed together.
//!
//! Whatever stops in between, the event is in the broker or its targets are in Postgres, and a live worker
//! goes on.
//!
//! # The map
//!
//! | question | file |
//! |---|---|
//! | what is a target, a token, what may print it | [`target`] |
//! | which characters a name may not have | [`visible`] |
//! | what does an answer mean, what comes next | [`outcome`], and `classify` in each file of [`provider`] |
//! | when is the next attempt | [`retry`] |
//! | what time is it | [`clock`] |
//! | when does a second person have to approve | [`approval`] |
//! | who may order what, and how much at once | [`authorization`] |
//! | when is a provider left alone | `worker/health.rs`, `worker/breaker.rs` |
//! | who calls a provider next | `worker/lanes.rs` |
//! | whose turn is it among broker users | `worker/shares.rs`, `event/party.rs`, `store/claim.rs` |
//! | who may have how many targets in memory | `worker/room.rs` |
//! | what does a pause, a throttle or an approval do | `worker/incidents/`, `worker/steer.rs` |
//! | who acknowledges | `worker/accept.rs` |
//! | what is in the database | `migrations/`, [`store`] |
//! | what is in the broker | `broker/topology.rs` |
//! | every setting | [`config`] |
//! | who may read this process's memory | [`core_dump`] |
//! | every log field and metric | [`telemetry`] |
//! | what do verifiers report, whose word counts | [`report`], `report/owners.rs`, `worker/reports.rs` |
//! | how does an operator end a wait | `cli/provider.rs`, `worker/steer.rs` |
//! | what does an auditor get | `crates/evidence`, `docs/evidence.md` |
//! | who wires it | [`app`] |
//! | what lives beside the worker: verifier, gate, HTTP server, archives, private servers | `crates/` |
//!
//! Pure modules ([`approval`], [`authorization`], [`clock`], [`config`], [`event`], [`invalidation`],
//! [`outcome`], [`report`], [`retry`], [`seal`], [`target`], [`visible`]) import no adapter;
//! only [`broker`] uses lapin, only [`provider`] reqwest, only [`store`] sqlx.

pub mod app;
pub mod approval;
pub mod authorization;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core_dump;
pub mod event;
pub mod failpoint;
pub mod http;
pub mod invalidation;
pub mod outcome;
pub mod provider;
pub mod report;
pub mod retry;
pub mod seal;
pub mod store;
pub mod target;
pub mod telemetry;
pub mod visible;
pub mod worker;

/// Version of this program, as `--version`, the audit views and the metrics show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
