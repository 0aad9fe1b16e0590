//! What a worker needs of its database. A test compares it with migrations/roles.sql.

/// A right to all columns, or to those that are named.
pub(super) type Right = (&'static str, &'static [&'static str]);

/// What a worker does with its tables, as far as its role must be allowed to.
pub(super) const NEEDED: [(&str, &[Right]); 16] = [
    ("workers", &[("SELECT", ALL), ("INSERT", ALL), ("UPDATE", ALL)]),
    ("events", &[("SELECT", ALL), ("INSERT", ALL), ("UPDATE", &["denied_at", "deny_at", "accepted_by"])]),
    ("targets", &[("SELECT", ALL), ("INSERT", ALL), ("UPDATE", &TARGETS)]),
    ("attempts", &[("INSERT", ALL)]),
    ("rejected_events", &[("INSERT", ALL)]),
    ("provider_status", &[("SELECT", ALL), ("INSERT", ALL), ("UPDATE", ALL)]),
    ("verifiers", &[("SELECT", ALL), ("INSERT", ALL), ("UPDATE", ALL), ("DELETE", ALL)]),
    ("verifier_reports", &[("SELECT", ALL), ("INSERT", ALL), ("UPDATE", ALL), ("DELETE", ALL)]),
    ("latencies", &[("SELECT", ALL), ("INSERT", ALL), ("UPDATE", ALL), ("DELETE", ALL)]),
    ("operations", &[("INSERT", &["actor", "action", "incident", "detail"])]),
    ("provider_orders", &[("SELECT", ALL)]),
    ("incident_counts", &[("SELECT", ALL)]),
    ("incident_denied", &[("SELECT", ALL)]),
    ("incident_samples", &[("SELECT", ALL), ("INSERT", ALL), ("DELETE", ALL)]),
    ("incidents", &[("SELECT", ALL), ("INSERT", &OPENING), ("UPDATE", &STEERING)]),
    ("checkpoints", &[("SELECT", ALL), ("INSERT", ALL)]),
];

const ALL: &[&str] = &[];
/// What changes of a target.
const TARGETS: [&str; 22] = [
    "state",
    "proof",
    "attempts",
    "failures",
    "due_at",
    "lease_owner",
    "leased_at",
    "last_worker",
    "last_outcome",
    "last_http_status",
    "last_error",
    "sealed",
    "sealed_key",
    "revoked_at",
    "confirmed_at",
    "finished_at",
    "give_up_at",
    "deny_until",
    "cutoff",
    "waiting",
    "call_began_at",
    "denied_at",
];
/// What a worker says of an incident that it opens.
const OPENING: [&str; 12] = [
    "incident",
    "state",
    "reason",
    "opened_by",
    "opened_via",
    "opened_at",
    "targets_expected",
    "asks",
    "asking",
    "asking_expected",
    "contributors",
    "approval_above",
];
/// What it changes of one.
const STEERING: [&str; 8] = [
    "state",
    "was_paused",
    "targets_expected",
    "asks",
    "asking",
    "asking_expected",
    "contributors",
    "finished_at",
];

/// What a worker has done by functions.
pub(super) const FUNCTIONS: [&str; 6] =
    ["are_people", "calls_for_approval", "finish_incidents", "let_go", "sweep_cancelled", "try_write"];

/// What people and commands read.
pub(super) const VIEWS: [&str; 21] = [
    "revocations",
    "attempts",
    "events",
    "incidents",
    "backlog",
    "providers",
    "rejected_events",
    "propagation",
    "dead_letters",
    "verifiers",
    "silent_verifiers",
    "workers",
    "lost_workers",
    "operations",
    "purges",
    "purged",
    "checkpoints",
    "recorded_attempts",
    "recorded_results",
    "recorded_refusals",
    "recorded_operations",
];
