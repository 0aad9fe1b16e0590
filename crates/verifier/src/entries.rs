//! The denials themselves. What is denied depends on the set of entries applied, never on their order or
//! number.

mod cutoff;
mod denial;
mod in_force;
mod jti;
mod key;
mod names;

use std::collections::hash_map;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use time::OffsetDateTime;

use self::cutoff::{Cutoff, Cutoffs, Expiry};
pub(crate) use self::denial::At;
use self::in_force::InForce;
use self::jti::{Issuer, Jtis};
use self::key::{Key, Map};
use self::names::Names;
use crate::message::{Entry, Kind};

/// Locks: a writer holds one for as long as it takes to insert one entry, or to look through one shard for
/// expired ones.
const SHARDS: usize = 256;

#[derive(Default)]
struct Shard {
    /// By digest: how long denied.
    tokens: Map<Expiry>,
    /// By the digest of the two signed parts.
    signed: Map<Expiry>,
    /// The same by `jti`.
    jtis: Map<Jtis>,
    /// By session, subject, client or issuer.
    cutoffs: Map<Cutoffs>,
    /// The same for tokens whose issuer is not known, which any issuer's cutoff may mean.
    of_some_issuer: Map<Cutoffs>,
    /// By another claim of one issuer's tokens.
    by_claim: Map<Cutoffs>,
}

impl Shard {
    fn expire(&mut self, now: OffsetDateTime) {
        for tokens in [&mut self.tokens, &mut self.signed] {
            keep(tokens, |expires| !expires.is_over(now));
        }
        keep(&mut self.jtis, |jtis| jtis.expire(now));
        for cutoffs in [&mut self.cutoffs, &mut self.of_some_issuer, &mut self.by_claim] {
            keep(cutoffs, |cutoffs| cutoffs.expire(now));
        }
    }
}

/// Keeps what is still needed, and returns memory once three quarters of a map's are unused.
fn keep<V>(map: &mut Map<V>, mut is_needed: impl FnMut(&mut V) -> bool) {
    map.retain(|_, value| is_needed(value));
    if map.capacity() > 4 * map.len() {
        map.shrink_to_fit();
    }
}

/// What was ever applied: names of which none was need not be looked up.
#[derive(Default)]
struct Ever {
    signed: AtomicBool,
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
    names: Names,
    in_force: InForce,
}

