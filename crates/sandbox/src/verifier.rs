//! A small service that verifies tokens locally, as services behind the worker do: it knows the digests of
//! the tokens that were issued to its users, and embeds the denylist. `GET /orders` answers 200 or 401.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use revocation_verifier::{Denylist, Options, StalenessPolicy, TokenView};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{POLL, SandboxError, token::Token};

/// How long the denylist may take to read the stream and to hear of the worker.
const LONGEST_START: Duration = Duration::from_secs(30);

/// The running service; it ends when dropped.
pub struct Service {
    url: String,
    verifier: Arc<Verifier>,
    server: JoinHandle<()>,
}

struct Verifier {
    denylist: Denylist,
    /// Lower-case hex digests.
    issued: Mutex<HashSet<String>>,
}

impl Service {
    /// Reads the invalidations, whose stream a worker must have declared, until it is up to date, and serves
    /// on a free loopback port.
    pub async fn start(amqp_url: &str) -> Result<Self, SandboxError> {
        let denylist = Denylist::connect(Options::new(amqp_url, "demo-service", StalenessPolicy::FailClosed));
        let denylist = denylist.map_err(|error| failed(&error))?;
        up_to_date(&denylist).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(SandboxError::io("listen on a loopback port"))?;
        let address = listener.local_addr().map_err(SandboxError::io("read the service's address"))?;
        let verifier = Arc::new(Verifier { denylist, issued: Mutex::default() });
        let router = Router::new().route("/orders", get(orders)).with_state(verifier.clone());
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url: format!("http://{address}/orders"), verifier, server })
    }

    /// The protected resource.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes an issued token known, as a signature would make a JWT.
    pub fn admit(&self, token: &Token) {
        self.verifier.issued().insert(token.fingerprint());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Verifier {
    fn issued(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accepts(&self, token: &str) -> bool {
        let digest = Token::new(token.to_owned()).fingerprint();
        self.issued().contains(&digest) && self.denylist.check(&TokenView::bearer(token)).is_accepted()
    }
}

/// The stream read to its end, and a worker heard of since: until then `fail_closed` refuses every token.
async fn up_to_date(denylist: &Denylist) -> Result<(), SandboxError> {
    let deadline = Instant::now() + LONGEST_START;
    drop(tokio::time::timeout(LONGEST_START, denylist.ready()).await);
    while let Some(why) = denylist.staleness() {
        if Instant::now() >= deadline {
            return Err(failed(&format_args!(
                "it was not up to date within {} s: {}",
                LONGEST_START.as_secs(),
                why.as_str()
            )));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn orders(State(verifier): State<Arc<Verifier>>, headers: HeaderMap) -> (StatusCode, &'static str) {
    let presented =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match presented {
        Some(token) if verifier.accepts(token) => (StatusCode::OK, "your orders\n"),
        _ => (StatusCode::UNAUTHORIZED, "log in first\n"),
    }
}

fn failed(error: &dyn std::fmt::Display) -> SandboxError {
    SandboxError::Failed { program: "the service's denylist".into(), detail: error.to_string() }
}
