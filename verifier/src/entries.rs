//! The denials themselves. What is denied depends on the set of entries applied, never on their order or number.

mod cutoff;
mod key;

use std::collections::hash_map;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use time::OffsetDateTime;

use self::cutoff::{Cutoff, Cutoffs, Expiry};
use self::key::{Key, Map};
use crate::claims::{Payload, Shown, ThreeParts};
use crate::message::{Entry, Kind};
use crate::token::TokenView;
use crate::verdict::Denial;

/// Locks: a writer holds one for as long as it takes to insert one entry, or to look through one shard for expired ones.
const SHARDS: usize = 256;

#[derive(Default)]
struct Shard {
    /// By digest: how long denied.
    tokens: Map<Expiry>,
    /// The same by `jti`.
    jtis: Map<Expiry>,
    /// By session, subject, client or issuer.
    cutoffs: Map<Cutoffs>,
    /// The same for tokens whose issuer is not known, which any issuer's cutoff may mean.
    of_some_issuer: Map<Cutoffs>,
}

impl Shard {
    fn expire(&mut self, now: OffsetDateTime) {
        for tokens in [&mut self.tokens, &mut self.jtis] {
            tokens.retain(|_, expires| !expires.is_over(now));
            give_back(tokens);
        }
        for cutoffs in [&mut self.cutoffs, &mut self.of_some_issuer] {
            cutoffs.retain(|_, cutoffs| cutoffs.expire(now));
            give_back(cutoffs);
        }
    }
}

/// Returns memory once three quarters of a map's are unused.
fn give_back<V>(map: &mut Map<V>) {
    if map.capacity() > 4 * map.len() {
        map.shrink_to_fit();
    }
}

/// What was ever applied: names of which none was need not be looked up.
#[derive(Default)]
struct Ever {
    jti: AtomicBool,
    kinds: [AtomicBool; Kind::ALL.len()],
    of_issuer: AtomicBool,
}

impl Ever {
    fn note(&self, kind: Kind, of_issuer: bool) {
        self.kinds[kind as usize].store(true, Ordering::Release);
        self.of_issuer.fetch_or(of_issuer, Ordering::Release);
    }

    fn any(&self, kind: Kind) -> bool {
        self.kinds[kind as usize].load(Ordering::Acquire)
    }
}

/// All denials.
pub(crate) struct Entries {
    shards: Box<[RwLock<Shard>]>,
    ever: Ever,
}

