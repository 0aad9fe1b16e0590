use super::*;

#[test]
fn times_are_read_as_people_write_them() {
    let now = time::macros::datetime!(2026-11-30 12:00 UTC);
    let read = |text: &str| moment(text).map(|moment| moment.before(now));
    assert_eq!(read("2h"), Ok(time::macros::datetime!(2026-11-30 10:00 UTC)));
    assert_eq!(read("7d"), Ok(time::macros::datetime!(2026-11-23 12:00 UTC)));
    assert_eq!(read("2026-11-20T00:30:00+01:00"), Ok(time::macros::datetime!(2026-11-19 23:30 UTC)));
    for wrong in ["", "yesterday", "2h ago", "-2h", "99999999999y"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_place_is_read_as_it_is_told() {
    let row = serde_json::json!({
        "received_at": "2026-11-30T10:35:03.123456+00:00", "attempt": 3,
        "started_at": "2026-11-30T10:35:04+00:00",
        "revocation_id": "0197c0de-0000-7000-8000-000000000000-12",
    });
    let row = row.as_object().unwrap();
    let [target, attempt] = [false, true].map(|is_attempt| place(&told(row, is_attempt)).unwrap());
    assert_eq!(target.at, time::macros::datetime!(2026-11-30 10:35:03.123456 UTC));
    assert_eq!((target.id.as_str(), target.attempt), ("0197c0de-0000-7000-8000-000000000000-12", None));
    assert_eq!((attempt.at.second(), attempt.attempt), (4, Some(3)));
    for wrong in ["", "x", "2026-11-30T10:35:04Z", "2026-11-30T10:35:04Z/x", "2026-11-30T10:35:04Z/x/1/2"] {
        assert!(place(wrong).is_err(), "{wrong}");
    }
}
