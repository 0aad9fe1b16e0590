//! What verifiers cannot keep out: the new tokens that a refresh token, or a login, still gets from a
//! provider that has not confirmed its end.

use crate::store::RevocationRow;
use crate::visible::count;

/// What is said of a target that may.
pub const ONE: &str = "it may still get new access tokens from the provider, which verifiers accept";

/// As an access token does not.
const WHICH: &str = "refresh tokens, and logins that it has not ended";

/// How many of an event's targets may still get new tokens.
pub fn of(targets: &[RevocationRow]) -> u64 {
    let may = |target: &&RevocationRow| {
        let hint = target.token_type_hint.as_deref();
        let is_access_token = target.target_kind == "token" && hint == Some("access_token");
        !is_access_token && !matches!(target.state.as_str(), "revoked" | "expired")
    };
    targets.iter().filter(may).count() as u64
}

/// What is said of so many; none: nothing.
pub fn sentence(targets: u64) -> Option<String> {
    (targets > 0).then(|| {
        let targets = count(targets, "target");
        format!(
            "{targets} may still get new access tokens from the provider, which verifiers accept: {WHICH}"
        )
    })
}
