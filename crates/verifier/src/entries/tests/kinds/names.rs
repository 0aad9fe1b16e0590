//! Names as tokens spell them, and the claims that they stand in.

use super::*;

/// An entry that cuts off whom a claim names.
fn of_claim(claim: &str, name: &str) -> Entry {
    let (not_before, expires_at) = (at_millis(5000), at_millis(60_000));
    match claim {
        "sub" => of_subject(name, None),
        "sid" => Entry::Session { sid: name.to_owned(), sub: None, iss: None, not_before, expires_at },
        "iss" => Entry::Issuer { iss: name.to_owned(), not_before, expires_at },
        _ => of_client_by(name, None, &[], None),
    }
}

#[test]
fn names_in_iso_8859_1_are_hit_as_they_are_spelled_and_as_readers_of_utf_8_see_them() {
    let names = [
        ("José", &b"Jos\xe9"[..]),
        ("Å\"ß", b"\xc5\\\"\xdf"),
        ("ÿ/é", b"\xff\\/\\u00e9"),
        ("Ã ", b"\xc3\\u0020"),
    ];
    for (name, latin1) in names {
        let member = |claim: &str| [b"\"", claim.as_bytes(), b"\":\"", latin1, b"\""].concat();
        let jwt = |members: &[&[u8]]| token(RS256, [b"{", &*members.join(&b','), b"}"].concat());
        let lossy = Claims::from_json(&[b"{", &*member("sub"), b"}"].concat()).sub.unwrap();
        for claim in ["sub", "sid", "client_id", "azp", "iss"] {
            let jwt = jwt(&[&member(claim)]);
            assert!(seen(&holding(&[of_claim(claim, name)]), &jwt).is_some(), "{claim} {name}");
            assert_eq!(
                seen(&holding(&[of_claim(claim, &lossy)]), &jwt).is_some(),
                claim != "iss",
                "{claim} {lossy}"
            );
            assert_eq!(
                seen(&holding(&["Jos", "José!", "t"].map(|other| of_claim(claim, other))), &jwt),
                None,
                "{claim} {name}"
            );
        }
        let held = holding(&[of_subject(name, None), of_subject("s", Some(name))]);
        assert_eq!(seen(&held, &jwt(&[&member("sub"), b"\"sub\":\"t\""])), None, "the last one counts");
        assert!(
            seen(&held, &jwt(&[b"\"sub\":\"s\"", &member("iss")])).is_some(),
            "its issuer may be the one"
        );
    }
}

#[test]
fn other_claims_count_only_in_tokens_of_their_issuer() {
    let (one, two) = (Some("https://one"), Some("https://two"));
    // Okta and Entra, by an entry with an issuer and by one without.
    let held = holding(&[
        of_subject_by("00u1", one, &["uid"], None),
        of_client_by("0oa1", one, &["cid"], None),
        of_subject_by("a-b-c", None, &["oid"], two),
        of_client_by("d-e-f", None, &["appid", "azp"], two),
    ]);
    let is_denied = |iss: Option<&str>, claim: &str, value: &str| {
        let iss = iss.map_or_else(String::new, |iss| format!(r#""iss":"{iss}","#));
        let payload = format!(r#"{{{iss}"{claim}":"{value}","iat":{BASE}}}"#);
        let (jwt, claims) = (token(RS256, &payload), Claims::from_json(payload.as_bytes()));
        let seen =
            [TokenView::bearer(&jwt), TokenView::with_claims(&jwt, &claims), TokenView::claims(&claims)]
                .map(|view| denial(&held, &view, NOW));
        assert!(seen.iter().all(|denial| *denial == seen[0]), "{payload}: {seen:?}");
        seen[0].is_some()
    };
    for (iss, claim, value) in
        [(one, "uid", "00u1"), (one, "cid", "0oa1"), (two, "oid", "a-b-c"), (two, "appid", "d-e-f")]
    {
        assert!(is_denied(iss, claim, value), "{claim}");
        for (iss, value) in [
            (None, value),
            (Some("https://three"), value),
            (if iss == one { two } else { one }, value),
            (iss, "other"),
        ] {
            assert!(!is_denied(iss, claim, value), "{claim} {value} of {iss:?}");
        }
    }
    assert!(
        !is_denied(one, "cid", "00u1") && !is_denied(one, "oid", "00u1"),
        "each claim names its own kind"
    );
    assert!(
        is_denied(two, "sub", "a-b-c") && !is_denied(two, "sub", "00u1"),
        "the usual claim counts as before"
    );
}

#[test]
fn more_names_of_claims_than_providers_have_are_refused_and_the_rest_counts() {
    let held = Entries::new();
    let entry = |claims: &[&str]| of_subject_by("s", Some("https://one"), claims, None);
    for number in 0..32 {
        assert!(held.apply(&entry(&[&format!("claim-{number}")]), at_millis(0)));
    }
    for unusable in ["one-more", "", "a\0b", &"x".repeat(201)] {
        assert!(!held.apply(&entry(&[unusable, "claim-0"]), at_millis(0)), "{unusable}");
    }
    assert!(held.apply(&entry(&["claim-31"]), at_millis(0)));
    let of = |claim: &str| {
        seen(&held, &token(RS256, format!(r#"{{"iss":"https://one","{claim}":"s"}}"#))).is_some()
    };
    assert!(of("sub") && of("claim-0") && of("claim-31") && !of("one-more"));
}

#[test]
fn other_claims_are_read_as_closely_as_the_usual_ones() {
    let (one, two) = (Some("https://one"), Some("https://two"));
    let jwt = |iss: &str, claim: &str, value: &[u8]| {
        let head = format!(r#"{{"iss":"{iss}","iat":{BASE},"{claim}":"#);
        token(RS256, [head.as_bytes(), value, b"}"].concat())
    };
    // As a value, the name that an entry has for it.
    let rows: [(&[u8], &str); 8] = [
        (b"\"Jos\xe9\"", "José"),
        (b"\"\xc5\\\"\xdf\"", "Å\"ß"),
        (b"\"\\u004aos\\u00e9\"", "José"),
        (b"\"J\\ud83d\"", "J\u{fffd}"),
        (b"1000385", "1000385"),
        (b"-7", "-7"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b"\"a\\/b\"", "a/b"),
    ];
    for (value, name) in rows {
        for claim in ["uid", "login"] {
            let held = holding(&[
                of_subject_by(name, one, &["uid", "login"], None),
                of_client_by("c", two, &["cid"], None),
            ]);
            assert!(seen(&held, &jwt("https://one", claim, value)).is_some(), "{claim} {name}");
            for (iss, claim) in [("https://two", claim), ("https://one", "cid"), ("https://one", "other")] {
                assert_eq!(seen(&held, &jwt(iss, claim, value)), None, "{iss} {claim} {name}");
            }
        }
    }
    let held = holding(&[of_subject_by("u", one, &["uid"], None)]);
    for value in [&b"007"[..], b"0x1F", b"u", b"\"\\q\"", b"+1"] {
        let denial = |iss, claim| seen(&held, &jwt(iss, claim, value));
        assert_eq!(denial("https://one", "uid"), Some(Denial::Unreadable));
        assert_eq!([denial("https://two", "uid"), denial("https://one", "name")], [None, None]);
    }
    for value in [&b"1.0"[..], b"null", b"[\"u\"]", b"{\"id\":\"u\"}", b"\"U\"", b"\"u \""] {
        assert_eq!(seen(&held, &jwt("https://one", "uid", value)), None);
    }
}
