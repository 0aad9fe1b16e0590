//! The reckoning: everything revoked exactly once, by the record and by the provider's own count.

use std::collections::BTreeMap;

use super::backlog::MASS_QUEUE;
use super::command::INCIDENT;
use crate::Result;
use crate::provider::Provider;
use crate::stage::{Stage, queue};

/// Fails unless each of the incident's targets and each token of each logout was revoked once.
pub(super) async fn check(stage: &Stage, provider: &mut Provider, targets: u32, logouts: usize) -> Result {
    let tokens = u64::from(targets) + 2 * logouts as u64;
    for (what, expected, statement) in [
        ("the incident's targets on record as revoked", u64::from(targets), INCIDENT_TARGETS),
        ("different tokens among them", u64::from(targets), INCIDENT_TOKENS),
        (
            "targets on record as revoked",
            tokens,
            "SELECT count(*) FROM audit.revocations WHERE state = 'revoked' AND $1 <> ''",
        ),
        ("targets on record", tokens, "SELECT count(*) FROM audit.revocations WHERE $1 <> ''"),
        ("provider calls on record", tokens, "SELECT count(*) FROM audit.attempts WHERE $1 <> ''"),
        ("targets that a call on record revoked", tokens, REVOKING_CALLS),
        ("messages refused", 0, "SELECT count(*) FROM audit.rejected_events WHERE $1 <> ''"),
    ] {
        let found: i64 = sqlx::query_scalar(statement).bind(INCIDENT).fetch_one(&stage.database).await?;
        equal(what, expected, u64::try_from(found)?)?;
    }
    for name in ["revocation.logout", MASS_QUEUE] {
        equal(name, 0, queue(&stage.producer.channel, name).await?.0.into())?;
    }
    check_provider(&provider.times().await?, targets as usize)
}

const INCIDENT_TARGETS: &str = "SELECT revoked FROM audit.incidents WHERE incident = $1";
const INCIDENT_TOKENS: &str =
    "SELECT count(DISTINCT token_sha256) FROM audit.revocations WHERE incident = $1 AND state = 'revoked'";
const REVOKING_CALLS: &str = "SELECT count(DISTINCT revocation_id) FROM audit.attempts WHERE outcome IN \
    ('revoked', 'already_invalid') AND $1 <> ''";

fn equal(what: &str, expected: u64, found: u64) -> Result {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found} instead of {expected}").into()) }
}

/// `times`: how often each event's access token and refresh token came. An incident's targets have no access
/// token.
fn check_provider(times: &[[u8; 2]], targets: usize) -> Result {
    let mut wrong: BTreeMap<[u8; 2], usize> = BTreeMap::new();
    for (number, times) in times.iter().enumerate() {
        if *times != [u8::from(number >= targets), 1] {
            *wrong.entry(*times).or_default() += 1;
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("the provider got access and refresh tokens so often, so many events: {wrong:?}").into())
    }
}
