//! The claims of a token in front of a check: borrowed where they can be.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::jws::ThreeParts;
use super::scan::{Members, Quoted, Unreadable, Value};
use super::value::{NumericDate, Round, name, twin};
use super::{Claims, encoding};

type Text<'a> = Cow<'a, str>;

/// [`Claims`] without copies.
#[derive(Default)]
pub(crate) struct Shown<'a> {
    pub(crate) jti: Option<Text<'a>>,
    pub(crate) iss: Option<Text<'a>>,
    pub(crate) sub: Option<Text<'a>>,
    pub(crate) sid: Option<Text<'a>>,
    pub(crate) client_id: Option<Text<'a>>,
    pub(crate) azp: Option<Text<'a>>,
    pub(crate) iat: Option<NumericDate>,
    pub(crate) exp: Option<NumericDate>,
    others: Others<'a>,
    twins: Vec<(Text<'a>, String)>,
}

/// What becomes of a claim without a field of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Skipped,
    Kept,
    /// A denial may name it: it is read as closely as one with a field.
    Named,
}

/// The claims that are names.
const NAMES: [&str; 6] = ["jti", "iss", "sub", "sid", "client_id", "azp"];

enum Others<'a> {
    Read(Vec<(Text<'a>, Text<'a>)>),
    Given(&'a BTreeMap<String, String>),
}

impl Default for Others<'_> {
    fn default() -> Self {
        Self::Read(Vec::new())
    }
}

/// How much of a payload could be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All of it.
    Whole,
    /// An object, behind whose end something else stands.
    Object,
    /// Not as far as to the end of an object.
    Part,
}

/// The middle of a token of three parts, decoded. No `Debug`: it holds the claims.
pub(crate) struct Payload<'t> {
    parts: ThreeParts<'t>,
    json: Option<Vec<u8>>,
}

impl<'t> Payload<'t> {
    pub(crate) fn of(parts: ThreeParts<'t>) -> Self {
        Self { parts, json: parts.payload().map(encoding::in_utf8) }
    }

    /// The claims, those without a field of their own as `other` says; and whether claims may be missing that
    /// another reader sees.
    pub(crate) fn claims(&self, other: impl Fn(&str) -> Other) -> (Shown<'_>, bool) {
        let (shown, extent, is_certain) = Shown::of_object(self.json.as_deref().unwrap_or_default(), other);
        match extent {
            Extent::Whole if is_certain => (shown, false),
            _ if self.parts.is_compact_jws() => (shown, extent == Extent::Part || !is_certain),
            Extent::Whole => (shown, false),
            // What begins like an object may be anything: a PASETO's payload is followed by its signature.
            _ => (Shown::default(), false),
        }
    }
}

impl<'a> Shown<'a> {
    /// As far as they can be read.
    pub(super) fn of_json(json: &'a [u8], other: impl Fn(&str) -> Other) -> Self {
        Self::of_object(json, other).0
    }

    /// The claims, how far they could be read, and whether each that a denial may name says the same to every
    /// reader.
    fn of_object(json: &'a [u8], other: impl Fn(&str) -> Other) -> (Self, Extent, bool) {
        let (mut shown, mut is_certain) = (Self::default(), true);
        let Some(mut members) = Members::of(json) else { return (shown, Extent::Part, false) };
        let ended = loop {
            match members.next() {
                Ok(Some((name, value))) => is_certain &= shown.take(name, value, &other).is_ok(),
                Ok(None) => break true,
                Err(Unreadable) => break false,
            }
        };
        let extent = match (ended, members.is_at_end()) {
            (false, _) => Extent::Part,
            (true, false) => Extent::Object,
            (true, true) => Extent::Whole,
        };
        (shown, extent, is_certain)
    }

