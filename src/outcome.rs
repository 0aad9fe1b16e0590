//! What a provider's answer means: computed once, here and in each provider's `classify`, and everything else derives from it.

use std::time::Duration;

/// How far the revocation is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The provider said yes.
    Accepted,
    /// The provider said that the token was dead already.
    AlreadyInvalid,
    /// Introspection answered `active:false` afterwards.
    Verified,
    /// Introspection still says active: not done.
    Contradicted,
}

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target is dead at the provider. The proof is never `Contradicted`.
    Done(Proof),
    /// The provider accepted, but introspection still says active.
    Contradicted,
    /// May work later: network, timeout, 408, 425, 429, 5xx, body-coded throttling.
    Transient,
    /// Will work when a person has mended something: credentials, 3xx, host name, certificate.
    Misconfigured,
    /// The provider has no such call, or refuses this token type, for good.
    Unsupported,
    /// The provider refuses this target; a person must look.
    Refused,
}

/// A provider's answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// HTTP status, where there was a response.
    pub http_status: Option<u16>,
    /// What was tried, on what, and why it failed; at most 240 characters, never a secret. `None` on success.
    pub error: Option<String>,
    /// `Retry-After`, in full.
    pub retry_after: Option<Duration>,
}
