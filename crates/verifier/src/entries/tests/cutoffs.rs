//! Cutoffs of one subject: which of them counts, and for how long.

use super::*;

#[test]
fn the_second_of_the_cutoff_counts_as_before() {
    let held = Entries::new();
    held.apply(&subject(5700, 60), at_millis(0));
    for (iat, denied) in [
        (Some(4000), true),
        (Some(5000), true),
        (Some(5700), true),
        (Some(5701), false),
        (Some(6000), false),
        (None, true),
    ] {
        assert_eq!(is_denied(&held, &of_subject(iat), 0), denied, "iat {iat:?}");
    }
}

#[test]
fn an_older_cutoff_readmits_nothing() {
    let held = Entries::new();
    held.apply(&subject(5000, 60), at_millis(0));
    held.apply(&subject(1000, 60), at_millis(0));
    assert!(is_denied(&held, &of_subject(Some(4000)), 0));
    assert_eq!(held.len(), 1);
}

#[test]
fn an_earlier_cutoff_that_lasts_longer_is_kept_beside_the_later_one() {
    let held = Entries::new();
    held.apply(&subject(5000, 10), at_millis(0));
    held.apply(&subject(1000, 60), at_millis(0));
    assert!(is_denied(&held, &of_subject(Some(4000)), 9_999));
    held.expire(at_millis(10_000));
    assert!(!is_denied(&held, &of_subject(Some(4000)), 10_000));
    assert!(is_denied(&held, &of_subject(Some(1000)), 10_000));
}

#[test]
fn what_is_over_is_forgotten() {
    let held = Entries::new();
    let token = |n: i64| Entry::Token {
        token_sha256: format!("{n:064x}"),
        signed_sha256: None,
        token_type_hint: None,
        jti: Some(n.to_string()),
        iss: TokenIssuer::NotSaid,
        expires_at: at_millis(n),
    };
    assert!((1..=1000).all(|n| held.apply(&token(n * 100), at_millis(0))));
    held.apply(&subject(0, 50), at_millis(0));
    assert_eq!(held.len(), 1001);
    held.expire(at_millis(50_000));
    assert_eq!(held.len(), 500, "half of the tokens, not the subject");
    held.expire(at_millis(100_000));
    assert_eq!((held.len(), held.contents(at_millis(0)).len()), (0, 0));
    assert!(
        held.shards.iter().all(|shard| shard.read().unwrap().tokens.capacity() == 0),
        "memory is given back"
    );
    assert!(held.apply(&token(100), at_millis(50_000)), "readable");
    assert_eq!(held.len(), 0, "an entry that is over is not even taken in");
}
