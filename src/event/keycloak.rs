//! The JSON of Keycloak's RabbitMQ event listener (aznamier/keycloak-event-listener-rabbitmq): what users and
//! administrators do, of which some ends credentials. The events have no ids, and name realms by id.

use aws_lc_rs::digest::{SHA256, digest};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json::{Entries, Json};
use super::members::Members;
use super::receipt::Receipt;
use super::refusal::quoted;
use super::{EventType, LogoutEvent, ProviderRule, Refusal, RefusalCode, cloudevents};
use crate::visible::hex;

/// Ends of the class names that tell its messages.
const CLIENT: &str = ".EventClientNotificationMqMsg";
const ADMIN: &str = ".EventAdminNotificationMqMsg";
/// Longest text that is read of a member.
const MAX_BYTES: usize = 1024;
/// Longest `representation`, which is a whole user as JSON.
const MAX_REPRESENTATION_BYTES: usize = 256 * 1024;
/// Times below are no milliseconds: in seconds it would be the year 5138.
const LEAST_MILLISECONDS: i64 = 100_000_000_000;

/// Whether this is such a message and no CloudEvent.
pub(super) fn is_one(event: &Json<'_>) -> bool {
    let Json::Object(entries) = event else { return false };
    let is_class = |(name, value): &(_, Json<'_>)| {
        let is_known = |class: &str| class.ends_with(CLIENT) || class.ends_with(ADMIN);
        *name == "@class" && matches!(value, Json::Text(class) if is_known(class))
    };
    entries.iter().any(is_class) && entries.iter().all(|(name, _)| name != "specversion")
}

/// Whose credentials end, and why.
struct Ends {
    reason: &'static str,
    sid: Option<String>,
    sub: Option<String>,
}

/// Reads one. What ends nothing, a failed attempt among it, asks for nothing.
pub(super) fn read(event: Json<'_>, receipt: &Receipt<'_>) -> Result<Option<LogoutEvent>, Refusal> {
    let mut event = Members::event(event)?;
    let mut text = |name: &str| event.text(name, MAX_BYTES);
    let (class, realm) = (text("@class")?.unwrap_or_default(), text("realmId")?);
    let what = [text("type")?, text("resourceType")?, text("operationType")?, text("resourcePath")?];
    let who = [text("userId")?, text("sessionId")?, text("clientId")?];
    let has_failed = text("error")?.is_some_and(|error| !error.is_empty());
    let [kind, resource, operation, path] = what.each_ref().map(|word| word.as_deref().unwrap_or_default());
    let mut is_disabled = || -> Result<bool, Refusal> {
        let representation = event.text("representation", MAX_REPRESENTATION_BYTES)?;
        Ok(representation.is_some_and(|user| says_disabled(&user)))
    };
    let ends = match has_failed {
        true => None,
        false if class.ends_with(CLIENT) => of_user(kind, &who),
        false => of_administrator(resource, operation, path, &mut is_disabled)?,
    };
    let Some(ends) = ends else { return Ok(None) };
    let realm = realm.ok_or_else(|| event.missing("realmId"))?;
    let provider = provider(&realm, receipt)?;
    let milliseconds = match event.take("time")? {
        Some(Json::Integer(milliseconds @ LEAST_MILLISECONDS..)) => milliseconds,
        _ => return Err(event.invalid("time", "must be milliseconds since 1970")),
    };
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    let at = at.ok().and_then(|at| at.format(&Rfc3339).ok());
    let at = at.ok_or_else(|| event.invalid("time", "must be milliseconds since 1970"))?;
    let id = identity(&realm, milliseconds, [kind, operation, path], &who);
    let event = cloud_event(id, format!("keycloak:{realm}"), at, provider, ends);
    cloudevents::event(event, receipt).map(Some)
}

/// `EventType` of Keycloak's own, as far as it ends anything.
fn of_user(kind: &str, [user, session, _]: &[Option<String>; 3]) -> Option<Ends> {
    let (reason, sid) = match kind {
        "LOGOUT" => ("logout", session.clone()),
        "REVOKE_GRANT" => ("revoke_grant", None),
        "UPDATE_PASSWORD" => ("update_password", None),
        "UPDATE_CREDENTIAL" => ("update_credential", None),
        "DELETE_ACCOUNT" => ("delete_account", None),
        _ => return None,
    };
    Some(Ends { reason, sid, sub: user.clone() })
}

