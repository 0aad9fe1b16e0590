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
        let at = At::new(at_millis(NOW), last_beat.saturating_sub(BASE * 1000 + NOW));
        held.denial(&TokenView::bearer(&jwt), at, &oddities).is_some()
    };
    let beat = |seconds: i64| (BASE + seconds) * 1000;
    assert_eq!(
        [i64::MIN, 0, beat(0), beat(3000), beat(3300), beat(7200)].map(is_denied),
        [true, true, true, true, false, false]
    );
    assert_eq!(oddities.future_iat(), [("https://one".to_owned(), 4)]);
}

mod names;
mod unreadable;
