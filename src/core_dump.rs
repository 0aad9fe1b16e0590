//! Keeps this process's memory, which holds tokens and secrets, out of core dumps and out of the hands of
//! others who run as the same user.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps, and everybody but root to read the memory or the environment under `/proc`, or to
/// attach a debugger.
///
/// # Errors
/// The system refuses; nothing else depends on it.
pub fn forbid() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
