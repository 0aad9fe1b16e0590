//! What is said while Postgres takes no writes.

use crate::store::RefusedWrites;
use crate::visible::times::utc_to_the_second;

/// "Postgres refuses writes since 2026-12-01 04:28:53 UTC: could not extend file …".
pub fn no_writes(refused: &RefusedWrites) -> String {
    let since = refused
        .since
        .as_deref()
        .map_or_else(String::new, |since| format!(" since {}", utc_to_the_second(since)));
    let advice =
        if refused.reason.ends_with("(SQLSTATE 25006)") { "; it is a standby, or set read-only" } else { "" };
    format!("Postgres refuses writes{since}: {}{advice}", refused.reason)
}
