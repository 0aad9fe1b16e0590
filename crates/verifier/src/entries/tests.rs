//! The entries against a plain list of everything ever applied.

use proptest::prelude::*;

use super::*;
use crate::claims::{Claims, NumericDate};
use crate::message::TokenIssuer;
use crate::oddities::Oddities;
use crate::token::TokenView;
use crate::verdict::Denial;

/// Seconds; all that happens in these tests happens within a few of them.
const BASE: i64 = 1_800_000_000;

fn at_millis(millis: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(BASE * 1000 + millis)
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned)
}

fn issuer() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(vec!["https://one", "https://two"]).prop_map(str::to_owned))
}

fn token_issuer() -> impl Strategy<Value = TokenIssuer> {
    prop_oneof![Just(TokenIssuer::NotSaid), issuer().prop_map(TokenIssuer::from)]
}

/// None, or one that means what `sub` or `client_id` means, in tokens of this issuer if the entry names none.
fn others() -> impl Strategy<Value = (Vec<String>, Option<String>)> {
    (prop::collection::vec(Just("uid".to_owned()), 0..2), issuer())
}

fn entry() -> impl Strategy<Value = Entry> {
    let expires = || (0_i64..8).prop_map(|s| at_millis(s * 1000));
    let cutoff = || (0_i64..6000).prop_map(at_millis);
    prop_oneof![
        (name(), prop::option::of(name()), token_issuer(), expires()).prop_map(
            |(token, jti, iss, expires_at)| Entry::Token {
                token_sha256: digest_of(&token),
                signed_sha256: None,
                token_type_hint: None,
                jti,
                iss,
                expires_at
            }
        ),
        (name(), issuer(), cutoff(), expires()).prop_map(|(sid, iss, not_before, expires_at)| {
            Entry::Session { sid, sub: None, iss, not_before, expires_at }
        }),
        (name(), issuer(), others(), cutoff(), expires()).prop_map(
            |(sub, iss, (subject_claims, claims_iss), not_before, expires_at)| {
                Entry::Subject { iss, sub, subject_claims, claims_iss, not_before, expires_at }
            }
        ),
        (name(), issuer(), others(), cutoff(), expires()).prop_map(
            |(client_id, iss, (client_claims, claims_iss), not_before, expires_at)| Entry::Client {
                client_id,
                iss,
                client_claims,
                claims_iss,
                not_before,
                expires_at
            }
        ),
        (issuer(), cutoff(), expires()).prop_map(|(iss, not_before, expires_at)| Entry::Issuer {
            iss: iss.unwrap_or_default(),
            not_before,
            expires_at
        }),
    ]
}

fn claims() -> impl Strategy<Value = Claims> {
    let iat =
        prop::option::of(prop_oneof![(0_i64..6).prop_map(|s| s * 1000), 0_i64..6000, 290_000_i64..310_000]);
    let some = || prop::option::of(name());
    (some(), issuer(), some(), some(), some(), some(), iat, some()).prop_map(
        |(jti, iss, sub, sid, client_id, azp, iat, uid)| Claims {
            jti,
            iss,
            sub,
            sid,
            client_id,
            azp,
            iat: iat.map(|millis| NumericDate::from_millis(BASE * 1000 + millis)),
            exp: None,
            others: uid.map(|uid| ("uid".to_owned(), uid)).into_iter().collect(),
        },
    )
}

