//! `kind = "hydra"`: Ory Hydra's tokens by RFC 7009 at the public port, whole subjects at the administrative
//! port, which knows no authentication.
//!
//! A subject's consent sessions are revoked first, which kills its tokens, then its login sessions, so that
//! no browser gets new ones without a login. Hydra says 204 to a subject that it has never seen, too.
//! Sessions are unsupported: ending one by `sid` kills no tokens.

use reqwest::Method;
use url::Url;

use super::call::Call;
use super::client_auth::Client;
use super::dialect::{Attempt, Dialect};
use super::http::Http;
use super::oauth::Rfc7009;
use super::probe::{self, Probed};
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BasicEncoding, HydraConfig};
use crate::outcome::{Answer, Proof, Verdict};
use crate::target::Kind;

/// A Hydra.
pub(super) struct Hydra {
    tokens: Rfc7009,
    admin: Option<Admin>,
}

/// Its administrative port.
struct Admin {
    consent: Url,
    login: Url,
}

impl Hydra {
    /// The Hydra of `config`. Introspection is at the administrative port.
    pub(super) fn new(setup: &Setup<'_>, config: &HydraConfig) -> Result<Self, ProviderSetupError> {
        let admin = config.admin_url.as_deref();
        let at_admin = |path: &str| admin.map(|base| setup.url_under("admin_url", base, path)).transpose();
        let client = Client::new(setup, &config.client, BasicEncoding::Rfc6749)?;
        let revocation = setup.url_under("base_url", &config.base_url, "/oauth2/revoke")?;
        let sessions = (
            at_admin("/admin/oauth2/auth/sessions/consent")?,
            at_admin("/admin/oauth2/auth/sessions/login")?,
        );
        Ok(Self {
            tokens: Rfc7009::at(client, revocation, at_admin("/admin/oauth2/introspect")?),
            admin: sessions.0.zip(sessions.1).map(|(consent, login)| Admin { consent, login }),
        })
    }
}

impl Dialect for Hydra {
    fn calls(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Token => 1,
            Kind::Subject if self.admin.is_some() => 2,
            _ => 0,
        }
    }

    fn addresses(&self) -> Vec<&Url> {
        let admin = self.admin.as_ref().map(|admin| &admin.consent);
        self.tokens.configured().into_iter().chain(admin).collect()
    }

    fn tokens(&self) -> Option<&Rfc7009> {
        Some(&self.tokens)
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, _: Option<&'a str>) -> Attempt<'a> {
        Some(Box::pin(self.admin.as_ref()?.log_out(http, sub)))
    }

    fn read_admin(&self, answer: Answer) -> Probed {
        probe::read(answer, "check admin_url", true, probe::is_accepted)
    }
}

impl Admin {
    /// Revokes the consent sessions, with their tokens, and the login sessions of `sub`.
    async fn log_out(&self, http: &Http, sub: &str) -> Answer {
        let consent = self.delete(http, &self.consent, &[("subject", sub), ("all", "true")]).await;
        if consent.verdict != Verdict::Done(Proof::Accepted) {
            return consent;
        }
        self.delete(http, &self.login, &[("subject", sub)]).await
    }

    async fn delete(&self, http: &Http, url: &Url, query: &[(&str, &str)]) -> Answer {
        let mut url = url.clone();
        url.query_pairs_mut().extend_pairs(query);
        let call = Call::new(Method::DELETE, &url)
            .secrets(query.iter().filter(|(name, _)| *name == "subject").map(|(_, sub)| *sub));
        http.send(call).await.map_or_else(|failure| failure, |reply| classify(&reply))
    }
}

/// What the administrative port's answer means.
fn classify(reply: &Reply<'_>) -> Answer {
    match reply.status {
        200..=299 => reply.accepted(),
        401 | 403 => reply.doubted(),
        _ => reply
            .status_answer()
            .unwrap_or_else(|| reply.fails(Verdict::Refused, "see Hydra's log, then retry or cancel")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            (204, "", Verdict::Done(Proof::Accepted)),
            (200, "<html>login</html>", Verdict::Transient),
            (200, r#"{"error":"x"}"#, Verdict::Transient),
            (200, r#"{"status":"error"}"#, Verdict::Transient),
            (400, r#"{"error":"invalid_request"}"#, Verdict::Refused),
            (401, "", Verdict::Doubted),
            (403, "", Verdict::Doubted),
            (404, "", Verdict::Doubted),
            (307, "", Verdict::Misconfigured),
            (429, "", Verdict::Transient),
            (500, r#"{"error":"error"}"#, Verdict::Transient),
            (503, "", Verdict::Transient),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).verdict, verdict, "{status} {body}");
        }
    }
}
