use super::*;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::days(20_000));

fn at(second: i64) -> OffsetDateTime {
    START + time::Duration::seconds(second)
}

/// A heartbeat of the second `sent` that names `sequence`, published just before.
fn beat(named: &mut Named, publisher: &str, sequence: u64, sent: i64) {
    let progress = Progress {
        publisher: publisher.to_owned(),
        sequence,
        attempted: sequence,
        published_at: (sequence > 0).then(|| at(sent - 1)),
        mark_age_ms: None,
    };
    named.beat(at(sent), Some(progress), Instant::now());
}

/// The same; whether nothing is missing for certain.
fn is_whole_by(named: &mut Named, publisher: &str, sequence: u64, sent: i64) -> bool {
    let published_at = Some(at(sent - 1));
    let progress = Progress {
        publisher: publisher.to_owned(),
        sequence,
        attempted: 99,
        published_at,
        mark_age_ms: None,
    };
    named.beat(at(sent), Some(progress), Instant::now())
}

fn vouched(named: &mut Named) -> Option<i64> {
    std::iter::from_fn(|| named.vouching()).last().map(|beat| (beat.sent - START).whole_seconds())
}

#[test]
fn a_heartbeat_vouches_once_all_that_was_named_is_read() {
    let (mut named, now) = (Named::new(), Instant::now());
    beat(&mut named, "a", 0, 1);
    assert_eq!(vouched(&mut named), Some(1), "it names nothing");
    beat(&mut named, "a", 2, 2);
    named.read("a", 1, now);
    assert_eq!(vouched(&mut named), None);
    named.read("a", 2, now);
    assert_eq!(vouched(&mut named), Some(2));
    named.read("a", 1, now);
    beat(&mut named, "a", 2, 3);
    assert_eq!(vouched(&mut named), Some(3), "what is read again is no step back");
}

#[test]
fn what_one_named_is_asked_of_those_who_come_after_it() {
    let (mut named, now) = (Named::new(), Instant::now());
    named.read("b", 7, now);
    beat(&mut named, "b", 7, 1);
    beat(&mut named, "a", 1, 2);
    beat(&mut named, "b", 7, 3);
    named.beat(at(4), None, now);
    assert_eq!(vouched(&mut named), Some(1));
    named.read("a", 1, now);
    assert_eq!(vouched(&mut named), Some(4), "the one in the log waits like all");
}

#[test]
fn a_publisher_of_which_nothing_was_read_may_have_published_before() {
    let mut named = Named::new();
    named.settle(at(0));
    named.settle(at(-100));
    for (published_before, vouches) in [(1, true), (0, true), (-5, false)] {
        named.begin(at(0));
        let (sent, publisher) = (1 - published_before, format!("p{published_before}"));
        beat(&mut named, &publisher, 9, sent);
        assert_eq!(
            vouched(&mut named).is_some(),
            vouches,
            "published {published_before} s before reading began"
        );
    }
}

#[test]
fn a_snapshot_says_what_is_read() {
    let (mut named, now) = (Named::new(), Instant::now());
    let reached = |sequence| crate::message::Reached { sequence, at: at(0) };
    let mut end = SnapshotEnd {
        parts: 0,
        entries: 0,
        after: None,
        mark: crate::message::LogMark { offset: 0, time: None, sha256: String::new() },
        complete_since: None,
        publishers: [("a".to_owned(), reached(5))].into(),
        publishers_since: None,
    };
    named.folded(&end, now);
    beat(&mut named, "a", 5, 1);
    assert_eq!(vouched(&mut named), Some(1));
    beat(&mut named, "left out", 1, 2);
    assert_eq!(vouched(&mut named), None);
    end.publishers_since = Some(at(1));
    named.folded(&end, now);
    assert_eq!(vouched(&mut named), Some(2), "it was left out because it is so old");
}

#[test]
fn a_named_message_that_is_skipped_is_missing_and_other_gaps_are_not() {
    let (mut named, now) = (Named::new(), Instant::now());
    named.settle(at(0));
    assert!(named.read("a", 7, now), "where reading begins");
    assert!(named.read("a", 9, now), "an attempt failed");
    beat(&mut named, "b", 11, 1);
    beat(&mut named, "a", 9, 2);
    beat(&mut named, "a", 11, 2);
    beat(&mut named, "b", 10, 1);
    assert!(
        named.read("a", 10, now) && named.read("a", 11, now) && named.read("a", 13, now),
        "all are there"
    );
    assert!(named.read("b", 12, now), "what b published last lies before the time that matters");
    beat(&mut named, "a", 15, 2);
    assert!(named.read("a", 14, now));
    assert!(!named.read("a", 16, now), "15 was confirmed and is not there");
    beat(&mut named, "c", 1, 2);
    assert!(!named.read("c", 2, now), "nor is c's first");
    beat(&mut named, "d", 1, 2);
    named.begin(at(3));
    beat(&mut named, "d", 1, 2);
    assert!(named.read("d", 2, now), "what was named before the session may have been lost with the broker");
}

