use serde_json::{Value, json};

use super::*;

const UNTIL: &str = "2026-12-01T14:32:10+00:00";

/// What is said where `changed` differs from a system where all is done and one verifier keeps up.
fn told(changed: Value, open: Value) -> Truth {
    let mut status = json!({ "incidents": [], "backlog": [], "providers": [], "workers": [],
        "dead_letters": [], "verifiers": [verifier(json!({}))] });
    let mut found = json!({ "minting": 0, "minting_finished": 0, "until": null, "is_part": false });
    for (row, changed) in [(&mut status, changed), (&mut found, open)] {
        changed.as_object().into_iter().flatten().for_each(|(name, value)| row[name] = value.clone());
    }
    truth(&serde_json::from_value(status).unwrap(), &serde_json::from_value(found).unwrap())
}

fn verifier(changed: Value) -> Value {
    let mut row = json!({ "service": "shop", "instance": "a", "broker_user": "shop", "verified": true,
        "live": true, "up_to_date": true, "stale_reason": null, "staleness_policy": "fail_open",
        "applied_time": "2026-12-01T04:14:56+00:00", "lag_seconds": 0, "entries": 1,
        "last_seen_at": "2026-12-01T04:14:56+00:00", "silent_s": 2 });
    changed.as_object().into_iter().flatten().for_each(|(name, value)| row[name] = value.clone());
    row
}

fn silent(policy: &str) -> Value {
    verifier(json!({ "instance": "b", "live": false, "up_to_date": false, "silent_s": 40,
        "staleness_policy": policy }))
}

fn backlog(targets: u64) -> Value {
    json!([{ "provider": "main", "lane": "interactive", "state": "pending", "targets": targets }])
}

fn unapplied(targets: u64, is_part: bool) -> Value {
    json!({ "unapplied": { "targets": targets, "is_part": is_part },
        "verifiers": [verifier(json!({})), silent("fail_open")] })
}

#[test]
fn it_is_never_safer_than_things_are() {
    let until = json!({ "until": UNTIL });
    for (status, open, says, besides) in [
        (
            json!({ "backlog": backlog(17) }),
            until.clone(),
            "17 credentials may still work, the last until 2026-12-01 14:32 UTC.",
            None,
        ),
        // Final, and yet it gets new tokens.
        (
            json!({}),
            json!({ "minting_finished": 1, "until": UNTIL }),
            "1 credential may still work, the last until 2026-12-01 14:32 UTC.",
            Some("1 target may still get new access tokens"),
        ),
        // Final, and verifiers never heard of it.
        (
            json!({ "undenied": [{ "incident": "x", "undenied": 3 }] }),
            json!({}),
            "3 credentials may still work.",
            Some("3 targets given up before"),
        ),
        // Given up: access tokens, too.
        (
            json!({ "given_up": [{ "provider": "main", "targets": 20, "until": UNTIL }] }),
            json!({}),
            "20 credentials may still work, the last until 2026-12-01 14:32 UTC.",
            Some("20 targets given up: the provider still honours them"),
        ),
        // Revoked, and a verifier that is cut off has not heard of it.
        (
            unapplied(5, false),
            json!({}),
            "5 credentials may still work.",
            Some("5 targets denied and not yet known to be applied by 1 verifier that may accept them"),
        ),
        // Not all were looked at, and among the first ten thousand none is alive.
        (
            unapplied(0, true),
            json!({}),
            "Credentials may still work.",
            Some("0 targets or more denied and not yet known"),
        ),
        // Not all were looked at.
        (
            json!({ "backlog": backlog(20_000) }),
            json!({ "minting": 2, "until": UNTIL, "is_part": true }),
            "20,000 credentials may still work, the last until 2026-12-01 14:32 UTC or later.",
            Some("At least 2 targets may"),
        ),
    ] {
        let told = told(status, open);
        assert_eq!((told.colour, told.says.as_str()), (Colour::Calls, says));
        if let Some(besides) = besides {
            assert!(told.besides[0].starts_with(besides), "{told:?}");
        }
    }
}

#[test]
fn all_is_closed_only_on_the_word_of_every_verifier() {
    let ended = verifier(json!({ "live": false, "up_to_date": false, "stale_reason": "ended" }));
    let stranger = verifier(json!({ "verified": false, "up_to_date": false }));
    for (verifiers, is_closed) in [
        (json!([verifier(json!({}))]), true),
        (json!([verifier(json!({})), ended]), true),
        (json!([verifier(json!({})), silent("fail_closed")]), true),
        (json!([]), false),
        (json!([ended]), false),
        (json!([verifier(json!({})), stranger]), false),
    ] {
        let told = told(json!({ "verifiers": verifiers }), json!({}));
        assert_eq!(told.colour == Colour::Fine, is_closed, "{told:?}");
        assert_eq!(told.says.starts_with("All closed"), is_closed, "{told:?}");
    }
}

