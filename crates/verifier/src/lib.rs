#![doc = include_str!("../README.md")]
//!
//! | question | file |
//! |---|---|
//! | what is on the wire | [`message`] |
//! | what does a token say of itself | [`claims`] |
//! | what does an entry deny, and for how long | `entries.rs` |
//! | when is the answer stale | `freshness.rs` |
//! | where does reading begin, when is something missing | `feed/begin.rs` |
//! | what must be read before a heartbeat counts | `feed/named.rs` |
//! | how does a start stay short | `feed/snapshot.rs` |
//! | what do metrics show | `metrics.rs` (feature `metrics`) |
//! | how do services in other languages ask | the program `revocation-gate`, a crate of its own |
//! | who reports to the operators | `report.rs` |

pub mod amqp;
pub mod claims;
mod denylist;
mod entries;
pub mod feed;
mod freshness;
pub mod message;
#[cfg(feature = "metrics")]
mod metrics;
mod oddities;
mod report;
mod token;
mod verdict;

pub use claims::{Claims, NumericDate};
pub use denylist::{Denylist, Figures, Options, OptionsError, Position};
pub use message::{Staleness, StalenessPolicy};
pub use token::TokenView;
pub use verdict::{Denial, Verdict};
