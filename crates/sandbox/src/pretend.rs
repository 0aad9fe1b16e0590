//! A built-in stand-in for an authorization server, where there is no Node for the real one: tokens,
//! introspection (RFC 7662), revocation (RFC 7009) and discovery, in memory. As at the real one, a refresh
//! token takes the access tokens of its login with it.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::distributions::{Alphanumeric, DistString};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use url::form_urlencoded;

use super::{SandboxError, oidc::DIRECT, token::Token};

type Form = HashMap<String, String>;
type Answer = (StatusCode, [(header::HeaderName, &'static str); 1], String);

/// The running stand-in; it ends when dropped.
pub(super) struct Pretend {
    issuer: String,
    task: JoinHandle<()>,
}

struct Logins {
    issuer: String,
    client: (String, String),
    /// The login that a living token came from, by the token's digest.
    living: Mutex<HashMap<String, u64>>,
}

impl Pretend {
    pub(super) async fn start(client_id: &str, secret: &str) -> Result<Self, SandboxError> {
        let listening = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let issuer = format!("http://{}/oidc", listener.local_addr()?);
            Ok((listener, issuer))
        };
        let (listener, issuer) = listening.await.map_err(SandboxError::io("listen on a loopback port"))?;
        let client = (client_id.to_owned(), secret.to_owned());
        let logins = Logins { issuer: issuer.clone(), client, living: Mutex::default() };
        let router = Router::new()
            .route("/oidc/.well-known/openid-configuration", get(discovery))
            .route("/oidc/token", post(token))
            .route("/oidc/token/introspection", post(introspection))
            .route("/oidc/token/revocation", post(revocation))
            .with_state(Arc::new(logins));
        let task = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { issuer, task })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Drop for Pretend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn discovery(State(logins): State<Arc<Logins>>) -> Answer {
    let issuer = &logins.issuer;
    let document = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "introspection_endpoint": format!("{issuer}/token/introspection"),
        "revocation_endpoint": format!("{issuer}/token/revocation"),
    });
    answer(StatusCode::OK, &document)
}

async fn token(State(logins): State<Arc<Logins>>, headers: HeaderMap, body: String) -> Answer {
    let form = match logins.admit(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    if form.get("grant_type").is_none_or(|grant| grant != DIRECT) || form.contains_key("format") {
        return error(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let [access, refresh] = logins.log_in();
    answer(
        StatusCode::OK,
        &json!({
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": 3600,
        }),
    )
}

async fn introspection(State(logins): State<Arc<Logins>>, headers: HeaderMap, body: String) -> Answer {
    match logins.admit(&headers, &body).and_then(presented) {
        Ok(token) => answer(StatusCode::OK, &json!({ "active": logins.living().contains_key(&token) })),
        Err(refusal) => refusal,
    }
}

async fn revocation(State(logins): State<Arc<Logins>>, headers: HeaderMap, body: String) -> Answer {
    match logins.admit(&headers, &body).and_then(presented) {
        Ok(token) => {
            logins.log_out(&token);
            (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain")], String::new())
        }
        Err(refusal) => refusal,
    }
}

impl Logins {
    /// The form, if it comes from the client: by HTTP Basic (RFC 6749, section 2.3.1) or in the form.
    fn admit(&self, headers: &HeaderMap, body: &str) -> Result<Form, Answer> {
        let form: Form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let posted = || Some((form.get("client_id")?.clone(), form.get("client_secret")?.clone()));
        match basic(headers).or_else(posted) {
            Some(client) if client == self.client => Ok(form),
            _ => Err(error(StatusCode::UNAUTHORIZED, "invalid_client")),
        }
    }

    fn log_in(&self) -> [String; 2] {
        let login = rand::random();
        [(); 2].map(|()| {
            let raw = Alphanumeric.sample_string(&mut rand::thread_rng(), 43);
            self.living().insert(Token::new(raw.clone()).fingerprint(), login);
            raw
        })
    }

    fn log_out(&self, token: &str) {
        let mut living = self.living();
        if let Some(ended) = living.remove(token) {
            living.retain(|_, login| *login != ended);
        }
    }

    fn living(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decode =
        |text: &str| Some(form_urlencoded::parse(format!("x={text}").as_bytes()).next()?.1.into_owned());
    Some((decode(id)?, decode(secret)?))
}

fn presented(mut form: Form) -> Result<String, Answer> {
    let token = form.remove("token").ok_or_else(|| error(StatusCode::BAD_REQUEST, "invalid_request"))?;
    Ok(Token::new(token).fingerprint())
}

fn error(status: StatusCode, code: &str) -> Answer {
    answer(status, &json!({ "error": code }))
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string())
}