#[test]
fn a_silent_verifier_is_told_of_whatever_is_said() {
    for status in [unapplied(5, false), json!({ "verifiers": [verifier(json!({})), silent("fail_open")] })] {
        let told = told(status, json!({}));
        assert!(told.besides.iter().any(|besides| besides.contains("shop/b (fail_open, silent")), "{told:?}");
    }
}

/// After an outage, what is not known is so for a reason, and for a time.
#[test]
fn what_is_not_known_says_what_ends_it() {
    for status in [unapplied(25, false), unapplied(25, true), unapplied(1, false)] {
        let told = told(status, json!({}));
        let unknown = told.besides.iter().find(|besides| besides.contains("not yet known to be applied"));
        let says = unknown.unwrap_or_else(|| panic!("{told:?}"));
        assert!(says.contains("that ends by itself with their next reports"), "{says}");
        assert!(says.contains("start it again only where its process is dead"), "{says}");
    }
}

/// The page ends each with a full stop.
#[test]
fn what_belongs_to_the_sentence_has_no_end_of_its_own() {
    for status in [
        json!({}),
        unapplied(25, false),
        json!({ "given_up": [{ "provider": "main", "targets": 20, "until": UNTIL }] }),
        json!({ "refuses_writes": { "reason": "disk full (SQLSTATE 53100)" }, "backlog": backlog(2) }),
    ] {
        let told = told(status, json!({ "minting": 1, "until": UNTIL }));
        assert!(told.says.ends_with('.') && !told.says.ends_with(".."), "{told:?}");
        assert!(
            !told.besides.is_empty() && told.besides.iter().all(|besides| !besides.ends_with('.')),
            "{told:?}"
        );
    }
}

/// What is on record is from before.
#[test]
fn a_postgres_that_takes_no_writes_is_named_first() {
    for (refused, says) in [
        (
            json!({ "reason": "could not extend file (SQLSTATE 53100)", "since": UNTIL }),
            "Postgres refuses writes since 2026-12-01 14:32:10 UTC: could not extend file (SQLSTATE 53100).",
        ),
        (
            json!({ "reason": "read-only transaction (SQLSTATE 25006)" }),
            "Postgres refuses writes: read-only transaction (SQLSTATE 25006); it is a standby, or \
                set read-only.",
        ),
        (
            json!({ "reason": "out of memory (SQLSTATE 53200)" }),
            "Postgres refuses writes: out of memory (SQLSTATE 53200).",
        ),
    ] {
        let told = told(json!({ "refuses_writes": refused, "backlog": backlog(2) }), json!({}));
        assert_eq!((told.colour, told.says.as_str()), (Colour::Calls, says));
        assert_eq!(told.besides[1], "On record before that: 2 credentials may still work");
    }
}

/// Nothing that came since is on record, and no report is taken down.
#[test]
fn while_postgres_takes_no_writes_nothing_is_called_closed_and_nobody_silent() {
    let refused = json!({ "reason": "could not extend file (SQLSTATE 53100)" });
    for (backlog, verifiers) in [
        (json!([]), json!([verifier(json!({}))])),
        (json!([]), json!([silent("fail_open")])),
        (backlog(2), json!([verifier(json!({})), silent("fail_open")])),
    ] {
        let told =
            told(json!({ "refuses_writes": refused, "backlog": backlog, "verifiers": verifiers }), json!({}));
        assert!(told.besides[0].contains("neither revoked nor on record"), "{told:?}");
        for word in ["All closed", "no report", "no verifier"] {
            assert!(!told.besides.iter().any(|besides| besides.contains(word)), "{word}: {told:?}");
        }
    }
}

#[test]
fn a_target_that_stands_for_many_tokens_is_not_told_as_one() {
    for (open, says, besides) in [
        (
            1,
            "1 credential or more may still work.",
            "1 target of a user, session, client or issuer: it stands",
        ),
        (2, "2 credentials or more may still work.", "2 targets of a user, session, client or issuer: each"),
        (0, "2 credentials may still work.", "2 targets may still get"),
    ] {
        let told = told(
            json!({ "backlog": backlog(open.max(1) + u64::from(open == 0)) }),
            json!({ "wide": open, "minting": 2 }),
        );
        assert_eq!(told.says, says);
        assert!(told.besides[0].starts_with(besides), "{told:?}");
    }
}
