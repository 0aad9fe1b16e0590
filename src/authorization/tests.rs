//! Who may order what, in tables; how much, by the clock that the tests turn.

use std::time::{Duration, Instant};

use time::macros::datetime;

use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn owned(sender: Sender<'_>) -> Option<String> {
    sender.map(str::to_owned)
}

/// `shop` has limits of every sort, `bulk` a rate alone; `ops` is an operator.
fn authority() -> Authority {
    let shop = Rights {
        sources: Some(words(&["/apps/shop", "/apps/shop/*"])),
        kinds: Some(vec![Kind::Token, Kind::Session]),
        providers: Some(words(&["main"])),
        wide_targets_per_minute: Some(60),
    };
    let bulk = Rights { wide_targets_per_minute: Some(600), ..Rights::default() };
    Authority {
        mass_revocation_users: words(&["soc", "ops"]),
        operators: words(&["ops"]),
        users: [("shop".to_owned(), shop), ("bulk".to_owned(), bulk)].into(),
        ..Authority::default()
    }
}

fn origin(user: Sender<'_>) -> Origin {
    Origin { broker_user: owned(user), ..Origin::default() }
}

fn said(user: Sender<'_>, first: &[Sender<'_>]) -> Origin {
    let mut origin = Origin {
        original: Original::Senders(first.iter().map(|sender| owned(*sender)).collect()),
        ..origin(user)
    };
    authority().attribute(&mut origin);
    origin
}

fn refused_source(authority: &Authority, user: Sender<'_>, source: &str) -> Option<String> {
    authority.limits(&origin(user)).iter().find_map(|limit| limit.refuse_source(source))
}

fn refused_target(authority: &Authority, user: Sender<'_>, kind: Kind, provider: &str) -> Option<String> {
    authority.limits(&origin(user)).iter().find_map(|limit| limit.refuse_target(kind, provider))
}

#[test]
fn a_source_fits_whole_or_by_its_start() {
    let rows = [
        ("/apps/shop", true),
        ("/apps/shop/", true),
        ("/apps/shop/eu", true),
        ("/apps/shop2", false),
        ("/apps/shop*", false),
        ("/apps/Shop", false),
        ("x/apps/shop", false),
        ("/apps", false),
        ("", false),
    ];
    for (source, wanted) in rows {
        assert_eq!(refused_source(&authority(), Some("shop"), source).is_none(), wanted, "{source}");
    }
    assert!(
        fits("*", "anything") && fits("a*b", "a*b") && !fits("a*b", "axb"),
        "only a star at the end stands for more"
    );
    for free in [Some("bulk"), Some("soc"), Some("Shop"), Some("")] {
        assert_eq!(refused_source(&authority(), free, "/other"), None, "{free:?}");
    }
}

#[test]
fn kinds_and_providers_are_held_to_the_lists() {
    let rows = [
        (Kind::Token, "main", None),
        (Kind::Session, "main", None),
        (Kind::Subject, "main", Some("is of kind subject")),
        (Kind::Client, "main", Some("is of kind client")),
        (Kind::Issuer, "main", Some("is of kind issuer")),
        (Kind::Token, "other", Some("is of provider \"other\"")),
        (Kind::Token, "Main", Some("is of provider \"Main\"")),
    ];
    for (kind, provider, wanted) in rows {
        let refused = refused_target(&authority(), Some("shop"), kind, provider);
        assert_eq!(refused.is_some(), wanted.is_some(), "{kind:?} {provider}: {refused:?}");
        let says = refused.unwrap_or_default();
        assert!(says.starts_with(wanted.unwrap_or_default()), "{says}");
        assert!(wanted.is_none() || says.contains("broker user \"shop\" may order "), "{says}");
        assert_eq!(refused_target(&authority(), Some("bulk"), kind, provider), None);
    }
    let nothing = Rights { kinds: Some(vec![]), ..Rights::default() };
    let none = Authority { users: [("shop".to_owned(), nothing)].into(), ..Authority::default() };
    assert!(
        refused_target(&none, Some("shop"), Kind::Token, "main")
            .is_some_and(|says| says.contains("may order kinds none"))
    );
}

