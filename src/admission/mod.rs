//! Who may call a provider now.
//!
//! # From "a target is due" to a permit
//!
//! 1. *Memory.* Before a target is claimed from Postgres, [`Admission::wanted`] says how many are worth it:
//!    none while a breaker is open, one when a probe is due, else as many as there is memory for. A logout
//!    that has just arrived asks [`Admission::reserve`] instead. Without [`Room`] it waits there, leased
//!    already ([`Admission::reserve_ahead`]) where the provider is known to be quick.
//! 2. *Breaker.* [`Admission::rejects`] tells whether a call would be sent away, before it spends anything
//!    else, such as one of its incident's slots per second.
//! 3. *Turn.* [`Admission::permit`] puts the [`Call`] into its lane. It waits until a slot is open to calls
//!    of its [scope](crate::target::Scope), its lane is next, its broker user's turn has come there, and the
//!    token bucket allows its requests. If the breaker opens meanwhile, it comes back with nothing, and the
//!    target waits in Postgres without spending an attempt.
//! 4. *Answer.* [`CallPermit::report`] teaches the breaker. Dropping the permit gives the slot to the next.
//!    An answer that may be about our credentials is decided by `Admission::rule`, without a permit.
//!
//! # What each file decides
//!
//! | file | decides |
//! |---|---|
//! | `room` | how many targets are in memory, or leased ahead of it; how many of them one user's |
//! | `permit` | hands the permits out and takes them back: the only lock, and where calls wait |
//! | `lanes` | whose call is next: slots, lanes, rate |
//! | `fair_queue` | whose turn it is among broker users; deliveries, commits and refusals go by it, too |
//! | `health` | joins what is known of both credentials; what `audit.providers` shows |
//! | `breaker` | when a provider is left alone, and when it is tried again |
//! | `calls` | how many calls failed lately, and how long they took |
//! | `told` | what of that is logged |
//! | `doubts` | whose fault an answer is that reads like bad credentials |
//! | `wishes` | whether a `Retry-After` is the provider's or one target's |
//! | `probes` | the last probe, and how many came to what |
//! | `probing` | makes the provider's own probes when breaker or doubts need one |
//! | `fleet` | what other workers and operators change, and what they are shown; no call comes by |
//!
//! Nothing here calls the database or the broker, or knows of incidents.

mod breaker;
mod calls;
mod doubts;
mod fair_queue;
mod fleet;
mod health;
mod lanes;
mod permit;
mod probes;
mod probing;
mod room;
#[cfg(test)]
pub(crate) mod tests;
mod told;
mod wishes;

pub(crate) use doubts::Doubt;
pub(crate) use fair_queue::FairQueue;
pub use lanes::Call;
pub use permit::{Admission, CallPermit, Limits};
pub use room::Room;
