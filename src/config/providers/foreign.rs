//! Settings without effect for the kind they stand beside.

use super::Reader;
use crate::config::Verify;
use crate::config::raw::{RawKind, RawProvider};

impl Reader<'_> {
    /// Refuses what another kind has: it would be without effect here.
    pub(super) fn refuse_foreign(&mut self, kind: RawKind) {
        let foreign =
            owned(&self.raw).into_iter().filter(|(_, is_given, kinds)| *is_given && !kinds.contains(&kind));
        for (key, _, kinds) in foreign {
            let why = format!(
                "without effect for kind = \"{}\" (only for {}); remove it",
                kind.as_str(),
                list(kinds)
            );
            self.refuse(key, &why);
        }
    }
}

/// A setting, whether it is given, and the kinds that have it.
type Owned = (&'static str, bool, &'static [RawKind]);

fn owned(raw: &RawProvider) -> [Owned; 28] {
    use RawKind::{Baanx, Genauth, GlobalTokenRevocation, Hydra, Keycloak, Okta, Rfc7009};
    const CLIENTS: &[RawKind] = &[Rfc7009, Genauth, GlobalTokenRevocation, Keycloak, Okta, Hydra];
    [
        ("revocation_endpoint", raw.revocation_endpoint.is_some(), &[Rfc7009]),
        ("introspection_endpoint", raw.introspection_endpoint.is_some(), &[Rfc7009]),
        ("basic_encoding", raw.basic_encoding.is_some(), &[Rfc7009]),
        ("discovery_origins", raw.discovery_origins.is_some(), &[Rfc7009, GlobalTokenRevocation]),
        ("allow_private_addresses", raw.allow_private_addresses.is_some(), &[Rfc7009, GlobalTokenRevocation]),
        ("client_id", raw.client_id.is_some(), CLIENTS),
        ("client_secret", raw.client_secret.is_some() || raw.client_secret_file.is_some(), CLIENTS),
        ("client_auth", raw.client_auth.is_some(), CLIENTS),
        ("verify", raw.verify == Some(Verify::Introspect), &[Rfc7009, Genauth, Keycloak, Okta, Hydra]),
        ("app_host", raw.app_host.is_some(), &[Genauth]),
        ("protocol", raw.protocol.is_some(), &[Genauth]),
        ("management_host", raw.management_host.is_some(), &[Genauth]),
        ("access_key_id", raw.access_key_id.is_some(), &[Genauth]),
        (
            "access_key_secret",
            raw.access_key_secret.is_some() || raw.access_key_secret_file.is_some(),
            &[Genauth],
        ),
        ("app_ids", raw.app_ids.is_some(), &[Genauth]),
        ("user_id_type", raw.user_id_type.is_some(), &[Genauth]),
        ("base_url", raw.base_url.is_some(), &[Baanx, Keycloak, Okta, Hydra]),
        ("client_key", raw.client_key.is_some() || raw.client_key_file.is_some(), &[Baanx]),
        ("us_env", raw.us_env.is_some(), &[Baanx]),
        (
            "global_token_revocation_endpoint",
            raw.global_token_revocation_endpoint.is_some(),
            &[GlobalTokenRevocation],
        ),
        ("subject_format", raw.subject_format.is_some(), &[GlobalTokenRevocation]),
        (
            "bearer_token",
            raw.bearer_token.is_some() || raw.bearer_token_file.is_some(),
            &[GlobalTokenRevocation],
        ),
        ("token_endpoint", raw.token_endpoint.is_some(), &[GlobalTokenRevocation]),
        ("scope", raw.scope.is_some(), &[GlobalTokenRevocation]),
        ("realm", raw.realm.is_some(), &[Keycloak]),
        ("api_token", raw.api_token.is_some() || raw.api_token_file.is_some(), &[Okta]),
        ("authorization_server_id", raw.authorization_server_id.is_some(), &[Okta]),
        ("admin_url", raw.admin_url.is_some(), &[Hydra]),
    ]
}

/// `a`, `a and b`, `a, b and c`.
fn list(kinds: &[RawKind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}
