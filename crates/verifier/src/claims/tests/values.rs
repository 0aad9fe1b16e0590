//! Names and moments, in every form that issuers give them.

use super::*;

#[test]
fn integers_are_names_by_their_decimal_text() {
    for number in ["1000385", "0", "-7", "9223372036854775808", "123456789012345678901234567890"] {
        assert_eq!(sub(format!(r#"{{"sub":{number}}}"#)).as_deref(), Some(number));
    }
    assert_eq!(sub(r#"{"sub":-0}"#).as_deref(), Some("0"));
    for other in [
        "1.0",
        "1e3",
        "1E3",
        "-",
        "0x10",
        "007",
        "+1",
        "NaN",
        "true",
        "null",
        "[1]",
        "{}",
        "1_0",
        "\"\"",
        "\"\\u0000\"",
    ] {
        assert_eq!(sub(format!(r#"{{"sub":{other}}}"#)), None, "{other}");
    }
    let claims = Claims::peek(&jwt(r#"{"jti":1,"iss":2,"sub":3,"sid":4,"client_id":5,"azp":6,"uid":7}"#));
    let answer: Claims =
        serde_json::from_str(r#"{"jti":1,"iss":2,"sub":3,"sid":4,"client_id":5,"azp":6,"uid":7}"#).unwrap();
    assert_eq!(claims, answer);
    assert_eq!(
        (claims.jti.as_deref(), claims.azp.as_deref(), &*claims.others["uid"]),
        (Some("1"), Some("6"), "7")
    );
}

#[test]
fn a_name_that_cannot_be_stored_counts_as_missing() {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    for (value, is_name) in
        [(&*long, false), (&long[1..], true), ("", false), ("a\\u0000b", false), ("a\\u0001b", true)]
    {
        let payload = format!(r#"{{"jti":"{value}","sub":"{value}","sid":"kept"}}"#);
        for claims in [Claims::peek(&jwt(&payload)), serde_json::from_str(&payload).unwrap()] {
            assert_eq!(
                [claims.jti.is_some(), claims.sub.is_some(), claims.sid.is_some()],
                [is_name, is_name, true],
                "{value}"
            );
        }
    }
}

#[test]
fn a_jti_or_an_issuer_that_is_not_exact_counts_as_missing() {
    for value in [&b"\\ud83d"[..], b"J\\udc00", b"\xe9", b"\xed\xa0\xbd"] {
        let members =
            ["jti", "iss", "sub"].map(|claim| [b"\"", claim.as_bytes(), b"\":\"", value, b"\""].concat());
        let claims = Claims::from_json(&[b"{", &*members.join(&b','), b"}"].concat());
        assert!(claims.jti.is_none() && claims.iss.is_none(), "{value:?}");
        assert!(claims.sub.is_some_and(|sub| sub.contains('\u{fffd}')), "{value:?}");
    }
    assert_eq!(Claims::from_json(br#"{"jti":"\ud83d\ude00\u00e9\/"}"#).jti.as_deref(), Some("😀é/"));
}

#[test]
fn a_name_in_a_form_that_json_does_not_have_makes_the_token_unreadable() {
    for value in ["007", "-01", "0x1F", "+1", ".5", "s", "undefined", "True", "0s", "-", "1e", "\"\\q\""] {
        for claim in ["jti", "iss", "sub", "sid", "client_id", "azp"] {
            let payload = format!(r#"{{"sid":"kept","{claim}":{value},"iat":5}}"#);
            let reading = read(&jwt(&payload));
            assert!(reading.is_unreadable && reading.claims.iat.is_some(), "{payload}");
            assert_eq!(reading.claims.sid.is_some(), claim != "sid", "{payload}");
            let unsigned = read(&token(r#"{"alg":"none"}"#, payload.as_bytes()));
            assert!(!unsigned.is_unreadable && unsigned.claims.iat.is_some(), "{payload}");
        }
        for claim in ["name", "iat", "exp", "aud"] {
            assert_sub(format!(r#"{{"{claim}":{value},"sub":"s"}}"#));
        }
    }
    for no_name in [
        "1.0",
        "-0.5",
        "0e1",
        "1E3",
        "NaN",
        "Infinity",
        "-Infinity",
        "true",
        "false",
        "null",
        "[7]",
        "{\"a\":07}",
        "\"\"",
    ] {
        let reading = read(&jwt(format!(r#"{{"sub":{no_name}}}"#)));
        assert!(!reading.is_unreadable && reading.claims.sub.is_none(), "{no_name}");
    }
}

#[test]
fn of_a_repeated_claim_the_last_counts() {
    assert_eq!(sub(r#"{"sub":"first","sub":"last"}"#).as_deref(), Some("last"));
    for payload in [
        r#"{"sub":"first","sub":null}"#,
        r#"{"sub":"first","sub":[]}"#,
        r#"{"iat":5,"iat":"soon","uid":"u","uid":{}}"#,
    ] {
        let claims = Claims::peek(&jwt(payload));
        assert!(claims.sub.is_none() && claims.iat.is_none() && claims.others.is_empty(), "{payload}");
    }
    let reading = read(&jwt(r#"{"iss":"first","iss":"\q"}"#));
    assert!(reading.claims.iss.is_none() && reading.is_unreadable, "the last one is not known");
}

fn millis(claim: &str, value: &str) -> Option<i64> {
    let payload = format!(r#"{{"{claim}":{value}}}"#);
    let claims = Claims::peek(&jwt(&payload));
    if let Ok(answer) = serde_json::from_str::<Claims>(&payload) {
        assert_eq!(answer, claims, "{payload}");
    }
    if claim == "iat" { claims.iat } else { claims.exp }.map(NumericDate::millis)
}

#[test]
fn moments_are_read_in_the_unit_that_their_size_tells() {
    const NOW: i64 = 1_800_000_000_123;
    for (value, read) in [
        ("1800000000", 1_800_000_000_000),
        ("1.8e9", 1_800_000_000_000),
        ("1800000000123", NOW),
        ("1800000000123456", NOW),
        ("1800000000123456789", NOW),
        ("1.800000000123e12", NOW),
        ("99999999999", 99_999_999_999_000),
        ("100000000000", 100_000_000_000),
        ("99999999999999", 99_999_999_999_999),
        ("100000000000000", 100_000_000_000),
        ("100000000000000000", 100_000_000_000),
        ("9223372036854775807", 9_223_372_036_854),
        ("-1", -1000),
        ("-1800000000123", -NOW),
        ("0", 0),
    ] {
        assert_eq!(millis("iat", value), Some(read), "{value}");
    }
    assert_eq!(millis("iat", "1e300"), Some(i64::MAX));
}

/// What is written for "never" is no moment of the seventies, when the token would have expired.
#[test]
fn an_exp_of_the_far_future_is_not_one_of_the_past() {
    for (value, read) in [
        ("253402300799", 253_402_300_799_000),
        ("253402300799.999", 253_402_300_799_999),
        ("253402300799999", 253_402_300_799_999),
        ("253402300799999999", 253_402_300_800_000),
        ("999999999999", 999_999_999_999_000),
        ("1000000000000", 1_000_000_000_000),
        ("1800000000123", 1_800_000_000_123),
        ("1800000000123456", 1_800_000_000_124),
        ("1800000000123456789", 1_800_000_000_124),
    ] {
        assert_eq!(millis("exp", value), Some(read), "{value}");
    }
}

#[test]
fn moments_are_rounded_so_that_no_denial_is_missed() {
    for (value, iat, exp) in [
        ("1.0009", 1000, 1001),
        ("1800000000.25", 1_800_000_000_250, 1_800_000_000_250),
        ("1800000000123456", 1_800_000_000_123, 1_800_000_000_124),
        ("1800000000123000", 1_800_000_000_123, 1_800_000_000_123),
        ("-1800000000123456", -1_800_000_000_124, -1_800_000_000_123),
    ] {
        assert_eq!([millis("iat", value), millis("exp", value)], [Some(iat), Some(exp)], "{value}");
    }
}

#[test]
fn what_is_no_number_is_no_moment() {
    for missing in [
        "null",
        "\"5\"",
        "true",
        "[5]",
        "{}",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "inf",
        "nan",
        "0x10",
        "5s",
    ] {
        assert_eq!([millis("iat", missing), millis("exp", missing)], [None, None], "{missing}");
    }
}
