//! A tower layer that refuses revoked tokens, for any stack on tower (hyper, axum, tonic), and a service
//! under it.
//!
//! Settings: `AMQP_URL`, `JWT_KEY_FILE` (the issuer's RSA public key in PEM), `JWT_ISSUER`, `JWT_AUDIENCE`;
//! it listens on 127.0.0.1:8000.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Either, Ready, ready};
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use revocation_verifier::{Claims, Denylist, Options, StalenessPolicy, TokenView};
use tower::make::Shared;
use tower::{Layer, Service, service_fn};

struct Verifier {
    key: DecodingKey,
    rules: Validation,
    denylist: Denylist,
}

impl Verifier {
    /// The claims of a request's token, or the challenge that answers it.
    fn accept(&self, headers: &HeaderMap) -> Result<Claims, &'static str> {
        let header = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '));
        let (_, token) =
            header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer")).ok_or("Bearer")?;
        // Once, for both: what is verified must be what is looked up.
        let token = token.trim_start();
        let invalid = "Bearer error=\"invalid_token\"";
        let claims: Claims = jsonwebtoken::decode(token, &self.key, &self.rules).map_err(|_| invalid)?.claims;
        if self.denylist.check(&TokenView::with_claims(token, &claims)).is_accepted() {
            Ok(claims)
        } else {
            Err(invalid)
        }
    }
}

#[derive(Clone)]
struct Authenticate(Arc<Verifier>);

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { verifier: self.0.clone(), inner }
    }
}

#[derive(Clone)]
struct Authenticated<S> {
    verifier: Arc<Verifier>,
    inner: S,
}

impl<S: Service<Request<A>, Response = Response<B>>, A, B: Default> Service<Request<A>> for Authenticated<S> {
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<B>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        match self.verifier.accept(request.headers()) {
            Ok(claims) => {
                request.extensions_mut().insert(claims);
                Either::Left(self.inner.call(request))
            }
            Err(challenge) => {
                let mut response = Response::new(B::default());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                Either::Right(ready(Ok(response)))
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_issuer(&[setting("JWT_ISSUER")?]);
    rules.set_audience(&[setting("JWT_AUDIENCE")?]);
    let key = DecodingKey::from_rsa_pem(&std::fs::read(setting("JWT_KEY_FILE")?)?)?;
    // A token revoked while the feed is down is let in until it expires. docs/verifiers.md helps to choose.
    let denylist =
        Denylist::connect(Options::new(setting("AMQP_URL")?, "shop-api", StalenessPolicy::FailOpen))?;
    // Nor does a broker that is away keep the service from starting.
    drop(tokio::time::timeout(Duration::from_secs(10), denylist.ready()).await);
    let hello = service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(axum::body::Body::from("hello\n")))
    });
    let service = Authenticate(Arc::new(Verifier { key, rules, denylist })).layer(hello);
    Ok(axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8000").await?, Shared::new(service)).await?)
}
