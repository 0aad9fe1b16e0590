//! Whether a token is denied: the rules of docs/contract.md, section 4, in the order in which they are tried.

use std::sync::atomic::Ordering;

use sha2::digest::Output;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Entries;
use super::cutoff::{Cutoffs, Expiry};
use super::jti::Issuer;
use super::key::Key;
use crate::claims::{Other, Payload, Shown, ThreeParts};
use crate::message::Kind;
use crate::oddities::Oddities;
use crate::token::TokenView;
use crate::verdict::Denial;

/// How far an issuer's clock may be ahead (milliseconds). A token that says it was issued later than that
/// would be younger than every cutoff for as long as it lives.
const AHEAD: i64 = 5 * 60 * 1000;

/// The moment of a check.
#[derive(Clone, Copy)]
pub(crate) struct At {
    now: OffsetDateTime,
    /// `now` in milliseconds since 1970.
    millis: i64,
    latest_iat: i64,
}

impl At {
    /// `ahead` is how far the clock of the feed's last heartbeat is ahead of the own one (milliseconds):
    /// where the own one is slow, it is the better one.
    pub(crate) fn new(now: OffsetDateTime, ahead: i64) -> Self {
        let millis = now.unix_timestamp().saturating_mul(1000) + i64::from(now.millisecond());
        Self { now, millis, latest_iat: millis.saturating_add(ahead.max(0)).saturating_add(AHEAD) }
    }
}

/// What a check knows of its token.
struct Known<'a> {
    claims: Shown<'a>,
    /// When it was issued (milliseconds since 1970), where that can be.
    iat: Option<i64>,
    /// Claims may be missing that the service sees.
    is_unreadable: bool,
    /// No `iss` among the claims means that the token has none.
    shows_issuer: bool,
}

impl Entries {
    /// Why the token is denied, if it is.
    pub(crate) fn denial(&self, view: &TokenView<'_>, at: At, oddities: &Oddities) -> Option<Denial> {
        let parts = view.token.and_then(ThreeParts::of);
        let payload = parts.filter(|_| view.claims.is_none()).map(Payload::of);
        let (claims, is_unreadable) = match (view.claims, &payload) {
            (Some(claims), _) => (Shown::from(claims), false),
            (None, Some(payload)) => {
                let is_named = |name: &str| self.names.contains(name);
                payload.claims(|name| if is_named(name) { Other::Named } else { Other::Skipped })
            }
            (None, None) => (Shown::default(), false),
        };
        let iat = claims.iat.map(|iat| iat.millis());
        let token = Known {
            iat: iat.filter(|iat| *iat <= at.latest_iat),
            shows_issuer: view.token.is_some() && !is_unreadable,
            is_unreadable,
            claims,
        };
        if token.is_unreadable {
            oddities.unreadable_token();
        }
        if token.iat != iat {
            oddities.issued_in_the_future(token.claims.iss.as_deref());
        }
        if token.claims.exp.is_some_and(|exp| exp.millis() <= at.millis) {
            return Some(Denial::Expired);
        }
        self.denial_of(view.token, parts, &token, at.now)
    }

    fn denial_of(
        &self,
        bytes: Option<&str>,
        parts: Option<ThreeParts<'_>>,
        token: &Known<'_>,
        now: OffsetDateTime,
    ) -> Option<Denial> {
        if bytes.is_some_and(|bytes| self.is_denied_by_digest(bytes, parts, now))
            || self.is_denied_by_jti(token, now)
        {
            return Some(Denial::Revoked(Kind::Token));
        }
        let issuer = token.claims.iss.as_deref().filter(|_| self.needs_issuer(token)).map(Key::of_issuer);
        let cut_off = self.cut_off_kind(token, issuer, now).map(Denial::Revoked);
        cut_off.or_else(|| {
            (token.is_unreadable && token.is_covered(self.in_force.latest(issuer, now)))
                .then_some(Denial::Unreadable)
        })
    }

    fn is_denied_by_digest(&self, bytes: &str, parts: Option<ThreeParts<'_>>, now: OffsetDateTime) -> bool {
        let is_denied = |expires: Option<&Expiry>| expires.is_some_and(|expires| !expires.is_over(now));
        let is_token = |digest: Output<Sha256>| {
            let key = Key::of_digest(&digest.into());
            is_denied(self.read(key).tokens.get(&key))
        };
        let Some(parts) = parts.filter(|_| self.ever.signed.load(Ordering::Acquire)) else {
            return is_token(Sha256::digest(bytes));
        };
        // One pass over the token: its signed parts are its beginning.
        let signed = Sha256::new().chain_update(parts.signed);
        let whole = signed.clone().chain_update(bytes.get(parts.signed.len()..).unwrap_or_default());
        let key = Key::of_digest(&signed.finalize().into());
        // Whether it is a JWS at all is looked at last: only what was denied costs that.
        is_token(whole.finalize()) || (is_denied(self.read(key).signed.get(&key)) && parts.is_compact_jws())
    }

