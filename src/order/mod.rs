//! A mass revocation from a file to events: the pipeline of `incident open`. `submit` uses its lines, its
//! rules and its last step.
//!
//! 1. [`input`] and [`lines`]: what can be read twice, cut into numbered lines.
//! 2. [`rows`], by [`raw_target`] and [`csv`]: a line, or a flag, names a raw target.
//! 3. [`check`], by [`rules`]: the worker's own rules, applied before anything leaves this machine.
//! 4. [`first_pass`]: counts everything, so that a person can look first and each event can say how much
//!    there is in all.
//! 5. [`event`], [`chunks`] and [`resume`]: targets become events, with ids that the same command gives them
//!    again.
//! 6. [`second_pass`] and [`publish`]: cutoffs, then tokens, each confirmed by the broker.

pub(crate) mod check;
pub(crate) mod chunks;
mod csv;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod first_pass;
pub(crate) mod input;
pub(crate) mod lines;
pub(crate) mod observer;
pub(crate) mod publish;
pub(crate) mod raw_target;
pub(crate) mod resume;
pub(crate) mod rows;
pub(crate) mod rules;
pub(crate) mod second_pass;
