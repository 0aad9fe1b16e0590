//! An OAuth server that remembers what was revoked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::{Reply, Request, ScriptedIdp};

/// The tokens that a provider has revoked; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    revoked: Arc<Mutex<HashSet<String>>>,
}

impl Memory {
    /// Whether `token` has been revoked.
    pub(crate) fn is_revoked(&self, token: &str) -> bool {
        self.revoked.lock().expect("no panic holds it").contains(token)
    }

    /// A server that answers so.
    pub(crate) async fn serve(&self) -> ScriptedIdp {
        let memory = self.clone();
        ScriptedIdp::start(move |request| memory.answer(request)).await
    }

    /// Answers `POST /revoke` (RFC 7009) and `POST /introspect` (RFC 7662); anything else is 404.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let Some(token) = request.field("token") else {
            return Reply::json(400, r#"{"error":"invalid_request"}"#);
        };
        match request.path.as_str() {
            "/revoke" => {
                self.revoked.lock().expect("no panic holds it").insert(token);
                Reply::status(200)
            }
            "/introspect" => Reply::json(200, format!(r#"{{"active":{}}}"#, !self.is_revoked(&token))),
            _ => Reply::status(404),
        }
    }
}
