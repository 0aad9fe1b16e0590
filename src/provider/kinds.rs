//! The kinds of providers: which dialect each speaks.

use super::apple::apple;
use super::auth0::auth0;
use super::authentik::authentik;
use super::baanx::Baanx;
use super::clerk::clerk;
use super::cognito::Cognito;
use super::declared::Declared;
use super::dialect::Dialect;
use super::entra::entra;
use super::firebase::Firebase;
use super::fusionauth::fusionauth;
use super::genauth::Genauth;
use super::github::github;
use super::global_token_revocation::GlobalTokenRevocation;
use super::google::google;
use super::hydra::Hydra;
use super::keycloak::Keycloak;
use super::oauth::Rfc7009;
use super::okta::Okta;
use super::setup::{ProviderSetupError, Setup};
use super::slack::slack;
use super::supabase::supabase;
use super::workos::workos;
use super::zitadel::zitadel;
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
        KindConfig::Auth0(kind) => Box::new(auth0(setup, kind)?),
        KindConfig::Google(kind) => Box::new(google(setup, kind)?),
        KindConfig::Github(kind) => Box::new(github(setup, kind)?),
        KindConfig::Slack(kind) => Box::new(slack(setup, kind)?),
        KindConfig::Apple(kind) => Box::new(apple(setup, kind)?),
        KindConfig::Cognito(kind) => Box::new(Cognito::new(setup, kind)?),
        KindConfig::Entra(kind) => Box::new(entra(setup, kind)?),
        KindConfig::Firebase(kind) => Box::new(Firebase::new(setup, kind)?),
        KindConfig::Fusionauth(kind) => Box::new(fusionauth(setup, kind)?),
        KindConfig::Clerk(kind) => Box::new(clerk(setup, kind)?),
        KindConfig::Workos(kind) => Box::new(workos(setup, kind)?),
        KindConfig::Zitadel(kind) => Box::new(zitadel(setup, kind)?),
        KindConfig::Authentik(kind) => Box::new(authentik(setup, kind)?),
        KindConfig::Supabase(kind) => Box::new(supabase(setup, kind)?),
        KindConfig::Http(kind) => Box::new(Declared::http(setup, kind)?),
    };
    let can_introspect = dialect.tokens().is_some_and(Rfc7009::can_introspect);
    if setup.config.verify == Verify::Introspect && !can_introspect {
        let problem = r#"is "introspect", but there is no introspection with these settings; remove it"#;
        return Err(setup.refuse("verify", problem));
    }
    Ok(dialect)
}
