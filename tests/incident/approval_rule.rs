//! When a second person is needed: the worker's rule and the database's, over the same cases.

use revocation_worker::approval::{Allowance, Extent};
use revocation_worker::target::Kind;

use crate::harness::Stage;

/// Kinds that need an approval, how many targets are of them, and how many there are in all.
type Numbers = (&'static [Kind], i64, i64);

const LIMIT: i64 = 10;
const C: &[Kind] = &[Kind::Client];
const CI: &[Kind] = &[Kind::Client, Kind::Issuer];

/// What is ordered, what was approved, and whether that needs an approval.
const CASES: [(Numbers, Option<Numbers>, bool); 19] = [
    ((&[], 0, 0), None, false),
    ((&[], 0, LIMIT), None, false),
    ((&[], 0, LIMIT + 1), None, true),
    ((&[], 0, i64::MAX), None, true),
    ((C, 1, 1), None, true),
    ((C, 0, 1), None, true),
    ((&[], 1, 1), None, true),
    ((C, 3, 20), Some((C, 3, 20)), false),
    ((C, 2, 1), Some((C, 3, 20)), false),
    ((&[], 0, 20), Some((C, 3, 20)), false),
    ((C, 4, 20), Some((C, 3, 20)), true),
    ((C, 3, 21), Some((C, 3, 20)), true),
    ((CI, 3, 20), Some((C, 3, 20)), true),
    ((C, 3, 20), Some((CI, 3, 20)), false),
    ((C, 1, 1), Some((&[], 0, 20)), true),
    ((&[], 0, LIMIT), Some((C, 3, 5)), false),
    ((&[], 0, LIMIT + 1), Some((C, 3, 5)), true),
    ((C, 3, LIMIT), Some((C, 3, 5)), false),
    ((&[Kind::Issuer], 1, 1), Some((C, 3, 20)), true),
];

fn extent((kinds, needing_approval, targets): Numbers) -> Extent {
    Extent { approval_kinds: kinds.to_vec(), needing_approval, targets }
}

fn names(kinds: &[Kind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_and_the_database_have_one_rule_for_who_may_order_how_much() {
    let stage = Stage::new().await;
    for (ordered, approved, needs_approval) in CASES {
        let allowance = Allowance::new(LIMIT, approved.map(extent));
        assert_eq!(
            !allowance.covers(&extent(ordered)),
            needs_approval,
            "the worker: {ordered:?}, approved {approved:?}"
        );
        let in_sql: bool = sqlx::query_scalar("SELECT audit.needs_approval($1, $2, $3, $4, $5, $6, $7)")
            .bind(names(ordered.0))
            .bind(ordered.1)
            .bind(ordered.2)
            .bind(approved.map(|(kinds, ..)| names(kinds)))
            .bind(approved.map(|(_, needing, _)| needing))
            .bind(approved.map(|(.., targets)| targets))
            .bind(LIMIT)
            .fetch_one(&stage.db)
            .await
            .expect("ask the database");
        assert_eq!(in_sql, needs_approval, "the database: {ordered:?}, approved {approved:?}");
    }
}

/// Nulls are what is not known yet: no row has them where the rule would count on a number.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_needs_no_approval() {
    let stage = Stage::new().await;
    let unknown = "SELECT audit.needs_approval('{}', NULL, NULL, NULL, NULL, NULL, 10)";
    let needs_approval: bool = sqlx::query_scalar(unknown).fetch_one(&stage.db).await.expect("ask");
    assert!(!needs_approval);
}