#[test]
fn a_named_message_that_was_skipped_before_is_missing_too() {
    let (mut named, now) = (Named::new(), Instant::now());
    named.settle(at(0));
    named.begin(at(10));
    for (publisher, sequence) in [("a", 7), ("a", 9), ("a", 13), ("b", 3), ("c", 1), ("c", 2), ("c", 4)] {
        assert!(named.read(publisher, sequence, now), "an attempt may have failed");
    }
    for (publisher, sequence, sent, is_whole, what) in [
        ("a", 9, 11, true, "it was read"),
        ("a", 8, 11, false, "between two"),
        ("a", 10, 11, false, "the first of three"),
        ("a", 12, 11, false, "the last of three"),
        ("b", 1, 11, false, "before the first"),
        ("b", 3, 11, true, "the first"),
        ("c", 3, 12, false, "one of another"),
        ("d", 3, 12, true, "nobody's gap"),
        ("a", 12, 9, true, "named before the session: it may have been lost with the broker"),
        ("b", 2, 0, true, "of before the time that matters"),
    ] {
        assert_eq!(
            is_whole_by(&mut named, publisher, sequence, sent),
            is_whole,
            "{publisher} {sequence}: {what}"
        );
    }
    named.begin(at(20));
    assert!(is_whole_by(&mut named, "a", 8, 21), "another session's gap");
    (0..=GAPS).for_each(|n| assert!(named.read(&n.to_string(), 2, now)));
    assert_eq!(named.gaps.len(), GAPS);
}

#[test]
fn a_heartbeat_of_this_session_in_the_log_asks_for_what_it_names() {
    let (mut named, now) = (Named::new(), Instant::now());
    named.settle(at(0));
    named.begin(at(10));
    named.read("a", 1, now);
    let progress = |sequence| Progress {
        publisher: "a".to_owned(),
        sequence,
        attempted: sequence,
        published_at: Some(at(5)),
        mark_age_ms: None,
    };
    for (sent, sequence, vouches, what) in [
        (9, 2, true, "history: its publisher may have died since"),
        (11, 1, true, "all is there"),
        (12, 2, false, "the log does not get what is published"),
    ] {
        named.beat_in_log(at(sent), Some(progress(sequence)), now);
        assert_eq!(vouched(&mut named).is_some(), vouches, "{what}");
    }
    named.read("a", 2, now);
    named.beat_in_log(at(13), None, now);
    assert_eq!(vouched(&mut named), Some(13), "an older worker names nothing");
}

#[test]
fn a_heartbeat_that_has_waited_is_as_old_as_that() {
    let (clock, arrived) = (at(100), Instant::now());
    for (sent, waited, age) in
        [(100, 0, 0), (98, 0, 2), (98, 1, 2), (160, 0, 0), (160, 7, 7), (99_999, 50, 50)]
    {
        let beat = Beat { sent: at(sent), arrived, progress: None };
        let now = arrived + Duration::from_secs(waited);
        assert_eq!(beat.age(clock, now).as_secs(), age, "sent at {sent}, waited for {waited} s");
    }
}

#[test]
fn a_session_begins_by_the_heartbeats_clocks() {
    for ahead in [0, 5, 300, 86_400] {
        let (mut named, now) = (Named::new(), Instant::now());
        named.read("a", 1, now);
        [-7, ahead, ahead - 1].map(time::Duration::seconds).into_iter().for_each(|seen| named.is_ahead(seen));
        named.begin(at(10));
        beat(&mut named, "a", 2, 9 + ahead);
        assert!(named.read("a", 3, now), "{ahead} s ahead: named before the session");
        // Nothing is heard in it.
        named.begin(at(20));
        beat(&mut named, "a", 4, 19 + ahead);
        assert!(named.read("a", 5, now), "{ahead} s ahead: what is known of the clocks stays");
        beat(&mut named, "a", 6, 21 + ahead);
        assert!(!named.read("a", 7, now), "{ahead} s ahead: named in the session");
    }
}

#[test]
fn a_clock_that_was_wrong_for_a_moment_is_forgotten() {
    for wrong in [3600, 86_400, 200_000_000_000] {
        let (mut named, now) = (Named::new(), Instant::now());
        named.read("a", 1, now);
        named.is_ahead(time::Duration::seconds(wrong));
        named.begin(at(9));
        let seen = [wrong, wrong - 1].into_iter().chain([0; CLOCKS]);
        seen.map(time::Duration::seconds).for_each(|seen| named.is_ahead(seen));
        named.begin(at(10));
        beat(&mut named, "a", 2, 11);
        assert!(!named.read("a", 3, now), "{wrong} s ahead: named in the session");
    }
}

#[test]
fn publishers_are_remembered_within_bounds() {
    let (mut named, now) = (Named::new(), Instant::now());
    let later = now + FORGOTTEN_AFTER;
    (0..3000).for_each(|n| assert!(named.read(&n.to_string(), 1, now)));
    assert_eq!(named.read.len(), 3000, "all are of today");
    named.read("next day", 1, later);
    assert_eq!(named.read.len(), 1);
}