#[test]
fn leaving_out_the_name_wins_no_right() {
    let implied = authority();
    assert!(
        refused_source(&implied, None, "/other")
            .is_some_and(|says| says.contains("user_id") && says.contains("\"shop\""))
    );
    assert_eq!(refused_source(&implied, None, "/apps/shop"), None);
    assert!(refused_target(&implied, None, Kind::Subject, "main").is_some());
    assert_eq!(implied.rate_of(None), Some(60), "the least of all");
    let mut explicit = authority();
    explicit.anonymous = Some(Rights { kinds: Some(vec![Kind::Token]), ..Rights::default() });
    assert_eq!(refused_source(&explicit, None, "/other"), None);
    assert!(
        refused_target(&explicit, None, Kind::Session, "main")
            .is_some_and(|says| says.contains("authorization.anonymous"))
    );
    assert_eq!(explicit.rate_of(None), None);
    assert_eq!(Authority::default().limits(&origin(None)).len(), 0, "without limits there are none");
}

#[test]
fn an_operator_lends_no_right_and_nobody_else_wins_one() {
    let mass = EventType::MassRevocation;
    // Who publishes, who is said to have sent it first, on record as, and whether a mass revocation is
    // refused.
    let rows: [(Sender<'_>, &[Sender<'_>], Sender<'_>, bool); 11] = [
        (Some("ops"), &[Some("shop")], Some("shop"), true),
        (Some("ops"), &[None], None, true),
        (Some("ops"), &[Some("soc")], Some("soc"), false),
        (Some("ops"), &[Some("shop"), Some("soc")], Some("shop"), true),
        (Some("ops"), &[Some("soc"), None], Some("soc"), true),
        (Some("soc"), &[Some("shop")], Some("soc"), true),
        (Some("soc"), &[None], Some("soc"), true),
        (Some("soc"), &[Some("ops")], Some("soc"), false),
        (Some("shop"), &[Some("soc")], Some("shop"), true),
        (None, &[Some("soc")], None, true),
        (Some("soc"), &[Some("soc")], Some("soc"), false),
    ];
    for (user, first, on_record, refused) in rows {
        let origin = said(user, first);
        assert_eq!(origin.broker_user.as_deref(), on_record, "{user:?} for {first:?}");
        assert_eq!(authority().refuse_type(&origin, mass).is_some(), refused, "{user:?} for {first:?}");
        assert_eq!(origin.requeued_by.is_some(), user == Some("ops"));
    }
    let own = origin(Some("ops"));
    assert_eq!(
        authority().refuse_type(&own, mass),
        None,
        "what an operator orders is judged by the own right"
    );
}

#[test]
fn limits_hold_for_everybody_who_sent_it() {
    let refuses = |origin: &Origin| {
        authority().limits(origin).iter().any(|limit| limit.refuse_target(Kind::Subject, "main").is_some())
    };
    assert!(refuses(&said(Some("ops"), &[Some("shop")])));
    assert!(refuses(&said(Some("bulk"), &[Some("shop")])));
    assert!(refuses(&said(Some("shop"), &[Some("bulk")])));
    assert!(!refuses(&said(Some("ops"), &[Some("bulk")])));
}

#[test]
fn what_cannot_be_read_is_refused_whoever_sends_it() {
    for user in [Some("ops"), Some("soc"), None] {
        let mut origin = Origin { original: Original::Unreadable, ..origin(user) };
        authority().attribute(&mut origin);
        for event_type in EventType::ALL {
            assert!(
                authority()
                    .refuse_type(&origin, event_type)
                    .is_some_and(|says| says.contains("x-original-user")),
                "{user:?}"
            );
        }
    }
}

/// Seconds to wait, targets that want to go then, how many of them go.
type Step = (f64, usize, usize);

