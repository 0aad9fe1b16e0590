//! `kind` of a provider. Each kind has its settings in a file of its own, beside the calls that they are for
//! in a file of the same name in `src/provider`. A new kind gets these two files, its lines in this file, a
//! `mod` in `src/provider/mod.rs`, an arm in `src/provider/kinds.rs`, and a row in `about.rs`, whose last
//! lines list what was tried against no real server. A kind whose calls can be declared as those of kind
//! `http` builds a `Declared` of them.

mod about;
mod apple;
mod assertion;
mod auth0;
mod authentik;
mod baanx;
mod bearer;
mod clerk;
mod client;
mod cognito;
mod entra;
mod firebase;
mod fusionauth;
mod genauth;
mod github;
mod global_token_revocation;
mod google;
mod http;
mod hydra;
mod keycloak;
mod okta;
mod rfc7009;
mod slack;
mod supabase;
mod workos;
mod zitadel;

pub use about::providers_reference;
pub use apple::AppleConfig;
pub use assertion::{AssertionConfig, KeyAlgorithm};
pub use auth0::{Auth0Config, Auth0ManagementConfig};
pub use authentik::AuthentikConfig;
pub use baanx::BaanxConfig;
pub use bearer::{BearerConfig, CallerConfig, GrantConfig};
pub use clerk::ClerkConfig;
pub use client::{ClientAuth, ClientConfig};
pub use cognito::{CognitoConfig, CognitoUsersConfig};
pub use entra::EntraConfig;
pub use firebase::FirebaseConfig;
pub use fusionauth::FusionauthConfig;
pub use genauth::{GenauthConfig, GenauthManagementConfig, GenauthProtocol, UserIdType};
pub use github::{GithubConfig, GithubRevokes};
pub use global_token_revocation::{GlobalTokenRevocationConfig, SubjectFormat};
pub use google::{GoogleConfig, WorkspaceConfig};
pub use http::{
    HttpCallConfig, HttpConfig, HttpListConfig, HttpMethod, HttpProbeConfig, HttpTokens, JsonTemplate,
};
pub use hydra::HydraConfig;
pub use keycloak::KeycloakConfig;
pub use okta::{OktaConfig, OktaServiceConfig};
pub use rfc7009::{BasicEncoding, Rfc7009Config};
pub use slack::SlackConfig;
pub use supabase::{LogoutScope, SupabaseConfig};
pub use workos::WorkosConfig;
pub use zitadel::ZitadelConfig;

use toml::Value;

use super::form::one_of;
use super::rule::Rule;
use super::section::Section;
use super::setting::{Row, Settings, Shape};

const DISCOVERS: &[&str] = &["discovery_origins", "allow_private_addresses"];
const VERIFIES: &[&str] = &["verify"];

macro_rules! kinds {
    ($( $variant:ident($config:ty) = $word:literal, $shares:expr; )+) => {
        /// The settings of one provider kind.
        pub enum KindConfig { $(
            #[doc = concat!("`kind = \"", $word, "\"`")]
            $variant($config),
        )+ }

        /// Every kind, in the order in which they are offered.
        pub(super) const KINDS: &[Kind] = &[$(
            Kind { word: $word, rows: <$config>::rows, shares: $shares },
        )+];

        impl KindConfig {
            /// The settings of the kind `word`. A section without a known kind was refused before.
            fn read(word: &str, section: &mut Section<'_>) -> Self {
                match word {
                    $( $word => Self::$variant(Settings::read(section)), )+
                    _ => Self::Rfc7009(Settings::read(section)),
                }
            }
        }
    };
}

