//! `data.targets`: what to revoke, at which provider, and until when to deny it.

use std::borrow::Cow;
use std::collections::HashMap;

use revocation_verifier::Claims;
use time::OffsetDateTime;

use super::json::Json;
use super::lifetime::Lifetime;
use super::members::{MAX_NAME_BYTES, Members};
use super::{EventType, ProviderRule, Refusal, RefusalCode, Rules, provider};
use crate::authorization::Limit;
use crate::target::{Kind, PresentedToken, Selector, Target, Token, TokenIssuer, TokenTypeHint};

/// What the targets of one event share.
pub(super) struct Frame<'r> {
    pub(super) rules: &'r Rules,
    /// What whoever sent it may name.
    pub(super) limits: Vec<Limit<'r>>,
    pub(super) event_type: EventType,
    pub(super) received_at: OffsetDateTime,
}

/// Reads `data.provider` and `data.targets`. Equal targets are one.
pub(super) fn read(data: &mut Members<'_>, frame: &Frame<'_>) -> Result<Vec<Target>, Refusal> {
    let named = provider::named(data, frame.rules)?;
    let list = list(data, frame.rules.max_targets)?;
    let targets: Result<Vec<_>, _> =
        list.into_iter().enumerate().map(|(index, json)| target(index, json, named, frame)).collect();
    targets.map(distinct)
}

/// One target of those that mean the same, in the place of the first, with what later ones say besides.
fn distinct(targets: Vec<Target>) -> Vec<Target> {
    let firsts: Vec<usize> = {
        let mut seen = HashMap::with_capacity(targets.len());
        targets
            .iter()
            .enumerate()
            .map(|(index, target)| *seen.entry(target.meaning()).or_insert(index))
            .collect()
    };
    let mut places = Vec::with_capacity(targets.len());
    let mut distinct: Vec<Target> = Vec::with_capacity(targets.len());
    for (index, (first, target)) in firsts.into_iter().zip(targets).enumerate() {
        if first == index {
            places.push(distinct.len());
            distinct.push(target);
        } else {
            places.push(places[first]);
            distinct[places[first]].merge(target);
        }
    }
    distinct
}

fn list<'a>(data: &mut Members<'a>, max_targets: usize) -> Result<Vec<Json<'a>>, Refusal> {
    let list = match data.take("targets")? {
        None => return Err(data.missing("targets")),
        Some(Json::List(list)) => list,
        Some(_) => return Err(data.invalid("targets", "must be an array")),
    };
    match list.len() {
        0 => Err(data.invalid("targets", "must not be empty")),
        count if count > max_targets => {
            let problem =
                format!("has {count} entries; limits.max_targets is {max_targets}: send several events");
            Err(data.refuse(RefusalCode::TooManyTargets, "targets", &problem))
        }
        _ => Ok(list),
    }
}

fn target(
    index: usize,
    json: Json<'_>,
    named: Option<&ProviderRule>,
    frame: &Frame<'_>,
) -> Result<Target, Refusal> {
    let mut members = Members::target(index, json)?;
    let token = token(&mut members, frame.rules.max_token_bytes)?;
    let hint = hint(&mut members, token.is_some())?;
    let names = Names::read(&mut members)?;
    let mut claims = token.as_ref().map(Token::claims).unwrap_or_default();
    let presented = token.map(|token| presented(token, hint, &mut claims));
    let mut selector = selector(presented, &names).ok_or_else(|| no_kind(index))?;
    check_kind(selector.kind(), frame.event_type, &members)?;

    let provider = match named {
        Some(provider) => provider,
        None => provider::resolve(frame.rules, index, [names.iss.as_deref(), claims.iss.as_deref()])?,
    };
    if let Some(problem) =
        frame.limits.iter().find_map(|limit| limit.refuse_target(selector.kind(), &provider.name))
    {
        return Err(Refusal::new(RefusalCode::NotAllowed, format!("data.targets[{index}] {problem}")));
    }
    let lifetime = Lifetime { received_at: frame.received_at, token_ttl: provider.token_ttl };
    let expires_at = claims.exp.and_then(|exp| lifetime.end_of(exp));
    if let Selector::Token(token) = &mut selector {
        token.expires_at = expires_at;
    }
    Ok(Target {
        provider: provider.name.clone(),
        deny_until: expires_at.unwrap_or_else(|| lifetime.longest()),
        selector,
        sub: names.sub.or(claims.sub),
        sid: names.sid.or(claims.sid),
        client_id: names.client_id.or(claims.client_id).or(claims.azp),
        iss: names.iss.or(claims.iss),
    })
}