impl Entries {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, ever: Ever::default(), names: Names::default(), in_force: InForce::default() }
    }

    /// Adds a denial, unless it is over. Returns false where a part of it cannot be used, a digest that is
    /// none or a claim too many; the rest of it counts all the same.
    pub(crate) fn apply(&self, entry: &Entry, now: OffsetDateTime) -> bool {
        let cutoff = Cutoff::of_entry(entry);
        if cutoff.expires.is_over(now) {
            return true;
        }
        match entry {
            Entry::Token { token_sha256, signed_sha256, jti, iss, .. } => {
                if let Some(jti) = jti {
                    self.deny_jti(Key::of_jti(jti), Issuer::of_entry(iss), cutoff.expires);
                }
                let is_signed_usable =
                    signed_sha256.as_deref().is_none_or(|digest| self.deny_signed(digest, cutoff.expires));
                return self.deny_token(token_sha256, cutoff.expires) && is_signed_usable;
            }
            Entry::Session { sid, iss, .. } => self.cut_off(Kind::Session, sid, iss.as_ref(), cutoff),
            Entry::Subject { sub, iss, subject_claims, claims_iss, .. } => {
                self.cut_off(Kind::Subject, sub, iss.as_ref(), cutoff);
                return self.cut_off_by(
                    subject_claims,
                    Kind::Subject,
                    sub,
                    iss.as_ref().or(claims_iss.as_ref()),
                    cutoff,
                );
            }
            Entry::Client { client_id, iss, client_claims, claims_iss, .. } => {
                self.cut_off(Kind::Client, client_id, iss.as_ref(), cutoff);
                return self.cut_off_by(
                    client_claims,
                    Kind::Client,
                    client_id,
                    iss.as_ref().or(claims_iss.as_ref()),
                    cutoff,
                );
            }
            Entry::Issuer { iss, .. } => self.cut_off(Kind::Issuer, iss, None, cutoff),
        }
        true
    }

    fn deny_token(&self, hex: &str, expires: Expiry) -> bool {
        let Some(key) = Key::of_hex(hex) else { return false };
        extend(&mut self.write(key).tokens, key, expires);
        true
    }

    fn deny_signed(&self, hex: &str, expires: Expiry) -> bool {
        let Some(key) = Key::of_hex(hex) else { return false };
        extend(&mut self.write(key).signed, key, expires);
        self.ever.signed.store(true, Ordering::Release);
        true
    }

    fn deny_jti(&self, key: Key, issuer: Issuer, expires: Expiry) {
        match self.write(key).jtis.entry(key) {
            hash_map::Entry::Occupied(mut held) => held.get_mut().add(issuer, expires),
            hash_map::Entry::Vacant(free) => drop(free.insert(Jtis::One(issuer, expires))),
        }
        self.ever.jti.store(true, Ordering::Release);
    }

    fn cut_off(&self, kind: Kind, name: &str, iss: Option<&String>, cutoff: Cutoff) {
        let (key, issuer) = (Key::of_wide(kind, name), iss.map(|iss| Key::of_issuer(iss)));
        if let Some(issuer) = issuer {
            let own = key.issued_by(issuer);
            add(&mut self.write(own).cutoffs, own, cutoff);
            add(&mut self.write(key).of_some_issuer, key, cutoff);
        } else {
            add(&mut self.write(key).cutoffs, key, cutoff);
        }
        self.in_force.add(if kind == Kind::Issuer { Some(Key::of_issuer(name)) } else { issuer }, cutoff);
        self.ever.note(kind, iss.is_some());
    }

    /// The same by claims of `iss`'s tokens alone. Claims of nobody's say nothing.
    fn cut_off_by(
        &self,
        claims: &[String],
        kind: Kind,
        name: &str,
        iss: Option<&String>,
        cutoff: Cutoff,
    ) -> bool {
        let Some(issuer) = iss.map(|iss| Key::of_issuer(iss)) else { return true };
        let usable = claims.iter().filter(|claim| self.names.add(kind, claim));
        let keys: Vec<_> = usable.map(|claim| Key::of_claim(kind, claim, name).issued_by(issuer)).collect();
        keys.iter().for_each(|key| add(&mut self.write(*key).by_claim, *key, cutoff));
        self.ever.of_issuer.fetch_or(!keys.is_empty(), Ordering::Release);
        keys.len() == claims.len()
    }

    /// Drops what is over, one shard at a time.
    pub(crate) fn expire(&self, now: OffsetDateTime) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).expire(now);
        }
        self.in_force.expire(now);
    }

    /// How many tokens and selectors are denied.
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner))
            .map(|s| s.tokens.len() + s.cutoffs.len())
            .sum()
    }

    /// Everything held that is not over, sorted: two denylists with equal contents answer every check alike.
    pub(crate) fn contents(&self, now: OffsetDateTime) -> Vec<String> {
        let mut lines = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let tokens =
                shard.tokens.iter().chain(&shard.signed).filter(|(_, expires)| !expires.is_over(now));
            lines.extend(tokens.map(|(key, expires)| format!("{} until {}", key, expires.0)));
            let jtis = shard
                .jtis
                .iter()
                .flat_map(|(key, jtis)| jtis.all().map(move |(issuer, expires)| (key, issuer, expires)));
            let jtis = jtis.filter(|(.., expires)| !expires.is_over(now));
            lines.extend(jtis.map(|(key, issuer, expires)| format!("{key} of {issuer} until {}", expires.0)));
            for (key, cutoffs) in shard.cutoffs.iter().chain(&shard.of_some_issuer).chain(&shard.by_claim) {
                let held = cutoffs.all().iter().filter(|cutoff| !cutoff.expires.is_over(now));
                lines.extend(held.map(|cutoff| {
                    format!("{} before {} until {}", key, cutoff.not_before, cutoff.expires.0)
                }));
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

fn extend(tokens: &mut Map<Expiry>, key: Key, expires: Expiry) {
    let held = tokens.entry(key).or_insert(expires);
    *held = expires.max(*held);
}

fn add(cutoffs: &mut Map<Cutoffs>, key: Key, cutoff: Cutoff) {
    match cutoffs.entry(key) {
        hash_map::Entry::Occupied(mut held) => held.get_mut().add(cutoff),
        hash_map::Entry::Vacant(free) => drop(free.insert(Cutoffs::One(cutoff))),
    }
}

#[cfg(test)]
mod tests;
