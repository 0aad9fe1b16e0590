//! Whether the database would let a worker work.

use super::expected::Expected;
use super::{Finding, Problem};
use crate::config::Config;
use crate::seal::Keyring;
use crate::store::{Findings, OTHER_PEOPLE, SchemaError, Store};

/// What the record tells besides.
#[derive(Default)]
pub(super) struct OnRecord {
    /// What verifiers will have to hold.
    pub(super) expected: Option<Expected>,
    /// Providers that running workers leave alone for their settings' sake.
    pub(super) misconfigured: Vec<String>,
}

pub(super) async fn database(config: &Config) -> (Finding, OnRecord) {
    let store = match Store::new(&config.database) {
        Ok(store) => store,
        Err(error) => {
            return (Finding::new("database", Err(Problem::Setting(error.to_string()))), OnRecord::default());
        }
    };
    let found = examine(config, &store).await;
    let (found, role) = match found {
        Ok((says, role)) => (Ok(says), role),
        Err(problem) => (Err(problem), None),
    };
    let mut notes = match (&found, &config.people) {
        (Ok(_), Some(people)) if matches!(store.is_told(people).await, Ok(false)) => {
            vec![OTHER_PEOPLE.to_owned()]
        }
        _ => Vec::new(),
    };
    notes.extend(role.as_deref().map(purpose));
    let on_record = if found.is_ok() { on_record(&store).await } else { OnRecord::default() };
    store.close().await;
    (Finding { notes, ..Finding::new("database", found) }, on_record)
}

async fn on_record(store: &Store) -> OnRecord {
    let expected = store.arrivals().await.ok().as_ref().and_then(Expected::of);
    let providers = store.providers(None).await.unwrap_or_default().into_iter();
    let misconfigured = providers.filter(|row| row.reason.as_deref() == Some("misconfigured"));
    OnRecord { expected, misconfigured: misconfigured.map(|row| row.provider).collect() }
}

/// What a login that is no worker's is for.
fn purpose(role: &str) -> String {
    let what = match role {
        "revocation_operator" => "the commands of operators, and reads the audit views",
        "revocation_retention" => "`purge`, and reads the audit views",
        _ => "reading the audit views",
    };
    format!(
        "its login has the rights of {role}, which is for {what}; whether a worker could run was not \
            looked at: that takes a login with revocation_worker"
    )
}

async fn examine(config: &Config, store: &Store) -> Result<(String, Option<String>), Problem> {
    store.ping().await.map_err(Problem::other)?;
    let found = store.examine(config.database.max_connections).await;
    let Findings { version, mut problems, sealed_with, other_role } = found.map_err(|error| match error {
        SchemaError::Outdated { .. } => Problem::Other(format!("{}: {error}", store.place())),
        other => Problem::other(other),
    })?;
    problems.extend(unopened(config, &sealed_with));
    if !problems.is_empty() {
        return Err(Problem::Other(format!("reached, but {}", problems.join("; and "))));
    }
    let clear = if store.is_verified() {
        ""
    } else {
        "; its certificate is not checked: add sslmode=verify-full to database.url where it is remote"
    };
    Ok((format!("reached; its schema is at version {version}{clear}"), other_role))
}

/// Where tokens wait that no configured key opens.
fn unopened(config: &Config, sealed_with: &[String]) -> Option<String> {
    let keyring = Keyring::parse(&config.sealing_keys).ok()?;
    let unknown: Vec<_> = sealed_with.iter().filter(|id| !keyring.has(id)).map(String::as_str).collect();
    let keys = unknown.join(", ");
    (!unknown.is_empty()).then(|| {
        format!(
            "tokens that wait there are sealed with keys that sealing.keys does not have: put back {keys}"
        )
    })
}
