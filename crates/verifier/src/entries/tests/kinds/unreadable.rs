//! Tokens whose claims cannot be read to their end.

use super::*;

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
