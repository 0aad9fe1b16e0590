//! `kind = "keycloak"`: a realm's tokens by RFC 7009, its sessions and users by the admin REST API.
//!
//! Each of these calls may come twice:
//!
//! - a session: `DELETE …/sessions/{id}`, then the same with `?isOffline=true`;
//! - a subject: `POST …/users/{id}/logout`, `GET …/users/{id}/consents`, and for each client with offline
//!   tokens `DELETE …/users/{id}/consents/{client}`.
//!
//! Offline tokens outlive both a session's end and a user's logout. A session that was taken offline keeps
//! its id, so both stores are asked for it. Of a user, only the consents name the clients that hold offline
//! tokens; deleting a client's consent ends all of them in one call, where listing and deleting sessions
//! takes one call more for each, and needs `isOffline`: Keycloak before 24 passes over it, so a 404 there
//! proves nothing of an offline session. The price is that a user is asked for consent again by a client that
//! requires it.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::address::{Address, segment};
use super::bearer::Bearer;
use super::bearers::{Bearers, Source};
use super::call::Call;
use super::client_auth::Client;
use super::dialect::{Attempt, Dialect};
use super::grant::Grant;
use super::http::Http;
use super::oauth::Rfc7009;
use super::probe::{self, Probed};
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, KeycloakConfig};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::Kind;

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

    async fn delete_session(&self, http: &Http, bearer: &Bearer, sid: &str) -> Result<Answer, Answer> {
        let session = |reply: &Reply<'_>| classify(Ask::Session, reply);
        let online = self.act(http, bearer, Method::DELETE, "/sessions/{}", &[sid], session).await?;
        let offline =
            self.act(http, bearer, Method::DELETE, "/sessions/{}?isOffline=true", &[sid], session).await?;
        Ok(if online.verdict == Verdict::Done(Proof::Accepted) { online } else { offline })
    }

    async fn log_out_everywhere(&self, http: &Http, bearer: &Bearer, sub: &str) -> Result<Answer, Answer> {
        let user = |reply: &Reply<'_>| classify(Ask::User, reply);
        let consent = |reply: &Reply<'_>| classify(Ask::Consent, reply);
        let logged_out = self.act(http, bearer, Method::POST, "/users/{}/logout", &[sub], user).await?;
        for client in self.act(http, bearer, Method::GET, CONSENTS, &[sub], offline_clients).await? {
            let path = format!("{CONSENTS}/{{}}");
            self.act(http, bearer, Method::DELETE, &path, &[sub, &client], consent).await?;
        }
        Ok(logged_out)
    }

    /// One call of the admin API, and what `read` makes of its answer.
    async fn act<T>(
        &self,
        http: &Http,
        bearer: &Bearer,
        method: Method,
        path: &str,
        ids: &[&str],
        read: fn(&Reply<'_>) -> Result<T, Answer>,
    ) -> Result<T, Answer> {
        let address = Address::new(&self.admin, path, ids)?;
        read(&bearer.send(http, Call::to(method, &address).secrets(ids.iter().copied())).await?)
    }
}

impl Dialect for Keycloak {
    fn calls(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Token => 1,
            Kind::Session | Kind::Subject => 2,
            Kind::Client | Kind::Issuer => 0,
        }
    }

    fn addresses(&self) -> Vec<&Url> {
        self.tokens.configured().into_iter().collect()
    }

    fn tokens(&self) -> Option<&Rfc7009> {
        Some(&self.tokens)
    }

    fn end_session<'a>(&'a self, http: &'a Http, sid: &'a str) -> Attempt<'a> {
        let end = move |bearer: Arc<Bearer>| async move { self.delete_session(http, &bearer, sid).await };
        Some(Box::pin(self.bearers.lend(http, end)))
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, _: Option<&'a str>) -> Attempt<'a> {
        let end = move |bearer: Arc<Bearer>| async move { self.log_out_everywhere(http, &bearer, sub).await };
        Some(Box::pin(self.bearers.lend(http, end)))
    }

    fn try_admin<'a>(&'a self, http: &'a Http, nobody: &'a str) -> Attempt<'a> {
        self.end_session(http, nobody)
    }

    fn read_admin(&self, answer: Answer) -> Probed {
        const ADVICE: &str = "check base_url, realm, and that the client's service account has the role \
            manage-users of realm-management";
        probe::read(answer, ADVICE, true, probe::is_accepted)
    }

    fn has_admin_unasked(&self) -> bool {
        true
    }
}

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// The end of a session.
    Session,
    /// The logout of a user, or that user's consents.
    User,
    /// The end of one client's offline tokens.
    Consent,
}

/// What the admin API's answer means; an `Err` where no other call may follow. Only Keycloak's own word for
/// it makes a 404 a dead session: a proxy before the admin API answers 404, too.
fn classify(ask: Ask, reply: &Reply<'_>) -> Result<Answer, Answer> {
    Err(match (ask, reply.status) {
        // A body that says no is no yes, so that no call follows one that was not made.
        (_, 200..=299) => return reply.no_yes().map_or_else(|| Ok(reply.done(Proof::Accepted)), Err),
        // Keycloak writes it with three s.
        (Ask::Session, 404) if says(reply, "ssion not found") => return Ok(reply.done(Proof::AlreadyInvalid)),
        // That a client holds none any more is as good.
        (Ask::Consent, 404) if says(reply, "offline token not found") || says(reply, "Client not found") => {
            return Ok(reply.done(Proof::AlreadyInvalid));
        }
        (_, 401 | 403) => reply.doubted(),
        (_, 404) if says(reply, "User not found") => {
            reply.fails(Verdict::Refused, "no such user: sub must be the user's id in this realm")
        }
        _ => reply
            .status_answer()
            .unwrap_or_else(|| reply.fails(Verdict::Refused, "see Keycloak's log, then retry or cancel")),
    })
}

/// The clients, by `clientId`, that hold offline tokens of a user.
fn offline_clients(reply: &Reply<'_>) -> Result<Vec<String>, Answer> {
    classify(Ask::User, reply)?;
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

fn says(reply: &Reply<'_>, words: &str) -> bool {
    !reply.body.is_broken() && reply.oauth_error().is_some_and(|error| error.contains(words))
}

#[cfg(test)]
mod tests;