/// A token with what it says of itself, but for its end, which depends on the provider.
///
/// The publisher is trusted to send real tokens: `iss` may choose the provider that the token is sent to, and
/// an `exp` that has passed ends the matter without a call. Whoever may publish can deny any token, a forged
/// one with another's `jti` and `iss` included.
fn presented(token: Token, hint: Option<TokenTypeHint>, claims: &mut Claims) -> PresentedToken {
    let (fingerprint, signed) = token.fingerprints();
    let jti = claims.jti.take();
    let jti_iss = jti.as_ref().map_or(TokenIssuer::NotSaid, |_| claims.iss.clone().into());
    PresentedToken { token, fingerprint, signed, hint, jti, jti_iss, expires_at: None }
}

/// Takes the token. Visible ASCII is what an `Authorization: Bearer` header can carry of RFC 6749's VSCHAR
/// (RFC 6750 section 2.1 allows less).
fn token(members: &mut Members<'_>, max_bytes: usize) -> Result<Option<Token>, Refusal> {
    let token = match members.take("token")? {
        None => return Ok(None),
        Some(Json::Text(token)) => token,
        Some(_) => return Err(members.invalid("token", "must be a string")),
    };
    if token.is_empty() {
        return Err(members.invalid("token", "must not be empty"));
    }
    if token.len() > max_bytes {
        return Err(members
            .invalid("token", &format!("has {} bytes; limits.max_token_bytes is {max_bytes}", token.len())));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            members.invalid("token", "must be visible ASCII without spaces: send what follows \"Bearer \"")
        );
    }
    Ok(Some(Token::new(Cow::into_owned(token))))
}

/// Takes `token_type_hint`. Its value is not quoted: a publisher that swaps two members puts the token here.
fn hint(members: &mut Members<'_>, has_token: bool) -> Result<Option<TokenTypeHint>, Refusal> {
    let Some(given) = members.text("token_type_hint", MAX_NAME_BYTES)? else { return Ok(None) };
    if !has_token {
        return Err(members.invalid("token_type_hint", "needs a token beside it"));
    }
    let hint = TokenTypeHint::parse(&given);
    hint.map(Some).ok_or_else(|| members.invalid("token_type_hint", "must be access_token or refresh_token"))
}

/// What a target names beside a token.
struct Names {
    sub: Option<String>,
    sid: Option<String>,
    client_id: Option<String>,
    iss: Option<String>,
}

impl Names {
    fn read(members: &mut Members<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            sub: members.word("sub", MAX_NAME_BYTES)?,
            sid: members.word("sid", MAX_NAME_BYTES)?,
            client_id: members.word("client_id", MAX_NAME_BYTES)?,
            iss: members.word("iss", MAX_NAME_BYTES)?,
        })
    }
}

/// The narrowest thing that is named; the wider ones beside it are context.
fn selector(token: Option<PresentedToken>, names: &Names) -> Option<Selector> {
    match token {
        Some(token) => Some(Selector::Token(token)),
        None if names.sid.is_some() => Some(Selector::Session),
        None if names.sub.is_some() => Some(Selector::Subject),
        None if names.client_id.is_some() => Some(Selector::Client),
        None if names.iss.is_some() => Some(Selector::Issuer),
        None => None,
    }
}

fn no_kind(index: usize) -> Refusal {
    let detail =
        format!("data.targets[{index}] names nothing to revoke: give it token, sid, sub, client_id or iss");
    Refusal::new(RefusalCode::MissingField, detail)
}

/// A logout takes no client or issuer. `invalid_field`, not `not_allowed`: it holds for every publisher, so
/// no authorisation setting would mend it.
fn check_kind(kind: Kind, event_type: EventType, members: &Members<'_>) -> Result<(), Refusal> {
    let member = match (event_type, kind) {
        (EventType::Logout, Kind::Client) => "client_id",
        (EventType::Logout, Kind::Issuer) => "iss",
        _ => return Ok(()),
    };
    let wide = EventType::MassRevocation.as_str();
    let problem = format!(
        "alone makes a target of kind {}, which only type {wide} takes; a logout needs token, sid or sub",
        kind.as_str()
    );
    Err(members.invalid(member, &problem))
}
