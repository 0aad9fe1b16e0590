//! `kind = "keycloak"`: a realm's tokens by RFC 7009, its sessions and users by the admin REST API.
//!
//! | target | calls, each of which may come twice |
//! |---|---|
//! | session | `DELETE …/sessions/{id}`, then the same with `?isOffline=true` |
//! | subject | `POST …/users/{id}/logout`, `GET …/users/{id}/consents`, and `DELETE …/users/{id}/consents/{client}` for each client with offline tokens |
//!
//! Offline tokens outlive both a session's end and a user's logout. A session that was taken offline keeps
//! its id, so both stores are asked for it. Of a user, only the consents name the clients that hold offline
//! tokens; deleting a client's consent ends all of them in one call, where listing and deleting sessions
//! takes one call more for each, and needs `isOffline`: Keycloak before 24 passes over it, so a 404 there
//! proves nothing of an offline session. The price is that a user is asked for consent again by a client that
//! requires it.

use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::address::{Address, segment};
use super::bearer::{Bearer, Bearers, Source};
use super::call::Call;
use super::client_auth::Client;
use super::grant::Grant;
use super::http::Http;
use super::reply::Reply;
use super::rfc7009::Rfc7009;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, KeycloakConfig};
use crate::outcome::{Answer, Proof, Verdict};

const CONSENTS: &str = "/users/{}/consents";

/// A Keycloak realm.
pub(super) struct Keycloak {
    tokens: Rfc7009,
    admin: Url,
    bearers: Bearers,
}

impl Keycloak {
    /// The realm of `config`.
    pub(super) fn new(setup: &Setup<'_>, config: &KeycloakConfig) -> Result<Self, ProviderSetupError> {
        let realm = segment(&config.realm)
            .ok_or_else(|| setup.refuse("realm", "is no realm's name; give the name in the realm's URLs"))?;
        let url = |path: String| setup.url_under("base_url", &config.base_url, &path);
        let endpoint = |call: &str| url(format!("/realms/{realm}/protocol/openid-connect/{call}"));
        let client = || Client::new(setup, &config.client, BasicEncoding::Rfc6749);
        Ok(Self {
            tokens: Rfc7009::at(client()?, endpoint("revoke")?, Some(endpoint("token/introspect")?)),
            admin: url(format!("/admin/realms/{realm}"))?,
            bearers: Bearers::new(Source::Grant(Grant::of(client()?, endpoint("token")?))),
        })
    }

    /// The realm's OAuth endpoints.
    pub(super) fn tokens(&self) -> &Rfc7009 {
        &self.tokens
    }

    /// Ends the session `sid`, online and offline.
    pub(super) async fn end_session(&self, http: &Http, sid: &str) -> Answer {
        self.bearers.lend(http, |bearer| async move { self.delete_session(http, &bearer, sid).await }).await
    }

    /// Ends the sessions of the user `sub`, online and offline.
    pub(super) async fn log_out(&self, http: &Http, sub: &str) -> Answer {
        self.bearers
            .lend(http, |bearer| async move { self.log_out_everywhere(http, &bearer, sub).await })
            .await
    }

    async fn delete_session(&self, http: &Http, bearer: &Bearer, sid: &str) -> Result<Answer, Answer> {
        let online = self.act(http, bearer, Method::DELETE, "/sessions/{}", &[sid], session).await?;
        let offline =
            self.act(http, bearer, Method::DELETE, "/sessions/{}?isOffline=true", &[sid], session).await?;
        Ok(if online.verdict == Verdict::Done(Proof::Accepted) { online } else { offline })
    }

    async fn log_out_everywhere(&self, http: &Http, bearer: &Bearer, sub: &str) -> Result<Answer, Answer> {
        let logged_out = self.act(http, bearer, Method::POST, "/users/{}/logout", &[sub], user).await?;
        for client in self.act(http, bearer, Method::GET, CONSENTS, &[sub], offline_clients).await? {
            self.act(http, bearer, Method::DELETE, &format!("{CONSENTS}/{{}}"), &[sub, &client], consent)
                .await?;
        }
        Ok(logged_out)
    }

    /// One call of the admin API.
    async fn act<T>(
        &self,
        http: &Http,
        bearer: &Bearer,
        method: Method,
        path: &str,
        ids: &[&str],
        classify: fn(&Reply<'_>) -> Result<T, Answer>,
    ) -> Result<T, Answer> {
        let address = Address::new(&self.admin, path, ids)?;
        let reply = bearer.send(http, Call::to(method, &address).secrets(ids.iter().copied())).await?;
        classify(&reply)
    }
}

/// The end of a session. Only Keycloak's own word for it makes a 404 a dead session: a proxy before the admin
/// API answers 404 too.
fn session(reply: &Reply<'_>) -> Result<Answer, Answer> {
    match reply.status {
        200..=299 => yes(reply),
        // Keycloak writes it with three s.
        404 if says(reply, "ssion not found") => Ok(reply.done(Proof::AlreadyInvalid)),
        _ => Err(denied(reply)),
    }
}

/// A 2xx; an `Err` where its body says no, so that no call follows one that was not made.
fn yes(reply: &Reply<'_>) -> Result<Answer, Answer> {
    reply.no_yes().map_or_else(|| Ok(reply.done(Proof::Accepted)), Err)
}

fn user(reply: &Reply<'_>) -> Result<Answer, Answer> {
    if reply.is_success() { yes(reply) } else { Err(denied(reply)) }
}

/// The clients, by `clientId`, that hold offline tokens of a user.
fn offline_clients(reply: &Reply<'_>) -> Result<Vec<String>, Answer> {
    if !reply.is_success() {
        return Err(denied(reply));
    }
    yes(reply)?;
    let Some(Value::Array(consents)) = reply.json() else { return Err(reply.transient()) };
    let offline = consents.iter().filter(|consent| {
        let grants = consent.get("additionalGrants").and_then(Value::as_array);
        grants.is_some_and(|grants| {
            grants.iter().any(|grant| grant.get("key").and_then(Value::as_str) == Some("Offline Token"))
        })
    });
    let named = |consent: &Value| consent.get("clientId").and_then(Value::as_str).map(str::to_owned);
    offline.map(|consent| named(consent).ok_or_else(|| reply.transient())).collect()
}

/// The end of one client's offline tokens; that it holds none any more is as good.
fn consent(reply: &Reply<'_>) -> Result<(), Answer> {
    match reply.status {
        200..=299 => yes(reply).map(drop),
        404 if says(reply, "offline token not found") || says(reply, "Client not found") => Ok(()),
        _ => Err(denied(reply)),
    }
}

fn denied(reply: &Reply<'_>) -> Answer {
    match reply.status {
        401 | 403 => reply.doubted(),
        404 if says(reply, "User not found") => {
            reply.fails(Verdict::Refused, "no such user: sub must be the user's id in this realm")
        }
        _ => reply
            .status_answer()
            .unwrap_or_else(|| reply.fails(Verdict::Refused, "see Keycloak's log, then retry or cancel")),
    }
}

fn says(reply: &Reply<'_>, words: &str) -> bool {
    !reply.body.is_broken() && reply.oauth_error().is_some_and(|error| error.contains(words))
}

#[cfg(test)]
#[path = "keycloak_tests.rs"]
mod tests;