/// What administrators do with users and sessions.
fn of_administrator(
    resource: &str,
    operation: &str,
    path: &str,
    is_disabled: &mut dyn FnMut() -> Result<bool, Refusal>,
) -> Result<Option<Ends>, Refusal> {
    let parts: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    let (reason, user) = match (resource, operation, parts.as_slice()) {
        ("USER", "DELETE", ["users", user]) => ("user_deleted", user),
        ("USER", "ACTION", ["users", user, "logout"]) => ("logout_by_administrator", user),
        ("USER", "ACTION", ["users", user, "reset-password"]) => ("password_reset_by_administrator", user),
        ("USER", "ACTION", ["users", user, "consents", _]) => ("grant_revoked_by_administrator", user),
        ("USER", "UPDATE", ["users", user]) if is_disabled()? => ("user_disabled", user),
        ("USER_SESSION", "DELETE", ["sessions", sid]) => {
            let (reason, sid) = ("logout_by_administrator", Some((*sid).to_owned()));
            return Ok(Some(Ends { reason, sid, sub: None }));
        }
        _ => return Ok(None),
    };
    Ok(Some(Ends { reason, sid: None, sub: Some((*user).to_owned()) }))
}

/// Whether the user is disabled, as its JSON says.
fn says_disabled(representation: &str) -> bool {
    let user: Option<serde_json::Value> = serde_json::from_str(representation).ok();
    user.is_some_and(|user| user["enabled"] == false)
}

/// Whose realm it is, as the settings say: nobody else's users end by it.
fn provider<'r>(realm: &str, receipt: &Receipt<'r>) -> Result<&'r ProviderRule, Refusal> {
    let rules = receipt.rules;
    let named = rules.realms.get(realm);
    let known = named.and_then(|name| rules.providers.iter().find(|rule| rule.name == *name));
    known.ok_or_else(|| {
        let detail = format!("realmId {} is nobody's: list it in keycloak_events.realms", quoted(realm));
        Refusal::new(RefusalCode::UnknownProvider, detail)
    })
}

/// Instead of the id that Keycloak does not send: the same event again is the same.
fn identity(realm: &str, milliseconds: i64, what: [&str; 3], who: &[Option<String>; 3]) -> String {
    let milliseconds = milliseconds.to_string();
    let who = who.iter().map(|name| name.as_deref().unwrap_or_default());
    let mut parts = Vec::new();
    for part in [realm, &milliseconds].into_iter().chain(what).chain(who) {
        parts.extend((part.len() as u64).to_be_bytes());
        parts.extend(part.as_bytes());
    }
    hex(digest(&SHA256, &parts).as_ref())
}

/// As an application would have written it, so that the same rules hold for it.
fn cloud_event(
    id: String,
    source: String,
    time: String,
    provider: &ProviderRule,
    ends: Ends,
) -> Json<'static> {
    let object = |members: Vec<(&'static str, Json<'static>)>| -> Json<'static> {
        Json::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect::<Entries<'_>>())
    };
    let text = |text: String| Json::Text(text.into());
    let optional = |member: Option<String>| member.filter(|it| !it.is_empty()).map_or(Json::Null, text);
    let target = object(vec![
        ("sid", optional(ends.sid)),
        ("sub", optional(ends.sub)),
        ("iss", optional(provider.issuer.clone())),
    ]);
    let data = object(vec![
        ("provider", text(provider.name.to_string())),
        ("reason", text(ends.reason.to_owned())),
        ("actor", text("keycloak".to_owned())),
        ("targets", Json::List(vec![target])),
    ]);
    object(vec![
        ("specversion", text("1.0".to_owned())),
        ("id", text(id)),
        ("source", text(source)),
        ("type", text(EventType::Logout.as_str().to_owned())),
        ("time", text(time)),
        ("data", data),
    ])
}
