//! Named places where a test build kills or freezes itself. Without the feature `failpoints` nothing of it is
//! compiled.

/// Marks a step of an event: `failpoint!("committed")`. Does nothing without the feature.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::reached($name);
    };
}

/// Every name, in an event's order.
pub const NAMES: [&str; 10] = [
    "received",
    "parsed",
    "denied",
    "committed",
    "acked",
    "claimed",
    "sent",
    "responded",
    "confirmed",
    "recorded",
];

/// Beside the events: a checkpoint of the record is committed, and not published yet.
pub const CHECKPOINTED: &str = "checkpointed";

/// Those of the receiver, in the order of a request.
pub const RECEIVER_NAMES: [&str; 2] = ["verified", "published"];

/// `KILL_AT=<name>:<n>` sends this process SIGKILL when the place is reached for the n-th time; `PAUSE_AT`
/// sends SIGSTOP.
#[cfg(feature = "failpoints")]
pub fn reached(name: &'static str) {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, PoisonError};

    static COUNTS: LazyLock<Mutex<HashMap<&'static str, u64>>> = LazyLock::new(Mutex::default);
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(name).or_default();
    *count += 1;
    let here = format!("{name}:{count}");
    for (variable, signal) in [("KILL_AT", "KILL"), ("PAUSE_AT", "STOP")] {
        if std::env::var(variable).is_ok_and(|place| place == here) {
            let pid = std::process::id().to_string();
            // The process is gone, or frozen, before `status` returns.
            drop(std::process::Command::new("kill").args(["-s", signal, &pid]).status());
        }
    }
}
