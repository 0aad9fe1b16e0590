//! Incidents as operators see them: typed rows of the audit views. Times are as Postgres writes them in JSON.
//! What a view has beyond the named members passes through.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::store::verifiers::VerifierRow;

/// Targets by state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the states, which `outcome` says")]
pub struct StateCounts {
    pub pending: u64,
    pub revoked: u64,
    pub unsupported: u64,
    pub expired: u64,
    pub parked: u64,
    pub cancelled: u64,
}

/// A row of `audit.incidents`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the view, which says what they are")]
pub struct Incident {
    pub incident: String,
    /// As people name it: `finished`, where a running one has ended.
    pub state: String,
    pub reason: Option<String>,
    pub opened_by: Option<String>,
    pub opened_at: Option<String>,
    pub approved_by: Option<String>,
    pub approved_at: Option<String>,
    #[serde(default)]
    pub approval_for: Vec<String>,
    /// How many were announced.
    pub targets_expected: Option<u64>,
    pub targets_received: u64,
    pub denied: u64,
    /// Where those that were received stand.
    #[serde(flatten)]
    pub counts: StateCounts,
    pub rate_per_s: Option<Number>,
    pub eta_seconds: Option<Number>,
    pub throttle_per_s: Option<u64>,
    pub cancelled_by: Option<String>,
    pub cancel_reason: Option<String>,
    pub finished_at: Option<String>,
    /// Targets, received or expected, whichever is more; where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<i64>,
    /// Seconds since it was opened; where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_s: Option<i64>,
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

impl Incident {
    /// How many a second are dealt with, and in how many seconds the rest will be: while it runs.
    pub fn pace(&self) -> (Option<f64>, Option<f64>) {
        let figure = |figure: &Option<Number>| figure.as_ref().and_then(Number::as_f64);
        match self.state.as_str() {
            "paused" => (None, None),
            _ => (figure(&self.rate_per_s), figure(&self.eta_seconds)),
        }
    }
}

/// The incidents that are listed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Incidents {
    /// Active ones first, the newest first among them.
    pub incidents: Vec<Incident>,
    /// How many are left out.
    pub hidden: u64,
}

/// Everything that is known of an incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IncidentDetail {
    /// Its row.
    #[serde(flatten)]
    pub row: Incident,
    /// The broker user by which it was opened.
    pub opened_via: Option<String>,
    /// Kinds that call for approval.
    pub asks: Vec<String>,
    /// How many targets of them there are, or are announced.
    pub asking: i64,
    /// The first of them by name, where it waits for approval and they were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Vec<String>>,
    /// Whose database role approved it.
    pub approved_role: Option<String>,
    /// For how many targets.
    pub approved_targets: Option<u64>,
    /// Who added to it, and the broker users over which they did; compared without case and blanks.
    pub contributors: Vec<String>,
    /// Targets that workers hold.
    pub in_flight: u64,
    /// Counts by provider.
    pub providers: Vec<ProviderCounts>,
    /// What was done to it, the first first; left out where it is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
    /// Counts by kind, once they were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<KindCounts>>,
    /// What may still get through, once that was looked for.
    #[serde(default)]
    pub residual_risk: Option<ResidualRisk>,
}

/// Where a provider's targets of an incident stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProviderCounts {
    /// The provider.
    pub provider: String,
    /// Its targets.
    #[serde(flatten)]
    pub counts: StateCounts,
}

/// Where an incident's targets of one kind stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KindCounts {
    /// The kind.
    pub kind: String,
    /// Its targets.
    #[serde(flatten)]
    pub counts: StateCounts,
}

/// A row of `audit.operations`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// When.
    pub at: String,
    /// Who did it.
    pub actor: String,
    /// What.
    pub action: String,
    /// What is on record beside that, by the action.
    pub detail: Map<String, Value>,
}

/// What reading every target of an incident tells.
#[derive(Debug, Deserialize)]
pub struct Exposure {
    /// Counts by kind.
    pub kinds: Vec<KindCounts>,
    /// What may still get through.
    pub residual_risk: ResidualRisk,
}

/// What may still get through of an incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResidualRisk {
    /// Targets that are neither denied nor expired.
    pub undenied: u64,
    /// Verified verifiers that are live.
    pub live_verifiers: u64,
    /// Live ones for which no owner reports.
    pub unverified_verifiers: u64,
    /// Of the verified ones, who is not up to date or has not applied the incident's last denial.
    pub verifiers_behind: Vec<String>,
    /// Verified ones that no longer report, have not signed off, and are not known to have applied the
    /// incident's last denial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_verifiers: Vec<VerifierRow>,
    /// Whether a verified one is on record that has not signed off.
    #[serde(default, skip_serializing)]
    pub has_verifiers: bool,
    /// Targets that are denied, not expired and not confirmed by the provider: verifiers alone keep them out.
    pub not_revoked: u64,
    /// Until when the last of these lives.
    pub not_revoked_until: Option<String>,
    /// These by state.
    pub not_revoked_by_state: BTreeMap<String, u64>,
    /// Targets that may still get new tokens from the provider, which verifiers accept: all but access
    /// tokens, until the provider confirms. People are told of it; JSON keeps its members.
    #[serde(default, skip_serializing)]
    pub may_mint: u64,
}
