//! `kind = "global_token_revocation"` (draft-parecki-oauth-global-token-revocation)

use super::bearer::{BearerConfig, bearer};
use crate::config::providers::endpoint;
use crate::config::rule::optional;
use crate::config::section::Section;
use crate::config::setting::{choices, settings};

settings! {
    /// `kind = "global_token_revocation"` (draft-parecki-oauth-global-token-revocation)
    pub struct GlobalTokenRevocationConfig {
        /// Where users are logged out; absent: discovered from `issuer`.
        pub endpoint as "global_token_revocation_endpoint": Option<String> = endpoint(),
        /// How `sub_id` names the user (RFC 9493 section 3.2).
        pub subject_format: Option<SubjectFormat> =
            optional().default("`iss_sub` where the target or the provider has an issuer, else `opaque`"),
        /// `bearer_token`, or a client that is granted one.
        pub bearer: BearerConfig = bearer(),
    }
    check can_be_discovered
}

choices! {
    /// How `sub_id` names the user (RFC 9493 section 3.2).
    pub enum SubjectFormat {
        /// The target's `sub` as `id`.
        Opaque = "opaque",
        /// The target's `sub`, and its `iss`, else the provider's `issuer`.
        IssSub = "iss_sub",
        /// The target's `sub` as `email`.
        Email = "email",
    }
}

/// Without an endpoint, `issuer` must be an address to discover it from.
fn can_be_discovered(_: &GlobalTokenRevocationConfig, section: &mut Section<'_>) {
    const KEY: &str = "global_token_revocation_endpoint";
    match (section.has(KEY), section.has("issuer")) {
        (true, _) => {}
        (false, true) => drop(endpoint().read("issuer", section)),
        (false, false) => section.missing(KEY, "give its address, or set issuer to have it discovered"),
    }
}
