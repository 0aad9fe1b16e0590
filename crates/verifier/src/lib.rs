//! A denylist of revoked OAuth tokens for services that verify tokens locally.
//!
//! A service that verifies a JWT by its signature goes on accepting it after the user has logged out, until
//! it is told. `revocation-worker` tells: it publishes every revocation to a RabbitMQ stream. A [`Denylist`]
//! reads that stream, answers [`check`](Denylist::check) from memory, and knows when it cannot vouch for its
//! answer.
//!
//! ```no_run
//! use revocation_verifier::{Denylist, Options, StalenessPolicy, TokenView};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new("amqp://shop-api:secret@rabbitmq/%2f", "shop-api", StalenessPolicy::FailClosed);
//! let denylist = Denylist::connect(options)?;
//! denylist.ready().await;
//!
//! // For each request, beside verifying the signature:
//! let token = "eyJ…";
//! if !denylist.check(&TokenView::bearer(token)).is_accepted() {
//!     // 401
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Whole services are in `examples/`; choosing a policy, broker permissions and more are in
//! `docs/verifiers.md`.
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
//! | how do services in other languages ask | `gate/` (feature `gate`), the program `revocation-gate` |
//! | who reports to the operators | `report.rs` |
//! | what may a connection to the gate cost | `server.rs` (feature `server`) |

pub mod amqp;
pub mod claims;
mod denylist;
mod entries;
pub mod feed;
mod freshness;
#[cfg(feature = "gate")]
pub mod gate;

pub mod message;

#[cfg(feature = "metrics")]
mod metrics;
mod oddities;
mod report;
#[cfg(feature = "server")]
pub mod server;
mod token;
mod verdict;

pub use claims::{Claims, NumericDate};
pub use denylist::{Denylist, Figures, Options, OptionsError, Position};
pub use message::{Staleness, StalenessPolicy};
pub use token::TokenView;
pub use verdict::{Denial, Verdict};
