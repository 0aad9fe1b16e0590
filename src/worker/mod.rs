//! The worker: the steps of one event, and what keeps a fleet of workers whole.
//!
//! # The event
//!
//! | step | file |
//! |---|---|
//! | the list itself | `walk` |
//! | whose delivery is next | `deliveries` |
//! | parse; put bad input away | `walk`, `refuse` (with `refused`, where it waits) |
//! | verify what is signed | `signed` (with `keyless`, where it waits for keys) |
//! | who must approve it; what of it is too much | `intake`, `incidents/approval`, `incidents/excess` |
//! | deny: tell verifiers | `announce` |
//! | commit event, targets and leases | `commit` (with `prepare`, `correct`) |
//! | set to work, or change what it repeats | `follow` (with `copies`) |
//! | acknowledge | `acknowledge` |
//! | revoke at the provider, refresh tokens first | `revoke`, by `admission`; `job` is a target in memory |
//! | confirm, record, log | `record` |
//!
//! # Beside it
//!
//! | what | file |
//! |---|---|
//! | registers, once the schema is there | `enter` |
//! | retries, work that others left, incidents' targets | `claim` |
//! | leased, and in Postgres until memory has room | `ahead` (`claim/read_back`) |
//! | what operators do with incidents and providers | `fleet`, `incidents` |
//! | the lease, takeover from the dead, lost leases | `upkeep` |
//! | what verifiers are still owed | `owed` |
//! | what verifiers report | `reports` |
//! | heartbeats, and when one is due | `beats`, `beat_schedule` |
//! | snapshots | `fold` |
//! | checkpoints of the record | `checkpoints` |
//! | the spans of an event's trace | `traced` |
//! | figures for metrics and `/readyz` | `counts`, `readiness` |
//! | what happens while Postgres is away | `postgres` |
//! | what all of it works with; how it starts and ends | `parts`, `start` |

mod acknowledge;
mod ahead;
mod announce;
mod beat_schedule;
mod beats;
mod checkpoints;
mod claim;
mod commit;
mod copies;
mod correct;
mod counts;
mod deliveries;
mod enter;
mod fleet;
mod fold;
mod follow;
mod in_flight;
mod incidents;
mod intake;
mod job;
mod keyless;
mod owed;
mod parts;
mod postgres;
mod prepare;
mod readiness;
mod record;
mod refuse;
mod refused;
mod reports;
mod revoke;
mod signed;
mod start;
mod ticker;
mod traced;

mod upkeep;

mod walk;

pub use announce::Announcer;
pub use incidents::{Incident, IncidentGuard, Incidents};
pub use parts::{Identity, Ports, Rules, Worker};
pub use start::{Ended, Idle, Sessions, Steps};
