//! Who may speak for a service's verifiers: only an owner's report vouches for anything.
//!
//! A service that is not configured belongs to the broker user who reported it first, for as long as a
//! verified row of it is kept (a day after the last report): deployments without the setting go on, and
//! nobody takes over the name of a gate that runs or has just stopped. Whoever comes first before the gate
//! ever ran is its owner, though; only the setting rules that out.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;

/// Longest name of a broker user, in bytes: AMQP's short string.
const MAX_USER: usize = 255;

/// Services and the broker users who own them: `[verifiers] owners`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(BTreeMap<String, BTreeSet<String>>);

/// What the configuration says of a user and a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// An owner.
    Owner,
    /// The service is not configured: whoever reported it first.
    FirstCome,
    /// Not an owner, or nobody: RabbitMQ validated no user.
    None,
}

/// A report, and whose it is.
#[derive(Clone, Debug)]
pub struct Attested {
    /// What it says.
    pub report: Report,
    /// Who published it, as RabbitMQ has validated it against the connection.
    pub broker_user: Option<String>,
    /// What the configuration says of this user and the service.
    pub right: Right,
}

impl Owners {
    /// From each service to its owners.
    pub fn new(owners: BTreeMap<String, BTreeSet<String>>) -> Self {
        Self(owners)
    }

    /// Whose report it is.
    pub fn attest(&self, report: Report, broker_user: Option<&str>) -> Attested {
        let broker_user = broker_user.filter(|user| super::is_text(user, MAX_USER));
        let right = match (broker_user, self.0.get(&report.service)) {
            (None, _) => Right::None,
            (Some(user), Some(owners)) if owners.contains(user) => Right::Owner,
            (Some(_), Some(_)) => Right::None,
            (Some(_), None) => Right::FirstCome,
        };
        Attested { report, broker_user: broker_user.map(str::to_owned), right }
    }
}

/// Which reports, in the order of their receipt, are by an owner of their service. `owners`: those on record,
/// to which whoever comes first is added.
pub fn judge(reports: &[Attested], owners: &mut BTreeMap<String, BTreeSet<String>>) -> Vec<bool> {
    let is_owners = |attested: &Attested| match (attested.right, &attested.broker_user) {
        (Right::Owner, Some(_)) => true,
        (Right::FirstCome, Some(user)) => {
            let owners = owners.entry(attested.report.service.clone()).or_default();
            if owners.is_empty() {
                owners.insert(user.clone());
            }
            owners.contains(user)
        }
        _ => false,
    };
    reports.iter().map(is_owners).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;

    fn report(service: &str) -> Report {
        let body =
            json!({ "service": service, "instance": "pod-7", "entries": 0, "stale": false }).to_string();
        Report::parse(body.as_bytes(), OffsetDateTime::UNIX_EPOCH).expect("a report")
    }

    fn of(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        pairs
            .iter()
            .map(|(service, users)| {
                ((*service).to_owned(), users.iter().map(|user| (*user).to_owned()).collect())
            })
            .collect()
    }

    #[test]
    fn only_who_is_listed_owns_a_service_that_is_listed() {
        let owners = Owners::new(of(&[("shop-api", &["shop", "shop-canary"]), ("cards", &["cards"])]));
        let long = "u".repeat(256);
        for (service, user, right) in [
            ("shop-api", Some("shop"), Right::Owner),
            ("shop-api", Some("shop-canary"), Right::Owner),
            ("cards", Some("cards"), Right::Owner),
            ("shop-api", Some("cards"), Right::None),
            ("shop-api", Some("Shop"), Right::None),
            ("shop-api", Some("shop "), Right::None),
            ("shop-api", Some(""), Right::None),
            ("shop-api", None, Right::None),
            ("unlisted", Some("shop"), Right::FirstCome),
            ("Shop-api", Some("shop"), Right::FirstCome),
            ("unlisted", Some("nul\0"), Right::None),
            ("unlisted", Some(&long), Right::None),
            ("unlisted", None, Right::None),
        ] {
            assert_eq!(owners.attest(report(service), user).right, right, "{service} {user:?}");
        }
    }

    #[test]
    fn of_those_who_claim_a_service_the_first_one_has_it() {
        let (none, attest) = (Owners::default(), |user| Owners::default().attest(report("shop-api"), user));
        let late_owner = Owners::new(of(&[("shop-api", &["shop"])])).attest(report("shop-api"), Some("shop"));
        for (reports, on_record, verified) in [
            (vec![attest(Some("a")), attest(Some("b")), attest(Some("a"))], of(&[]), vec![true, false, true]),
            (vec![attest(None), attest(Some("b"))], of(&[]), vec![false, true]),
            (vec![attest(Some("a")), attest(Some("b"))], of(&[("shop-api", &["b"])]), vec![false, true]),
            (vec![attest(Some("a")), attest(Some("b"))], of(&[("shop-api", &["a", "b"])]), vec![true, true]),
            (vec![attest(Some("a"))], of(&[("other", &["b"])]), vec![true]),
            (
                vec![attest(Some("squatter")), late_owner],
                of(&[("shop-api", &["squatter"])]),
                vec![true, true],
            ),
        ] {
            let users: Vec<_> = reports.iter().map(|attested| attested.broker_user.clone()).collect();
            assert_eq!(judge(&reports, &mut on_record.clone()), verified, "{users:?} {on_record:?}");
        }
        assert_eq!(none.attest(report("s"), None).right, Right::None);
    }
}
