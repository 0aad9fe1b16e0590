//! An authorization server to revoke tokens at: npm's `oidc-provider`, Authlib's, or a built-in one that
//! pretends where Node is missing.

use std::{path::Path, time::Duration};

use rand::distributions::{Alphanumeric, DistString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::{
    SandboxError,
    authlib::Authlib,
    node::{Node, TlsFiles},
    pretend::Pretend,
    token::Token,
};

const CLIENT_ID: &str = "shop";
/// Another client of the real servers, with the same secret.
const OTHER_CLIENT_ID: &str = "other";

/// Grant of both servers that issues tokens for any subject.
pub(super) const DIRECT: &str = "urn:test:direct";

/// Longest that the server may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A private authorization server; the real ones have a second client. Dropping it ends it.
pub struct OidcProvider {
    server: Server,
    issuer: String,
    secret: String,
    http: reqwest::Client,
}

enum Server {
    Node(Node),
    Authlib { _server: Authlib },
    Pretend { _server: Pretend },
}

/// What a user's login brings.
pub struct Tokens {
    /// Opaque, or a JWT where that was asked for.
    pub access: Token,
    /// Opaque.
    pub refresh: Token,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    refresh_token: String,
}

#[derive(Deserialize)]
struct IntrospectionAnswer {
    active: bool,
}

impl OidcProvider {
    /// Starts `oidc-provider`, which the first start on a machine installs with npm; blocks until it answers.
    pub fn start() -> Result<Self, SandboxError> {
        Self::start_with(&[], None, None)
    }

    /// The same, and the client is told of logouts at `logout_uri` (OpenID Connect Back-Channel Logout 1.0).
    pub fn start_telling(logout_uri: &str) -> Result<Self, SandboxError> {
        Self::start_with(&[], Some(logout_uri), None)
    }

    /// The same with clients of other kinds, as the server's own configuration writes them, and a listener
    /// that asks for certificates.
    pub fn start_with(
        more: &[Value],
        logout_uri: Option<&str>,
        tls: Option<&TlsFiles>,
    ) -> Result<Self, SandboxError> {
        let secret = secret();
        let node = Node::start(&clients(&secret, more, logout_uri), tls)?;
        Self::new(node.issuer(), secret, Server::Node(node))
    }

    /// The origin of the listener that asks for certificates.
    pub fn tls_origin(&self) -> Option<String> {
        match &self.server {
            Server::Node(node) => node.tls_origin(),
            Server::Authlib { .. } | Server::Pretend { .. } => None,
        }
    }

    /// Starts Authlib's server, which Debian's packages bring; blocks until it answers.
    pub fn authlib() -> Result<Self, SandboxError> {
        let secret = secret();
        let server = Authlib::start(&clients(&secret, &[], None))?;
        Self::new(server.issuer(), secret, Server::Authlib { _server: server })
    }

    /// Starts the built-in stand-in on the current runtime.
    pub async fn pretend() -> Result<Self, SandboxError> {
        let secret = secret();
        let pretend = Pretend::start(CLIENT_ID, &secret).await?;
        Self::new(pretend.issuer().to_owned(), secret, Server::Pretend { _server: pretend })
    }

    fn new(issuer: String, secret: String, server: Server) -> Result<Self, SandboxError> {
        // No idle connections: one belongs to the runtime that opened it, and tests that share this server
        // have one each.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(TIMEOUT).build();
        let http = http.map_err(|error| failed("the set-up of an HTTP client", &error))?;
        Ok(Self { server, issuer, secret, http })
    }

    /// `http://127.0.0.1:<port>/oidc`, from which all endpoints can be discovered.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// RFC 7009 endpoint.
    pub fn revocation_endpoint(&self) -> String {
        format!("{}/token/revocation", self.issuer)
    }

    /// RFC 7662 endpoint.
    pub fn introspection_endpoint(&self) -> String {
        format!("{}/token/introspection", self.issuer)
    }

    /// The client's id.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// The client's secret, random. It holds characters that HTTP Basic and forms must encode.
    pub fn client_secret(&self) -> &str {
        &self.secret
    }

    /// The real server's output: a JSON line an event, tokens as their SHA-256. The stand-in has none.
    pub fn log(&self) -> Option<&Path> {
        match &self.server {
            Server::Node(node) => Some(node.log()),
            Server::Authlib { .. } | Server::Pretend { .. } => None,
        }
    }

    /// Whether it is the real one.
    pub fn is_real(&self) -> bool {
        !matches!(self.server, Server::Pretend { .. })
    }

    /// Logs a user in: an opaque access token and a refresh token.
    pub async fn issue(&self, sub: &str) -> Result<Tokens, SandboxError> {
        self.grant(CLIENT_ID, &[("sub", sub)]).await
    }

    /// The same at the other client of a real server.
    pub async fn issue_to_other(&self, sub: &str) -> Result<Tokens, SandboxError> {
        self.grant(OTHER_CLIENT_ID, &[("sub", sub)]).await
    }

    /// The same for a client that another one asks for. Only the real one has it.
    pub async fn issue_for(&self, owner: &str, sub: &str) -> Result<Tokens, SandboxError> {
        self.grant(CLIENT_ID, &[("sub", sub), ("owner", owner)]).await
    }

    /// The same with a JWT as access token, which this server can neither revoke nor introspect. Only the
    /// real one has it.
    pub async fn issue_jwt(&self, sub: &str) -> Result<Tokens, SandboxError> {
        self.grant(CLIENT_ID, &[("sub", sub), ("format", "jwt")]).await
    }

    /// Ends a user's sessions: a real server tells its client so by a logout token. Returns whether the
    /// client took it.
    pub async fn end(&self, sub: &str) -> Result<bool, SandboxError> {
        let sub: String = byte_serialize(sub.as_bytes()).collect();
        let url = format!("{}/end?client_id={CLIENT_ID}&sub={sub}", self.issuer);
        let sent = self.http.post(&url).send().await;
        let answer = sent.map_err(|error| failed(&format!("POST {url}"), &error))?;
        Ok(answer.status().is_success())
    }

    /// Whether a token is active (RFC 7662, section 2.2).
    pub async fn introspect(&self, token: &Token) -> Result<bool, SandboxError> {
        let answer: IntrospectionAnswer =
            self.post("/token/introspection", CLIENT_ID, &[("token", token.expose())]).await?;
        Ok(answer.active)
    }

    /// Whether a token is active for the other client of a real server.
    pub async fn introspect_as_other(&self, token: &Token) -> Result<bool, SandboxError> {
        let answer: IntrospectionAnswer =
            self.post("/token/introspection", OTHER_CLIENT_ID, &[("token", token.expose())]).await?;
        Ok(answer.active)
    }

    async fn grant(&self, client_id: &str, parameters: &[(&str, &str)]) -> Result<Tokens, SandboxError> {
        let answer: TokenAnswer =
            self.post("/token", client_id, &[&[("grant_type", DIRECT)], parameters].concat()).await?;
        Ok(Tokens { access: Token::new(answer.access_token), refresh: Token::new(answer.refresh_token) })
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        client_id: &str,
        form: &[(&str, &str)],
    ) -> Result<T, SandboxError> {
        let url = format!("{}{path}", self.issuer);
        let form = [form, &[("client_id", client_id), ("client_secret", &self.secret)]].concat();
        let answer =
            async { self.http.post(&url).form(&form).send().await?.error_for_status()?.json().await };
        answer.await.map_err(|error| failed(&format!("POST {url}"), &error))
    }
}

/// The clients that a real server starts with.
fn clients(secret: &str, more: &[Value], logout_uri: Option<&str>) -> String {
    let mut own = [CLIENT_ID, OTHER_CLIENT_ID].map(|id| json!({ "client_id": id, "client_secret": secret }));
    if let Some(uri) = logout_uri {
        own[0]["backchannel_logout_uri"] = uri.into();
    }
    Value::from([&own, more].concat()).to_string()
}

fn secret() -> String {
    format!("{}%:+/=", Alphanumeric.sample_string(&mut rand::thread_rng(), 32))
}

fn failed(what: &str, error: &reqwest::Error) -> SandboxError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    SandboxError::Failed { program: what.to_owned(), detail: format!("{error}{cause}") }
}
