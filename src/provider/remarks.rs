//! What an operator has to know of the ids that a provider's users go by, for `check`.
//!
//! A subject target has one `sub`, for the provider's whole-user call and for the denial in local verifiers
//! alike. Where the call takes another id than the `sub` of the provider's tokens, the one is right and the
//! other reaches nothing, unless a claim that `subject_claims` names holds the id.

use crate::config::{ClaimNames, KindConfig, ProviderConfig, SubjectFormat, UserIdType, is_entra};

/// Sentences about this provider, none of them a fault.
pub fn remarks(config: &ProviderConfig) -> Vec<String> {
    user_id(config).into_iter().chain(claim_names(&config.claims)).collect()
}

/// Which `sub` to send, where that is not plain.
fn user_id(config: &ProviderConfig) -> Option<String> {
    if config.issuer.as_deref().is_some_and(is_entra) || matches!(config.kind, KindConfig::Entra(_)) {
        return Some(format!(
            "a user has another sub in each application's tokens: send the object id, the claim oid, as \
                sub{}",
            counts(config, "oid")
        ));
    }
    match &config.kind {
        KindConfig::Cognito(cognito) if cognito.users.is_some() => Some(format!(
            "a user is signed out by the user name in the pool: send that, the claim username, as sub{}",
            counts(config, "username")
        )),
        KindConfig::Okta(okta) if okta.api_token.is_some() || okta.service.is_some() => Some(format!(
            "a user is logged out by the id at Okta, but the sub of a custom server's access tokens is the \
                login: send the id, the claim uid, as sub{}",
            counts(config, "uid")
        )),
        KindConfig::Genauth(genauth) => {
            match genauth.management.as_ref().map(|management| management.user_id_type) {
                None | Some(UserIdType::UserId) => None,
                Some(other) => Some(other_id(config, &format!("user_id_type is {}", other.as_str()))),
            }
        }
        KindConfig::GlobalTokenRevocation(server) if server.subject_format == Some(SubjectFormat::Email) => {
            Some(other_id(config, "subject_format is email"))
        }
        // Keycloak's and Hydra's calls take the sub itself; the others have none that names a user.
        _ => None,
    }
}

/// Whether the denial hits by this claim.
fn counts(config: &ProviderConfig, claim: &str) -> String {
    match config.claims.subject.iter().any(|name| name == claim) {
        true => String::new(),
        false => format!("; local verifiers look at that claim only if subject_claims names it: add {claim}"),
    }
}

fn other_id(config: &ProviderConfig, why: &str) -> String {
    let reach = match &config.claims.subject[..] {
        [] => "name the claim that holds it in subject_claims, or no token is denied locally".to_owned(),
        names => format!("tokens are denied locally by {}", names.join(" and ")),
    };
    format!("{why}, so a target's sub must be that, which is not the sub of its tokens: {reach}")
}

/// What the two settings come to.
fn claim_names(names: &ClaimNames) -> Option<String> {
    let lists = [("user", &names.subject), ("client", &names.client)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty());
    let told: Vec<_> =
        lists.map(|(what, names)| format!("a {what} also by {}", names.join(" and "))).collect();
    if told.is_empty() {
        return None;
    }
    let told = told.join(" and ");
    Some(match (&names.issuer, &names.twin) {
        (Some(issuer), Some(twin)) => {
            format!(
                "local verifiers know {told} in tokens of a target's iss, else of {issuer} and {twin}: those \
                    must be their exact iss"
            )
        }
        (Some(issuer), None) => {
            format!(
                "local verifiers know {told} in tokens of a target's iss, else of {issuer}: that must be \
                    their exact iss"
            )
        }
        (None, _) => {
            format!(
                "local verifiers know {told} only where a target has an iss: set issuer, or these claims \
                    count in no other target"
            )
        }
    })
}

#[cfg(test)]
mod tests;
