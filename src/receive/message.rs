//! A signed token that is the whole body of a message. Nothing beside it says whose it is: its `iss` does,
//! and counts once that sender's keys have verified it.

use serde_json::Value;
use time::OffsetDateTime;

use super::claims::check_issuer;
use super::jws::Compact;
use super::keys::KeySet;
use super::logout_token;
use super::object::Object;
use super::refused::{Code, Refused};
use super::sender::Sender;
use super::shared_signals::{self, Signal};
use crate::event::SignedInput;

/// A message whose signature is not verified yet.
pub struct Message<'a> {
    input: SignedInput,
    token: Compact<'a>,
    /// Not verified.
    claims: Object,
}

impl<'a> Message<'a> {
    /// Reads a token's outside, and who it says that it is from.
    ///
    /// # Errors
    /// It is no such token, or of an algorithm that does not count.
    pub fn read(body: &'a [u8], input: SignedInput) -> Result<Self, Refused> {
        let token = std::str::from_utf8(body);
        let token = token.map_err(|_| Refused::new(Code::BadToken, "the body is no token"))?;
        let token = match input {
            SignedInput::LogoutToken => logout_token::read(token)?,
            SignedInput::SecurityEvent => shared_signals::read(token)?,
        };
        let claims = token.unverified()?;
        Ok(Self { input, token, claims })
    }

    /// Whose keys are to verify it: of several senders with its issuer, the one that it is meant for.
    ///
    /// # Errors
    /// Nobody's.
    pub fn sender<S: AsRef<Sender>>(&self, senders: impl Iterator<Item = S> + Clone) -> Result<S, Refused> {
        let of_issuer =
            || senders.clone().filter(|sender| check_issuer(&self.claims, &sender.as_ref().issuer).is_ok());
        let is_meant = |sender: &S| sender.as_ref().audiences().any(|ours| self.is_for(ours));
        of_issuer().find(is_meant).or_else(|| of_issuer().next()).ok_or_else(|| {
            let unknown = || Refused::new(Code::ForeignIssuer, "iss is the issuer of no sender");
            // Of a wrong type, or not there: the same as with any sender.
            check_issuer(&self.claims, "")
                .err()
                .filter(|why| why.code == Code::BadClaim)
                .unwrap_or_else(unknown)
        })
    }

    fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(some)) => some.iter().any(|one| one == audience),
            _ => false,
        }
    }

    /// What it says, at `now`.
    ///
    /// # Errors
    /// Its signature does not verify, or a rule of its standard is broken.
    pub fn says(&self, keys: &KeySet, sender: &Sender, now: OffsetDateTime) -> Result<Signal, Refused> {
        match self.input {
            SignedInput::LogoutToken => {
                logout_token::order(&self.token, keys, sender, now).map(Signal::Order)
            }
            SignedInput::SecurityEvent => shared_signals::signal(&self.token, keys, sender, now),
        }
    }
}