/// At so many targets a minute.
#[test]
fn a_bucket_lets_a_minutes_number_go_at_once_and_fills_within_a_minute() {
    let rows: [(f64, &[Step]); 6] = [
        (100.0, &[(0.0, 1000, 100), (0.01, 1000, 0), (0.09, 1000, 0), (0.5, 5, 1), (60.0, 1000, 100)]),
        (60.0, &[(0.0, 60, 60), (1.0, 5, 1), (1.0, 5, 1), (0.5, 5, 0), (0.5, 5, 1)]),
        (60.0, &[(3600.0, 1000, 60), (30.0, 10, 10), (0.0, 100, 20)]),
        (0.0, &[(0.0, 1, 0), (3600.0, 1, 0)]),
        (0.5, &[(0.0, 5, 1), (60.0, 5, 0), (60.0, 5, 1)]),
        (33.3, &[(0.0, 100, 33), (60.0, 100, 33)]),
    ];
    for (per_minute, steps) in rows {
        let mut now = Instant::now();
        let mut bucket = Bucket::full(per_minute, now);
        for (wait, wanted, goes) in steps {
            now += Duration::from_secs_f64(*wait);
            let admitted = bucket.fill(per_minute, now).min(*wanted);
            bucket.take(admitted);
            assert_eq!(admitted, *goes, "at {per_minute} a minute, {wanted} after {wait} s");
        }
    }
    let now = Instant::now();
    let mut bucket = Bucket::full(60.0, now + Duration::from_secs(60));
    bucket.take(60);
    assert_eq!(bucket.fill(60.0, now), 0, "a clock that went back gives nothing");
}

#[test]
fn eleven_events_of_a_thousand_subjects_let_a_hundred_go() {
    let mut authority = authority();
    authority
        .users
        .insert("flood".to_owned(), Rights { wide_targets_per_minute: Some(100), ..Rights::default() });
    for workers in [1, 2, 4] {
        let (rates, start) = (Rates::default(), Instant::now());
        rates.share(workers);
        let admit = |event: u32| {
            rates.admit(&authority, &origin(Some("flood")), 1000, start + Duration::from_millis(10) * event)
        };
        let all: usize = (0..11).map(|event| admit(event).targets).sum();
        assert_eq!(all, 100 / workers as usize, "of {workers} workers");
        assert_eq!(admit(11), Admitted { targets: 0, limited_by: Some("flood".to_owned()) });
    }
}

#[test]
fn a_rate_counts_for_who_sent_it_first_and_nobody_spends_anothers() {
    let (rates, authority, now) = (Rates::default(), authority(), Instant::now());
    let admit = |origin: &Origin, wide| rates.admit(&authority, origin, wide, now).targets;
    assert_eq!(admit(&origin(Some("soc")), 100_000), 100_000, "without a rate");
    assert_eq!(
        admit(&said(Some("soc"), &[Some("shop")]), 100),
        60,
        "who put it back has no rate, who sent it has"
    );
    assert_eq!(admit(&said(Some("soc"), &[Some("shop")]), 100), 0);
    assert_eq!(admit(&origin(Some("shop")), 20), 20, "what others say in its name costs it nothing");
    assert_eq!(admit(&said(Some("ops"), &[Some("shop")]), 100), 40, "what an operator puts back is its own");
    assert_eq!(admit(&origin(Some("shop")), 1), 0);
    assert_eq!(admit(&origin(None), 100), 60, "unnamed");
    assert_eq!(admit(&said(Some("shop"), &[Some("bulk")]), 1), 0, "another's name does not help");
}

#[test]
fn incidents_are_named_after_who_sent_it_and_the_minute() {
    let at = datetime!(2026-11-30 02:05:59 UTC);
    let name = |user| incident_name(user, at);
    assert_eq!(name(Some("shop.eu-1_a")), "rate-shop.eu-1_a-20261130T0205Z");
    assert_eq!(name(None), "rate-+unnamed-20261130T0205Z");
    let odd: Vec<_> = ["a b", "a/b", "a\"b", "a\nb", "ä", "", "a+b", &"x".repeat(255), &"x".repeat(254)]
        .iter()
        .map(|user| name(Some(user)))
        .collect();
    for (place, name) in odd.iter().enumerate() {
        assert!(
            name.len() <= 255 && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c)),
            "{name}"
        );
        assert!(!odd[..place].contains(name), "{name} twice");
    }
}