    /// A member that is named like one before takes its place.
    fn take(
        &mut self,
        named: Quoted<'a>,
        value: Value<'a>,
        other: &impl Fn(&str) -> Other,
    ) -> Result<(), Unreadable> {
        let (named, _) = named.text()?;
        match &*named {
            "iat" => self.iat = NumericDate::of_value(value, Round::Down),
            "exp" => self.exp = NumericDate::of_value(value, Round::Up),
            _ => match NAMES.iter().find(|name| **name == named) {
                Some(name) => return self.set(name, value),
                None => match other(&named) {
                    Other::Skipped => {}
                    // Few of these are claims that a denial may name: one that cannot be read is no doubt.
                    Other::Kept => drop(self.others.take(named, value)),
                    Other::Named => {
                        self.spell_twin(named.clone(), value);
                        return self.others.take(named, value);
                    }
                },
            },
        }
        Ok(())
    }

    /// One that cannot be read is missing: what stood there before does not count any more. So is a `jti`
    /// that is not exact, as the token's digests meet it too, and such an issuer: one that is not known may
    /// be any.
    fn set(&mut self, claim: &'static str, value: Value<'a>) -> Result<(), Unreadable> {
        let (read, result) =
            name(value).map_or_else(|unreadable| (None, Err(unreadable)), |read| (read, Ok(())));
        self.spell_twin(claim.into(), value);
        let must_be_exact = matches!(claim, "jti" | "iss");
        let text = read.filter(|(_, is_exact)| *is_exact || !must_be_exact).map(|(text, _)| text);
        match claim {
            "jti" => self.jti = text,
            "iss" => self.iss = text,
            "sub" => self.sub = text,
            "sid" => self.sid = text,
            "client_id" => self.client_id = text,
            _ => self.azp = text,
        }
        result
    }

    /// The twin that counts is the last one's.
    fn spell_twin(&mut self, claim: Text<'a>, value: Value<'a>) {
        self.twins.retain(|(held, _)| *held != claim);
        self.twins.extend(twin(value).map(|twin| (claim, twin)));
    }

    /// What names in other bytes than UTF-8 are to readers of ISO-8859-1, each with its claim.
    pub(crate) fn twins(&self) -> impl Iterator<Item = (&str, &str)> {
        self.twins.iter().map(|(claim, twin)| (&**claim, &**twin))
    }

    /// What the claim of this name says, whichever it is, to any reader.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &str> {
        let twins = self.twins().filter(move |(claim, _)| *claim == name).map(|(_, twin)| twin);
        self.value(name).into_iter().chain(twins)
    }

    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "jti" => self.jti.as_deref(),
            "iss" => self.iss.as_deref(),
            "sub" => self.sub.as_deref(),
            "sid" => self.sid.as_deref(),
            "client_id" => self.client_id.as_deref(),
            "azp" => self.azp.as_deref(),
            _ => self.others.get(name),
        }
    }

    pub(super) fn into_claims(self) -> Claims {
        let owned = |text: Option<Text<'_>>| text.map(Cow::into_owned);
        Claims {
            jti: owned(self.jti),
            iss: owned(self.iss),
            sub: owned(self.sub),
            sid: owned(self.sid),
            client_id: owned(self.client_id),
            azp: owned(self.azp),
            iat: self.iat,
            exp: self.exp,
            others: match self.others {
                Others::Read(read) => {
                    read.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
                }
                Others::Given(given) => given.clone(),
            },
        }
    }
}

impl<'a> Others<'a> {
    fn get(&self, name: &str) -> Option<&str> {
        match self {
            Self::Read(read) => read.iter().find(|(read, _)| read == name).map(|(_, value)| &**value),
            Self::Given(given) => given.get(name).map(String::as_str),
        }
    }

    fn take(&mut self, named: Text<'a>, value: Value<'a>) -> Result<(), Unreadable> {
        let Self::Read(read) = self else { return Ok(()) };
        read.retain(|(name, _)| *name != named);
        if let Some((value, _)) = name(value)? {
            read.push((named, value));
        }
        Ok(())
    }
}

impl<'a> From<&'a Claims> for Shown<'a> {
    fn from(claims: &'a Claims) -> Self {
        let borrowed = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        Self {
            jti: borrowed(&claims.jti),
            iss: borrowed(&claims.iss),
            sub: borrowed(&claims.sub),
            sid: borrowed(&claims.sid),
            client_id: borrowed(&claims.client_id),
            azp: borrowed(&claims.azp),
            iat: claims.iat,
            exp: claims.exp,
            others: Others::Given(&claims.others),
            twins: Vec::new(),
        }
    }
}
