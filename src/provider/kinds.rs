//! The kinds of providers: which dialect each speaks.

use super::baanx::Baanx;
use super::dialect::Dialect;
use super::genauth::Genauth;
use super::global_token_revocation::GlobalTokenRevocation;
use super::hydra::Hydra;
use super::keycloak::Keycloak;
use super::oauth::Rfc7009;
use super::okta::Okta;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{KindConfig, Verify};

/// The dialect of the provider's kind.
pub(super) fn dialect(setup: &Setup<'_>) -> Result<Box<dyn Dialect>, ProviderSetupError> {
    let dialect: Box<dyn Dialect> = match &setup.config.kind {
        KindConfig::Rfc7009(kind) => Box::new(Rfc7009::new(setup, kind)?),
        KindConfig::Genauth(kind) => Box::new(Genauth::new(setup, kind)?),
        KindConfig::Baanx(kind) => Box::new(Baanx::new(setup, kind)?),
        KindConfig::GlobalTokenRevocation(kind) => Box::new(GlobalTokenRevocation::new(setup, kind)?),
        KindConfig::Keycloak(kind) => Box::new(Keycloak::new(setup, kind)?),
        KindConfig::Okta(kind) => Box::new(Okta::new(setup, kind)?),
        KindConfig::Hydra(kind) => Box::new(Hydra::new(setup, kind)?),
    };
    let can_introspect = dialect.tokens().is_some_and(Rfc7009::can_introspect);
    if setup.config.verify == Verify::Introspect && !can_introspect {
        let problem = r#"is "introspect", but there is no introspection with these settings; remove it"#;
        return Err(setup.refuse("verify", problem));
    }
    Ok(dialect)
}
