//! A service on axum that refuses revoked tokens: signature first, then the denylist.
//!
//! Settings: `AMQP_URL`, `JWT_KEY_FILE` (the issuer's RSA public key in PEM), `JWT_ISSUER`, `JWT_AUDIENCE`;
//! it listens on 127.0.0.1:8000.

use std::error::Error;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use revocation_verifier::{Claims, Denylist, Options, StalenessPolicy, TokenView};

struct Verifier {
    key: DecodingKey,
    rules: Validation,
    denylist: Denylist,
}

impl Verifier {
    fn from_environment() -> Result<Self, Box<dyn Error>> {
        let setting = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_issuer(&[setting("JWT_ISSUER")?]);
        rules.set_audience(&[setting("JWT_AUDIENCE")?]);
        let key = DecodingKey::from_rsa_pem(&std::fs::read(setting("JWT_KEY_FILE")?)?)?;
        // Nobody gets in while revocations cannot be read. docs/verifiers.md helps to choose.
        let denylist =
            Denylist::connect(Options::new(setting("AMQP_URL")?, "shop-api", StalenessPolicy::FailClosed))?;
        Ok(Self { key, rules, denylist })
    }

    /// The claims of a token that is genuine, meant for this service, in force and not revoked.
    fn accept(&self, token: &str) -> Option<Claims> {
        let claims: Claims = jsonwebtoken::decode(token, &self.key, &self.rules).ok()?.claims;
        self.denylist.check(&TokenView::with_claims(token, &claims)).is_accepted().then_some(claims)
    }
}

async fn authenticate(State(verifier): State<Arc<Verifier>>, mut request: Request, next: Next) -> Response {
    let Some(token) = bearer(request.headers()) else { return unauthorized("Bearer") };
    let Some(claims) = verifier.accept(token) else { return unauthorized("Bearer error=\"invalid_token\"") };
    request.extensions_mut().insert(claims);
    next.run(request).await
}

/// What follows `Bearer `, which may be written in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim_start())
}

fn unauthorized(challenge: &'static str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
}

async fn hello(Extension(claims): Extension<Claims>) -> String {
    format!("hello {}\n", claims.sub.as_deref().unwrap_or("whoever you are"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let verifier = Arc::new(Verifier::from_environment()?);
    verifier.denylist.ready().await;
    let service =
        Router::new().route("/", get(hello)).layer(middleware::from_fn_with_state(verifier, authenticate));
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8000").await?, service).await?)
}