impl Entries {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), ever: Ever::default() }
    }

    /// Adds a denial, unless it is over. Returns false for an entry whose digest is none.
    pub(crate) fn apply(&self, entry: &Entry, now: OffsetDateTime) -> bool {
        match entry {
            Entry::Token { token_sha256, jti, expires_at, .. } => {
                let Some(key) = Key::of_hex(token_sha256) else { return false };
                self.deny_token(key, jti.as_deref(), Expiry::of(*expires_at), now);
            }
            Entry::Session { sid, iss, not_before, expires_at, .. } => {
                self.cut_off(Kind::Session, sid, iss.as_deref(), Cutoff::of(*not_before, *expires_at), now);
            }
            Entry::Subject { sub, iss, not_before, expires_at, .. } => {
                self.cut_off(Kind::Subject, sub, iss.as_deref(), Cutoff::of(*not_before, *expires_at), now);
            }
            Entry::Client { client_id, iss, not_before, expires_at, .. } => {
                self.cut_off(Kind::Client, client_id, iss.as_deref(), Cutoff::of(*not_before, *expires_at), now);
            }
            Entry::Issuer { iss, not_before, expires_at } => {
                self.cut_off(Kind::Issuer, iss, None, Cutoff::of(*not_before, *expires_at), now);
            }
        }
        true
    }

    fn deny_token(&self, key: Key, jti: Option<&str>, expires: Expiry, now: OffsetDateTime) {
        if expires.is_over(now) {
            return;
        }
        let extend = |held: &mut Expiry| *held = expires.max(*held);
        extend(self.write(key).tokens.entry(key).or_insert(expires));
        if let Some(key) = jti.map(Key::of_jti) {
            extend(self.write(key).jtis.entry(key).or_insert(expires));
            self.ever.jti.store(true, Ordering::Release);
        }
    }

    fn cut_off(&self, kind: Kind, name: &str, iss: Option<&str>, cutoff: Cutoff, now: OffsetDateTime) {
        if cutoff.expires.is_over(now) {
            return;
        }
        let key = Key::of_wide(kind, name);
        if let Some(iss) = iss {
            let own = key.issued_by(Key::of_issuer(iss));
            add(&mut self.write(own).cutoffs, own, cutoff);
            add(&mut self.write(key).of_some_issuer, key, cutoff);
        } else {
            add(&mut self.write(key).cutoffs, key, cutoff);
        }
        self.ever.note(kind, iss.is_some());
    }

    /// Why the token is denied, if it is.
    pub(crate) fn denial(&self, view: &TokenView<'_>, now: OffsetDateTime) -> Option<Denial> {
        let payload = view.token.filter(|_| view.claims.is_none()).and_then(ThreeParts::of).map(Payload::of);
        let claims = match (view.claims, &payload) {
            (Some(claims), _) => Shown::from(claims),
            (None, Some(payload)) => payload.claims(|_| false).0,
            (None, None) => Shown::default(),
        };
        let claims = &claims;
        if claims.exp.is_some_and(|exp| i128::from(exp.millis()) * 1_000_000 <= now.unix_timestamp_nanos()) {
            return Some(Denial::Expired);
        }
        let denied = |expires: Option<&Expiry>| expires.is_some_and(|expires| !expires.is_over(now));
        let by_digest = |token| {
            let key = Key::of_token(token);
            denied(self.read(key).tokens.get(&key))
        };
        let by_jti = |jti: &str| {
            let key = Key::of_jti(jti);
            denied(self.read(key).jtis.get(&key))
        };
        let jti = claims.jti.as_deref().filter(|_| self.ever.jti.load(Ordering::Acquire));
        if view.token.is_some_and(by_digest) || jti.is_some_and(by_jti) {
            return Some(Denial::Revoked(Kind::Token));
        }
        let issuer = claims.iss.as_deref().filter(|_| self.ever.of_issuer.load(Ordering::Acquire)).map(Key::of_issuer);
        let cut_off = |(kind, name): &(Kind, Option<&str>)| {
            name.is_some_and(|name| self.ever.any(*kind) && self.is_cut_off(*kind, name, issuer, claims, now))
        };
        let names = [
            (Kind::Session, claims.sid.as_deref()),
            (Kind::Subject, claims.sub.as_deref()),
            (Kind::Client, claims.client_id.as_deref()),
            (Kind::Client, claims.azp.as_deref().filter(|azp| claims.client_id.as_deref() != Some(azp))),
            (Kind::Issuer, claims.iss.as_deref()),
        ];
        names.iter().find(|name| cut_off(name)).map(|(kind, _)| Denial::Revoked(*kind))
    }

    fn is_cut_off(&self, kind: Kind, name: &str, issuer: Option<Key>, claims: &Shown<'_>, now: OffsetDateTime) -> bool {
        let latest = |cutoffs: Option<&Cutoffs>| cutoffs.and_then(|cutoffs| cutoffs.latest(now));
        let key = Key::of_wide(kind, name);
        let of_any = {
            let shard = self.read(key);
            let of_some = if claims.iss.is_none() { latest(shard.of_some_issuer.get(&key)) } else { None };
            latest(shard.cutoffs.get(&key)).max(of_some)
        };
        let of_its_own = issuer.and_then(|issuer| {
            let key = key.issued_by(issuer);
            latest(self.read(key).cutoffs.get(&key))
        });
        // A token that does not say when it was issued may be older than any cutoff.
        of_any.max(of_its_own).is_some_and(|cutoff| claims.iat.is_none_or(|iat| iat.millis() <= cutoff))
    }

    /// Drops what is over, one shard at a time.
    pub(crate) fn expire(&self, now: OffsetDateTime) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).expire(now);
        }
    }

    /// How many tokens and selectors are denied.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner)).map(|s| s.tokens.len() + s.cutoffs.len()).sum()
    }

    /// Everything held that is not over, sorted: two denylists with equal contents answer every check alike.
    pub(crate) fn contents(&self, now: OffsetDateTime) -> Vec<String> {
        let mut lines = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let tokens = shard.tokens.iter().chain(&shard.jtis).filter(|(_, expires)| !expires.is_over(now));
            lines.extend(tokens.map(|(key, expires)| format!("{} until {}", key, expires.0)));
            for (key, cutoffs) in shard.cutoffs.iter().chain(&shard.of_some_issuer) {
                let held = cutoffs.all().iter().filter(|cutoff| !cutoff.expires.is_over(now));
                lines.extend(held.map(|cutoff| format!("{} before {} until {}", key, cutoff.not_before, cutoff.expires.0)));
            }
        }
        lines.sort_unstable();
        lines
    }

    fn read(&self, key: Key) -> RwLockReadGuard<'_, Shard> {
        self.shards[key.spread() % SHARDS].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, key: Key) -> RwLockWriteGuard<'_, Shard> {
        self.shards[key.spread() % SHARDS].write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(cutoffs: &mut Map<Cutoffs>, key: Key, cutoff: Cutoff) {
    match cutoffs.entry(key) {
        hash_map::Entry::Occupied(mut held) => held.get_mut().add(cutoff),
        hash_map::Entry::Vacant(free) => drop(free.insert(Cutoffs::One(cutoff))),
    }
}

#[cfg(test)]
mod tests;
