//! Kinds of tokens that must not get past a denial, and kinds that must not be hit by another's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::claims::compact_jws;

const NOW: i64 = 6000;
const RS256: &str = r#"{"alg":"RS256"}"#;

fn token(header: &str, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn seen(held: &Entries, token: &str) -> Option<Denial> {
    denial(held, &TokenView::bearer(token), NOW)
}

fn holding(entries: &[Entry]) -> Entries {
    let held = Entries::new();
    entries.iter().for_each(|entry| assert!(held.apply(entry, at_millis(0)), "{entry:?}"));
    held
}

/// What the worker publishes of a token.
fn of_token(token: &str, jti: Option<&str>, iss: TokenIssuer) -> Entry {
    Entry::Token {
        token_sha256: digest_of(token),
        signed_sha256: compact_jws(token).map(|jws| jws.signed_sha256()),
        token_type_hint: None,
        jti: jti.map(str::to_owned),
        iss,
        expires_at: at_millis(60_000),
    }
}

fn of_subject(sub: &str, iss: Option<&str>) -> Entry {
    of_subject_by(sub, iss, &[], None)
}

fn of_subject_by(sub: &str, iss: Option<&str>, claims: &[&str], claims_iss: Option<&str>) -> Entry {
    Entry::Subject {
        iss: iss.map(str::to_owned),
        sub: sub.to_owned(),
        subject_claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        claims_iss: claims_iss.map(str::to_owned),
        not_before: at_millis(5000),
        expires_at: at_millis(60_000),
    }
}

fn of_client_by(client_id: &str, iss: Option<&str>, claims: &[&str], claims_iss: Option<&str>) -> Entry {
    Entry::Client {
        client_id: client_id.to_owned(),
        iss: iss.map(str::to_owned),
        client_claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        claims_iss: claims_iss.map(str::to_owned),
        not_before: at_millis(5000),
        expires_at: at_millis(60_000),
    }
}

#[test]
fn a_revoked_jwt_is_denied_however_it_is_spelled() {
    let jwt = token(RS256, r#"{"sub":"s"}"#);
    let held = holding(&[of_token(&jwt, None, TokenIssuer::NotSaid)]);
    let spellings = [
        format!("{jwt}="),
        format!("{jwt}=="),
        jwt.replace("c2ln", "c2lo"),
        jwt.replace("c2ln", "dHdpbg"),
        format!("{jwt}A"),
        jwt.clone(),
    ];
    for spelling in &spellings {
        assert_eq!(seen(&held, spelling), Some(Denial::Revoked(Kind::Token)), "{spelling}");
        let (claims, other) = (Claims::default(), token(RS256, r#"{"sub":"t"}"#));
        assert!(denial(&held, &TokenView::with_claims(spelling, &claims), NOW).is_some(), "{spelling}");
        assert_eq!(denial(&held, &TokenView::with_claims(&other, &claims), NOW), None);
    }
    for other in [
        token(RS256, r#"{"sub":"t"}"#),
        token(r#"{"alg":"ES256"}"#, r#"{"sub":"s"}"#),
        jwt.replace(".c2ln", ""),
    ] {
        assert_eq!(seen(&held, &other), None, "{other}");
    }
}

#[test]
fn tokens_that_only_share_their_first_parts_are_not_denied_together() {
    let jwe = |rest: &str| format!("{}..{rest}", URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#));
    let paseto = |rest: &str| format!("v4.public.{rest}");
    let unsigned = |rest: &str| {
        format!("{}.{}.{rest}", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode("{}"))
    };
    let opaque = |rest: &str| format!("tenant.region.{rest}");
    let pairs = [
        (jwe("aXY.Y2lwaGVy.dGFn"), jwe("aXY.b3RoZXI.dGFn")),
        (paseto("bWVzc2FnZQ"), paseto("b3RoZXI")),
        (unsigned("one"), unsigned("two")),
        (opaque("one"), opaque("two")),
        (format!("{}.one", opaque("a")), format!("{}.two", opaque("a"))),
    ];
    for (revoked, other) in &pairs {
        let entry = of_token(revoked, None, TokenIssuer::None);
        assert!(matches!(&entry, Entry::Token { signed_sha256: None, .. }), "{revoked}");
        // A worker that took it for a JWT, or a forger.
        let first_two = &revoked[..revoked.match_indices('.').nth(1).unwrap().0];
        let mut forged = entry.clone();
        if let Entry::Token { signed_sha256, .. } = &mut forged {
            *signed_sha256 = Some(digest_of(first_two));
        }
        for held in [holding(&[entry]), holding(&[forged])] {
            assert!(seen(&held, revoked).is_some(), "{revoked}");
            assert_eq!(seen(&held, other), None, "{other}");
        }
    }
}

#[test]
fn a_jti_denies_only_with_its_issuer() {
    let (one, two) = (Some("https://one"), Some("https://two"));
    let named = |iss: &str| TokenIssuer::Named(iss.to_owned());
    // Entry's issuer; denied: token of one, of two, of none; claims alone of one, of none.
    for (issuer, expected) in [
        (TokenIssuer::NotSaid, [true, true, true, true, true]),
        (TokenIssuer::None, [false, false, true, false, true]),
        (named("https://one"), [true, false, false, true, true]),
        (named("https://three"), [false, false, false, false, true]),
    ] {
        let held = holding(&[of_token("forged", Some("victim"), issuer.clone())]);
        let claims = |iss: Option<&str>| Claims {
            jti: Some("victim".to_owned()),
            iss: iss.map(str::to_owned),
            ..Claims::default()
        };
        let bearer = |iss: Option<&str>| {
            let iss = iss.map_or_else(String::new, |iss| format!(r#","iss":"{iss}""#));
            seen(&held, &token(RS256, format!(r#"{{"jti":"victim"{iss}}}"#))).is_some()
        };
        let alone = |iss| denial(&held, &TokenView::claims(&claims(iss)), NOW).is_some();
        assert_eq!([bearer(one), bearer(two), bearer(None), alone(one), alone(None)], expected, "{issuer:?}");
    }
}

#[test]
fn one_jti_of_several_issuers_is_forgotten_one_by_one() {
    let held = Entries::new();
    for number in 1..=100_i64 {
        let mut entry = of_token(&number.to_string(), Some("j"), TokenIssuer::Named(number.to_string()));
        if let Entry::Token { expires_at, .. } = &mut entry {
            *expires_at = at_millis(number * 1000);
        }
        assert!(held.apply(&entry, at_millis(0)) && held.apply(&entry, at_millis(0)));
    }
    let is_denied = |iss: i64, now| {
        let claims = Claims { jti: Some("j".to_owned()), iss: Some(iss.to_string()), ..Claims::default() };
        denial(&held, &TokenView::claims(&claims), now).is_some()
    };
    assert!(is_denied(50, 49_999) && !is_denied(50, 50_000) && is_denied(100, 50_000) && !is_denied(101, 0));
    held.expire(at_millis(50_000));
    assert!(!is_denied(50, 0) && is_denied(51, 0));
    held.expire(at_millis(100_000));
    assert!(held.shards.iter().all(|shard| shard.read().unwrap().jtis.is_empty()));
}

#[test]
fn integers_are_hit_by_their_decimal_text() {
    let number = "1000385";
    let held = holding(&[
        of_subject(number, None),
        of_client_by(number, None, &["appid"], Some("https://one")),
        Entry::Session {
            sid: number.to_owned(),
            sub: None,
            iss: None,
            not_before: at_millis(5000),
            expires_at: at_millis(60_000),
        },
        of_token("a", Some(number), TokenIssuer::None),
    ]);
    for claim in ["sub", "sid", "client_id", "azp", "jti"] {
        assert!(seen(&held, &token(RS256, format!(r#"{{"{claim}":{number}}}"#))).is_some(), "{claim}");
        assert!(seen(&held, &token(RS256, format!(r#"{{"{claim}":{number}0}}"#))).is_none(), "{claim}");
    }
    assert!(seen(&held, &token(RS256, format!(r#"{{"iss":"https://one","appid":{number}}}"#))).is_some());
}

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
fn no_unit_and_no_future_of_iat_outlives_a_cutoff() {
    let held = holding(&[of_subject("s", None)]);
    let second = BASE + 5;
    let of = |iat: String| seen(&held, &token(RS256, format!(r#"{{"sub":"s","iat":{iat}}}"#))).is_some();
    for (unit, digits) in
        [("seconds", ""), ("milliseconds", "000"), ("microseconds", "000000"), ("nanoseconds", "000000000")]
    {
        assert!(of(format!("{second}{digits}")), "{unit}, at the cutoff");
        assert!(!of(format!("{}{digits}", second + 1)), "{unit}, after it");
        assert!(!of(format!("{}{digits}", BASE + 6 + 300)), "{unit}, as far ahead as a clock may be");
        for ahead in [301, 3600, 86_400, 3_000_000] {
            assert!(of(format!("{}{digits}", BASE + 6 + ahead)), "{unit}, {ahead} s ahead");
        }
    }
    for nonsense in ["1e15", "9e18", "1e300", "9223372036854775807", "1e400", "\"tomorrow\"", "null"] {
        assert!(of(nonsense.to_owned()), "{nonsense}");
    }
}

#[test]
fn a_slow_clock_locks_nobody_out_while_heartbeats_tell_the_time() {
    let (held, oddities) = (holding(&[of_subject("s", None)]), Oddities::default());
    let jwt = token(RS256, format!(r#"{{"iss":"https://one","sub":"s","iat":{}}}"#, BASE + 3600));
    let is_denied = |last_beat: i64| {
        held.denial(&TokenView::bearer(&jwt), At::new(at_millis(NOW), last_beat), &oddities).is_some()
    };
    let beat = |seconds: i64| (BASE + seconds) * 1000;
    assert_eq!(
        [i64::MIN, 0, beat(0), beat(3000), beat(3300), beat(7200)].map(is_denied),
        [true, true, true, true, false, false]
    );
    assert_eq!(oddities.future_iat(), [("https://one".to_owned(), 4)]);
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

/// Payloads of signed tokens that no reader could read to their end.
fn unreadable(more: &str) -> Vec<String> {
    [r#"{"name":'J'}"#, r#"{"sid":007}"#, "{\"name\":", "{/**/", "[]", "no JSON", "\u{1}\u{2}"]
        .map(|payload| token(RS256, payload.replacen('{', &format!("{{{more}"), 1)))
        .into()
}

#[test]
fn a_jwt_that_cannot_be_read_is_denied_by_any_cutoff_that_may_mean_it() {
    let kinds = [
        Entry::Session {
            sid: "d".to_owned(),
            sub: None,
            iss: None,
            not_before: at_millis(5000),
            expires_at: at_millis(60_000),
        },
        of_subject("s", None),
        of_client_by("c", None, &[], None),
        of_subject("s", Some("https://one")),
        Entry::Issuer {
            iss: "https://one".to_owned(),
            not_before: at_millis(5000),
            expires_at: at_millis(60_000),
        },
    ];
    for (number, entry) in kinds.iter().enumerate() {
        let (held, oddities) = (holding(std::slice::from_ref(entry)), Oddities::default());
        let check = |token: &str, now| {
            held.denial(&TokenView::bearer(token), At::new(at_millis(now), i64::MIN), &oddities)
        };
        for jwt in unreadable("") {
            assert_eq!(check(&jwt, NOW), Some(Denial::Unreadable), "{entry:?} {jwt}");
            assert_eq!(check(&jwt, 60_000), None, "nothing is in force any more");
        }
        assert_eq!(oddities.unreadable_tokens(), 14);
        let of_another = token(RS256, r#"{"iss":"https://two",'"#);
        assert_eq!(check(&of_another, NOW).is_some(), number < 3, "{entry:?}");
        let younger = token(RS256, format!(r#"{{"iat":{},'"#, BASE + 6));
        assert_eq!(check(&younger, NOW), None, "{entry:?}");
        held.expire(at_millis(60_000));
        assert!(held.contents(at_millis(0)).is_empty() && held.in_force.latest(None, at_millis(0)).is_none());
    }
}

#[test]
fn what_is_readable_or_no_jwt_is_not_denied_for_others() {
    let held = holding(&[of_subject("s", None), of_token("a", Some("j"), TokenIssuer::None)]);
    let claims = Claims { sub: Some("t".to_owned()), ..Claims::default() };
    for jwt in unreadable("") {
        assert_eq!(
            denial(&held, &TokenView::with_claims(&jwt, &claims), NOW),
            None,
            "the service knows its claims"
        );
        assert_eq!(seen(&Entries::new(), &jwt), None, "nothing is in force");
        assert_eq!(
            seen(&holding(&[of_token("a", None, TokenIssuer::None)]), &jwt),
            None,
            "no cutoff is in force"
        );
        assert_eq!(seen(&held, &format!("{jwt}.a.b")), None, "a JWE");
    }
    let others = [
        "opaque".to_owned(),
        "v4.public.bm8gSlNPTg".to_owned(),
        "a.b.c".to_owned(),
        token(r#"{"alg":"none"}"#, "no JSON"),
        token("{}", "no JSON"),
        token(RS256, r#"{"sub":"t","name":"J\ud83d","n":[NaN,1e400]}"#),
    ];
    for token in others {
        assert_eq!(seen(&held, &token), None, "{token}");
    }
}
