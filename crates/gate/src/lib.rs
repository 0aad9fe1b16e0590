//! The gate: the denylist behind a reverse proxy, for services in any language. The proxy asks `/check` about
//! each request and lets those through that it answers with 204, or 200 below `/check/`.
//!
//! | question | file |
//! |---|---|
//! | what can be set, what is refused | `settings.rs` |
//! | what counts as a bearer token | `credentials.rs` |
//! | what the proxy is told | `answer.rs` |
//! | which paths there are | `http.rs` |
//! | what a connection may cost | `crates/http-server` |
//! | options and exit codes of the program | `command.rs` |

mod answer;
mod command;
mod credentials;
mod http;
mod log;
mod settings;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use revocation_verifier::{Denylist, OptionsError, StalenessPolicy};
use tokio::net::TcpListener;

use answer::Realm;

pub use command::main;
pub use settings::{SettingError, Settings};

/// How often the log looks whether the denylist became stale, or fresh.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the endpoints look at.
struct Gate {
    denylist: Denylist,
    realm: Option<Realm>,
    registry: Registry,
}

/// Why the gate did not start.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The denylist refused its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The address cannot be listened on.
    #[error("GATE_LISTEN: cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// Serves until `stop` is ready, then lets the requests in hand end.
///
/// # Errors
/// The gate cannot listen.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), GateError> {
    let Settings { options, service, listen, realm, .. } = settings;
    let failed = |source| GateError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let denylist = Denylist::connect(options)?;
    let policy = denylist.staleness_policy().as_str();
    tracing::info!(service, policy, listen = %address, version = env!("CARGO_PKG_VERSION"), "the gate is \
        open");
    if !address.ip().is_loopback() {
        tracing::warn!(listen = %address, "GATE_LISTEN is not a loopback address: whoever reaches it can ask \
            whether a token is revoked");
    }
    let mut registry = Registry::default();
    denylist.register_metrics(&mut registry);
    revocation_http_server::register_process(&mut registry);
    let gate = Arc::new(Gate { denylist: denylist.clone(), realm, registry });
    tokio::select! {
        () = http::serve(listener, gate, stop) => {}
        () = watch(&denylist) => {}
    }
    denylist.sign_off().await;
    tracing::info!("the gate is closed");
    Ok(())
}

/// Logs each change between fresh and stale. Never ends.
async fn watch(denylist: &Denylist) {
    let mut ticker = tokio::time::interval(LOOK_EVERY);
    let mut known = denylist.staleness();
    loop {
        ticker.tick().await;
        let now = denylist.staleness();
        match now {
            _ if now == known => {}
            Some(reason) => {
                tracing::warn!(reason = reason.as_str(), "{}", consequence(denylist.staleness_policy()))
            }
            None => tracing::info!("the denylist is up to date"),
        }
        known = now;
    }
}

fn consequence(policy: StalenessPolicy) -> &'static str {
    match policy {
        StalenessPolicy::FailOpen => {
            "the denylist is stale: tokens that it does not know to be revoked are accepted all the same"
        }
        StalenessPolicy::FailClosed => "the denylist is stale: every token is refused",
    }
}