fn digest_of(token: &str) -> String {
    <sha2::Sha256 as sha2::Digest>::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The contract's rules, read aloud. `token` is not shown by those who have claims alone.
fn denies(entry: &Entry, token: Option<&String>, claims: &Claims, now: OffsetDateTime) -> bool {
    let by = |others: &[String], name: &String, iss: Option<&String>| {
        iss.is_some()
            && claims.iss.as_ref() == iss
            && others.iter().any(|other| claims.others.get(other) == Some(name))
    };
    let issuer_fits = |iss: &Option<String>| iss.is_none() || claims.iss.is_none() || *iss == claims.iss;
    let (names_it, not_before, expires_at) = match entry {
        Entry::Token { token_sha256, jti, iss, expires_at, .. } => {
            let issuer_fits = match iss {
                TokenIssuer::NotSaid => true,
                TokenIssuer::None => claims.iss.is_none(),
                TokenIssuer::Named(iss) => {
                    claims.iss.as_ref() == Some(iss) || (claims.iss.is_none() && token.is_none())
                }
            };
            let is_it = token.is_some_and(|token| *token_sha256 == digest_of(token))
                || (jti.is_some() && *jti == claims.jti && issuer_fits);
            return is_it && now < *expires_at;
        }
        Entry::Session { sid, iss, not_before, expires_at, .. } => {
            (claims.sid.as_ref() == Some(sid) && issuer_fits(iss), not_before, expires_at)
        }
        Entry::Subject { sub, iss, subject_claims, claims_iss, not_before, expires_at } => {
            let by_sub = claims.sub.as_ref() == Some(sub) && issuer_fits(iss);
            (by_sub || by(subject_claims, sub, iss.as_ref().or(claims_iss.as_ref())), not_before, expires_at)
        }
        Entry::Client { client_id, iss, client_claims, claims_iss, not_before, expires_at } => {
            let by_usual =
                [&claims.client_id, &claims.azp].into_iter().flatten().any(|client| client == client_id)
                    && issuer_fits(iss);
            (
                by_usual || by(client_claims, client_id, iss.as_ref().or(claims_iss.as_ref())),
                not_before,
                expires_at,
            )
        }
        Entry::Issuer { iss, not_before, expires_at } => {
            (claims.iss.as_ref() == Some(iss), not_before, expires_at)
        }
    };
    let in_time = |time: OffsetDateTime, millis: i64| {
        time >= OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(millis)
    };
    let iat =
        claims.iat.map(NumericDate::millis).filter(|iat| in_time(now + time::Duration::minutes(5), *iat));
    names_it && iat.is_none_or(|iat| in_time(*not_before, iat)) && now < *expires_at
}

fn denial(held: &Entries, view: &TokenView<'_>, now: i64) -> Option<Denial> {
    held.denial(view, At::new(at_millis(now), i64::MIN), &Oddities::default())
}

proptest! {
    #[test]
    fn answers_as_a_list_of_all_entries_would(
        entries in prop::collection::vec(entry(), 0..12),
        claims in claims(),
        token in name(),
        now in 0_i64..8000,
        looks in prop::collection::vec(0_i64..8000, 0..4),
        is_alone in any::<bool>(),
    ) {
        let held = Entries::new();
        let mut looks = looks.into_iter().filter(|look| *look <= now).collect::<Vec<_>>();
        looks.sort_unstable();
        for entry in &entries {
            held.apply(entry, at_millis(0));
            looks.pop().into_iter().for_each(|look| held.expire(at_millis(look)));
        }
        // What has been forgotten by `now` was over by then, so the list needs no forgetting.
        let shown = Some(&token).filter(|_| !is_alone);
        let expected = entries.iter().any(|entry| denies(entry, shown, &claims, at_millis(now)));
        let view = match shown {
            Some(token) => TokenView::with_claims(token, &claims),
            None => TokenView::claims(&claims),
        };
        prop_assert_eq!(denial(&held, &view, now).is_some(), expected);
    }

    #[test]
    fn order_and_repetition_never_matter(
        entries in prop::collection::vec(entry(), 0..12),
        shuffled in Just(()).prop_perturb(|(), mut rng| rng.next_u64()),
        now in 0_i64..8000,
    ) {
        let (once, again) = (Entries::new(), Entries::new());
        for entry in &entries {
            once.apply(entry, at_millis(0));
        }
        let mut other: Vec<_> = entries.iter().chain(&entries).collect();
        other.sort_by_key(|entry| {
            let length = serde_json::to_string(entry).unwrap().len() as u64;
            shuffled.wrapping_mul(length ^ 0x9e37_79b9)
        });
        other.reverse();
        for (turn, entry) in other.into_iter().enumerate() {
            again.apply(entry, at_millis(0));
            if turn % 3 == 0 {
                again.expire(at_millis(now));
            }
        }
        prop_assert_eq!(once.contents(at_millis(now)), again.contents(at_millis(now)));
    }
}

fn subject(not_before: i64, expires_s: i64) -> Entry {
    Entry::Subject {
        iss: None,
        sub: "a".to_owned(),
        subject_claims: Vec::new(),
        claims_iss: None,
        not_before: at_millis(not_before),
        expires_at: at_millis(expires_s * 1000),
    }
}

fn of_subject(iat: Option<i64>) -> Claims {
    Claims {
        sub: Some("a".to_owned()),
        iat: iat.map(|millis| NumericDate::from_millis(BASE * 1000 + millis)),
        ..Claims::default()
    }
}

fn is_denied(held: &Entries, claims: &Claims, now: i64) -> bool {
    denial(held, &TokenView::claims(claims), now).is_some()
}

#[test]
fn a_digest_that_is_none_is_refused() {
    let held = Entries::new();
    for token_sha256 in
        [String::new(), "0".repeat(63), "g".repeat(64), "é".repeat(32), format!("+{}", "0".repeat(63))]
    {
        let entry = Entry::Token {
            token_sha256,
            signed_sha256: None,
            token_type_hint: None,
            jti: None,
            iss: TokenIssuer::NotSaid,
            expires_at: at_millis(1000),
        };
        assert!(!held.apply(&entry, at_millis(0)));
    }
    assert_eq!(held.len(), 0);
}

#[test]
fn digests_that_look_alike_are_different_tokens() {
    let patterns = (0..=255_u8).map(|byte| format!("{byte:02x}").repeat(32));
    let counted = (0..256).flat_map(|number: u64| {
        [
            format!("{number:064x}"),
            format!("{number:02x}{}", "0".repeat(62)),
            format!("{number:032x}{number:032x}"),
        ]
    });
    let digests: std::collections::BTreeSet<_> = patterns.chain(counted).collect();
    let keys: std::collections::BTreeSet<_> =
        digests.iter().map(|digest| Key::of_hex(digest).unwrap()).collect();
    assert_eq!(keys.len(), digests.len());
}

#[test]
fn an_expired_token_is_refused_on_its_own_account() {
    let claims = Claims { exp: Some(NumericDate::from_millis(BASE * 1000 + 5000)), ..Claims::default() };
    let denial = |now| denial(&Entries::new(), &TokenView::claims(&claims), now);
    assert_eq!((denial(4999), denial(5000)), (None, Some(Denial::Expired)));
}

mod cutoffs;
mod kinds;
