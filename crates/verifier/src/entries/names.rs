//! Claims beside `sub`, `client_id` and `azp` that entries say name a subject or a client: Okta's `uid`,
//! Entra's `appid`.

use std::sync::OnceLock;

use crate::message::Kind;

/// More different ones than providers have; each costs every check a comparison.
const MOST: usize = 32;
const LONGEST: usize = 200;

/// Grows only, so that checks read it without a lock.
#[derive(Default)]
pub(super) struct Names([OnceLock<(Kind, Box<str>)>; MOST]);

impl Names {
    /// Notes a name. False where it cannot be one, or too many are known.
    pub(super) fn add(&self, kind: Kind, claim: &str) -> bool {
        (1..=LONGEST).contains(&claim.len()) && !claim.contains('\0') && self.find_or_add(kind, claim)
    }

    fn find_or_add(&self, kind: Kind, claim: &str) -> bool {
        self.0
            .iter()
            .map(|place| place.get_or_init(|| (kind, claim.into())))
            .any(|(held, name)| *held == kind && **name == *claim)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.0.iter().map_while(OnceLock::get).map(|(kind, name)| (*kind, &**name))
    }

    pub(super) fn contains(&self, claim: &str) -> bool {
        self.iter().any(|(_, name)| name == claim)
    }
}
