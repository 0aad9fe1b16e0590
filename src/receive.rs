//! Standard inputs, by HTTP or by queue, brought into the form of an event: a request or a message in, a
//! logout or a refusal out (docs/contract.md, section 2). No I/O: keys are given, the answer is sent by
//! others.
//!
//! | question | file |
//! |---|---|
//! | which signatures count, with which keys | `jws`, `keys` |
//! | who issued it, for whom, when | `claims` |
//! | whom a sender may log out, at which provider | `sender` |
//! | what a subject identifier means | `subject` |
//! | OpenID Connect Back-Channel Logout | `logout_token` |
//! | Global Token Revocation | `global_token_revocation` |
//! | Shared Signals: CAEP and RISC | `shared_signals`, `signals` |
//! | the event that is published | `order` |
//! | the same tokens as messages of their own | `message` |
//! | why something is refused, in the words of each standard | `refused` |

mod claims;
pub mod global_token_revocation;
mod jws;
mod keys;
pub mod logout_token;
mod message;
mod object;
mod order;
mod refused;
mod sender;
pub mod shared_signals;
mod signals;
mod subject;

pub use jws::{Compact, MAX_TOKEN_BYTES};
pub use keys::KeySet;
pub use message::Message;
pub use order::Order;
pub use refused::{Code, Refused};
pub use sender::Sender;
pub use signals::wanted;