kinds! {
    Rfc7009(Rfc7009Config) = "rfc7009", &[VERIFIES, DISCOVERS];
    Genauth(GenauthConfig) = "genauth", &[VERIFIES];
    Baanx(BaanxConfig) = "baanx", &[];
    GlobalTokenRevocation(GlobalTokenRevocationConfig) = "global_token_revocation", &[DISCOVERS];
    Keycloak(KeycloakConfig) = "keycloak", &[VERIFIES];
    Okta(OktaConfig) = "okta", &[VERIFIES];
    Hydra(HydraConfig) = "hydra", &[VERIFIES];
    Auth0(Auth0Config) = "auth0", &[];
    Google(GoogleConfig) = "google", &[];
    Github(GithubConfig) = "github", &[];
    Slack(SlackConfig) = "slack", &[];
    Apple(AppleConfig) = "apple", &[];
    Cognito(CognitoConfig) = "cognito", &[];
    Entra(EntraConfig) = "entra", &[];
    Firebase(FirebaseConfig) = "firebase", &[];
    Fusionauth(FusionauthConfig) = "fusionauth", &[];
    Clerk(ClerkConfig) = "clerk", &[];
    Workos(WorkosConfig) = "workos", &[];
    Zitadel(ZitadelConfig) = "zitadel", &[];
    Authentik(AuthentikConfig) = "authentik", &[];
    Supabase(SupabaseConfig) = "supabase", &[];
    Http(Box<HttpConfig>) = "http", &[];
}

/// What is to be known of a kind without a provider of it.
pub(super) struct Kind {
    pub(super) word: &'static str,
    /// The settings that are its own, or that it has in common with some other kinds.
    pub(super) rows: fn() -> Vec<Row>,
    /// Which of the settings that are read for every provider have an effect here and not with every kind.
    shares: &'static [&'static [&'static str]],
}

impl Kind {
    /// Whether a setting that not every kind has is one of this kind's.
    fn has(&self, key: &str) -> bool {
        self.shares(key) || (self.rows)().iter().any(|row| row.key == key)
    }

    /// Whether it is one of those that are read for every provider.
    pub(super) fn shares(&self, key: &str) -> bool {
        self.shares.concat().contains(&key)
    }
}

/// `kind`, and the settings that it decides on.
pub(super) fn kind() -> Rule<KindConfig> {
    Rule::new(Shape::Beside(rows), |key, section| {
        let word = section.given::<String>(key).unwrap_or_default();
        KindConfig::read(&word, section)
    })
}

/// The names of all kinds.
pub(super) fn words() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.word).collect()
}

/// `kind`, and every setting that some kind has.
fn rows() -> Vec<Row> {
    let is_kind = |value: &Value| {
        let is_known = value.as_str().is_some_and(|word| words().contains(&word));
        is_known.then_some(()).ok_or_else(|| format!("must be {}", one_of(&words())))
    };
    let kind = Rule::new(Shape::Plain(is_kind), |_, _| ()).form("see below").default("no default");
    let mut rows = kind.rows("kind", "What the provider is.");
    for row in KINDS.iter().flat_map(|kind| (kind.rows)()) {
        if rows.iter().all(|known| known.key != row.key) {
            rows.push(row);
        }
    }
    rows
}

/// Refuses what other kinds have and this one does not: it would be without effect here.
pub(super) fn refuse_foreign(section: &mut Section<'_>) {
    let given = section.given::<String>("kind");
    let Some(kind) = KINDS.iter().find(|kind| given.as_deref() == Some(kind.word)) else { return };
    let shared = DISCOVERS.iter().chain(VERIFIES).copied();
    let mut keys: Vec<&str> = shared.chain(rows().iter().map(|row| row.key)).collect();
    keys.retain(|key| *key != "kind" && !kind.has(key) && section.has(key));
    keys.retain(|key| *key != "verify" || section.is("verify", "introspect"));
    for key in keys {
        let owners: Vec<_> = KINDS.iter().filter(|kind| kind.has(key)).map(|kind| kind.word).collect();
        let why = format!(
            "without effect for kind = \"{}\" (only for {}); remove it",
            kind.word,
            listed(&owners, "and")
        );
        section.refuse(key, why);
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(words: &[&str], last: &str) -> String {
    match words.split_last() {
        Some((end, others)) if !others.is_empty() => format!("{} {last} {end}", others.join(", ")),
        _ => words.concat(),
    }
}
