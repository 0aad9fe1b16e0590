use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-30 12:00 UTC);

#[test]
fn broad_questions_look_back_in_ever_longer_steps_without_a_gap() {
    let spans = spans(&Question { limit: 1, ..Question::default() }, NOW);
    assert_eq!((spans[0].since, spans[0].until), (Some(NOW - FIRST_LOOK), None));
    assert!(spans.windows(2).all(|two| two[1].until == two[0].since), "one begins where the other ends");
    assert!(spans.last().is_some_and(|last| last.since.is_none()) && spans.len() < 9, "all is found");
}

#[test]
fn no_step_goes_beyond_what_is_asked() {
    let since = NOW - Duration::hours(20);
    let until = NOW - Duration::minutes(30);
    let spans =
        spans(&Question { since: Some(since), until: Some(until), limit: 1, ..Question::default() }, NOW);
    let ends: Vec<_> = spans.iter().map(|span| (span.since, span.until)).collect();
    let looks =
        [1, 1 + 8, 1 + 8 + 64, 1 + 8 + 64 + 512].map(|minutes| Some(until - Duration::minutes(minutes)));
    let [first, second, third, fourth] = looks;
    assert_eq!(
        ends,
        [(first, Some(until)), (second, first), (third, second), (fourth, third), (Some(since), fourth)]
    );
}

#[test]
fn what_narrows_a_question_is_looked_up_at_once() {
    for question in [
        Question { token: Some(Default::default()), ..Question::default() },
        Question { columns: vec![("sub", "u".to_owned())], ..Question::default() },
    ] {
        assert_eq!(spans(&question, NOW).len(), 1);
    }
    for column in ["provider", "client_id", "iss", "event_source", "incident"] {
        let broad = Question { columns: vec![(column, "main".to_owned())], ..Question::default() };
        assert!(spans(&broad, NOW).len() > 1, "all that there is may be of one {column}");
    }
}

#[test]
fn sql_for_people_has_its_values_as_literals() {
    let question = Question {
        columns: vec![("sub", "o'neil".to_owned()), ("provider", "main".to_owned())],
        sources: vec!["/a".to_owned(), "/b".to_owned()],
        states: vec!["parked".to_owned(), "pending".to_owned()],
        since: Some(NOW),
        limit: 10,
        ..Question::default()
    };
    let wanted = "SELECT to_jsonb(r) FROM audit.revocations r
WHERE r.sub = 'o''neil'
    AND r.provider = 'main'
    AND r.event_source IN ('/a', '/b')
    AND r.state IN ('parked', 'pending')
    AND r.finished_at IS NULL
    AND r.received_at >= timestamptz '2026-11-30T12:00:00Z'
ORDER BY r.received_at DESC, r.revocation_id DESC
LIMIT 10";
    assert_eq!(question.sql(), wanted);
}