    fn is_denied_by_jti(&self, token: &Known<'_>, now: OffsetDateTime) -> bool {
        let Some(jti) = token.claims.jti.as_deref().filter(|_| self.ever.jti.load(Ordering::Acquire)) else {
            return false;
        };
        let key = Key::of_jti(jti);
        let shard = self.read(key);
        let Some(jtis) = shard.jtis.get(&key) else { return false };
        let iss = token.claims.iss.as_deref();
        let issuer = (iss.is_some() || token.shows_issuer).then(|| Issuer::of_token(iss));
        jtis.deny(issuer, now)
    }

    fn needs_issuer(&self, token: &Known<'_>) -> bool {
        self.ever.of_issuer.load(Ordering::Acquire) || token.is_unreadable
    }

    /// The first kind by which the token is cut off.
    fn cut_off_kind(&self, token: &Known<'_>, issuer: Option<Key>, now: OffsetDateTime) -> Option<Kind> {
        let claims = &token.claims;
        let client_id = claims.client_id.as_deref();
        let names = [
            (Kind::Session, claims.sid.as_deref()),
            (Kind::Subject, claims.sub.as_deref()),
            (Kind::Client, client_id),
            (Kind::Client, claims.azp.as_deref().filter(|azp| client_id != Some(azp))),
            (Kind::Issuer, claims.iss.as_deref()),
        ];
        let twins = claims.twins().filter_map(|(claim, twin)| Some((kind_of(claim)?, Some(twin))));
        let is_cut_off = |(kind, name): &(Kind, Option<&str>)| {
            name.is_some_and(|name| {
                self.ever.any(*kind) && token.is_covered(self.cutoff_of(*kind, name, issuer, token, now))
            })
        };
        let by_name = names.into_iter().chain(twins).find(is_cut_off).map(|(kind, _)| kind);
        by_name.or_else(|| self.cut_off_by_other(token, issuer?, now))
    }

    fn cutoff_of(
        &self,
        kind: Kind,
        name: &str,
        issuer: Option<Key>,
        token: &Known<'_>,
        now: OffsetDateTime,
    ) -> Option<i64> {
        let latest = |cutoffs: Option<&Cutoffs>| cutoffs.and_then(|cutoffs| cutoffs.latest(now));
        let key = Key::of_wide(kind, name);
        let of_any = {
            let shard = self.read(key);
            let of_some =
                if token.claims.iss.is_none() { latest(shard.of_some_issuer.get(&key)) } else { None };
            latest(shard.cutoffs.get(&key)).max(of_some)
        };
        let of_its_own = issuer.and_then(|issuer| {
            let key = key.issued_by(issuer);
            latest(self.read(key).cutoffs.get(&key))
        });
        of_any.max(of_its_own)
    }

    /// By a claim that only this issuer's entries know: in another's tokens it may name anything.
    fn cut_off_by_other(&self, token: &Known<'_>, issuer: Key, now: OffsetDateTime) -> Option<Kind> {
        let is_cut_off = |(kind, claim): &(Kind, &str)| {
            token.claims.named(claim).any(|value| {
                let key = Key::of_claim(*kind, claim, value).issued_by(issuer);
                token.is_covered(self.read(key).by_claim.get(&key).and_then(|cutoffs| cutoffs.latest(now)))
            })
        };
        self.names.iter().find(is_cut_off).map(|(kind, _)| kind)
    }
}

/// What is cut off by the name in a claim.
fn kind_of(claim: &str) -> Option<Kind> {
    match claim {
        "sid" => Some(Kind::Session),
        "sub" => Some(Kind::Subject),
        "client_id" | "azp" => Some(Kind::Client),
        "iss" => Some(Kind::Issuer),
        _ => None,
    }
}

impl Known<'_> {
    /// A token that does not say when it was issued may be older than any cutoff.
    fn is_covered(&self, cutoff: Option<i64>) -> bool {
        cutoff.is_some_and(|cutoff| self.iat.is_none_or(|iat| iat <= cutoff))
    }
}
