//! An OAuth server: where its endpoints are, and how it is asked to revoke a token and what it thinks of one.

use std::borrow::Cow;

use url::Url;

use super::client_auth::Client;
use super::discovery::{Discovery, Endpoint};
use super::http::Http;
use super::introspect::{self, Look};
use super::reply::Reply;
use crate::config::Verify;
use crate::outcome::{Answer, Verdict};
use crate::target::{PresentedToken, TokenTypeHint};

/// An OAuth server.
pub(super) struct Rfc7009 {
    pub(super) client: Client,
    pub(super) revocation: Option<Url>,
    pub(super) introspection: Option<Url>,
    pub(super) discovery: Option<Discovery>,
    /// Whether a revocation says what type of token it is about.
    pub(super) sends_hints: bool,
    pub(super) classify: fn(&Reply<'_>) -> Answer,
}

impl Rfc7009 {
    /// One revocation request. Metadata that led to a failure a person has to mend is read again next time:
    /// the endpoint may have moved.
    pub(super) async fn revoke(&self, http: &Http, token: &PresentedToken) -> Answer {
        let url = match self.endpoint(http, Endpoint::Revocation).await {
            Ok(url) => url,
            Err(answer) => return self.reconsidered(answer),
        };
        let hint = token.hint.filter(|_| self.sends_hints);
        self.reconsidered(self.ask(http, &url, token, hint).await.unwrap_or_else(|failure| failure))
    }

    async fn ask(
        &self,
        http: &Http,
        url: &Url,
        token: &PresentedToken,
        hint: Option<TokenTypeHint>,
    ) -> Result<Answer, Answer> {
        let shown = self.client.show(http, url)?;
        Ok((self.classify)(&http.send(self.client.call(url, token, hint, &shown)).await?))
    }

    /// See [`introspect::look`]. Metadata that names no endpoint to look at proves nothing; one that lies
    /// where it may not needs a person.
    pub(super) async fn look(&self, http: &Http, token: &PresentedToken) -> Look {
        match self.endpoint(http, Endpoint::Introspection).await {
            Ok(url) => introspect::look(http, &self.client, &url, token).await,
            Err(failure) if failure.verdict != Verdict::Misconfigured => Look::Failed(failure),
            Err(failure) => {
                let is_refused = self
                    .discovery
                    .as_ref()
                    .is_some_and(|discovery| discovery.refuses(Endpoint::Introspection));
                let failure = self.reconsidered(failure);
                if is_refused { Look::Denied(failure) } else { Look::Nothing }
            }
        }
    }

    /// Shows the client with a token that nobody holds; `verify`: at the introspection endpoint too.
    ///
    /// Metadata that led to a refusal is read again next time, as in [`Self::revoke`]: here no target can
    /// have been the reason.
    pub(super) async fn try_client(&self, http: &Http, verify: Verify, unknown: &PresentedToken) -> Answer {
        let answer = self.revoke(http, unknown).await;
        if let (Verdict::Doubted, Some(discovery)) = (answer.verdict, &self.discovery) {
            discovery.forget();
        }
        introspect::try_client(answer, verify, self.look(http, unknown)).await
    }

    /// Whether there is an introspection endpoint, or metadata that may name one.
    pub(super) fn can_introspect(&self) -> bool {
        self.introspection.is_some() || self.discovery.is_some()
    }

    /// What the metadata says of the endpoints that are needed of it.
    pub(super) async fn metadata(&self, http: &Http, verify: Verify) -> Option<Result<String, Answer>> {
        let discovery = self.discovery.as_ref()?;
        let needs_introspection = verify == Verify::Introspect && self.introspection.is_none();
        let revocation = match &self.revocation {
            None => Some(discovery.describe(http, Endpoint::Revocation).await),
            Some(_) => None,
        };
        match revocation {
            Some(Ok(_)) | None if needs_introspection => {
                Some(discovery.describe(http, Endpoint::Introspection).await)
            }
            other => other,
        }
    }

    /// The configured revocation endpoint, if there is one.
    pub(super) fn configured(&self) -> Option<&Url> {
        self.revocation.as_ref()
    }

    async fn endpoint(&self, http: &Http, endpoint: Endpoint) -> Result<Cow<'_, Url>, Answer> {
        let given = match endpoint {
            Endpoint::Revocation => &self.revocation,
            Endpoint::Introspection => &self.introspection,
            Endpoint::GlobalTokenRevocation | Endpoint::Keys => &None,
        };
        match (given, &self.discovery) {
            (Some(url), _) => Ok(Cow::Borrowed(url)),
            (None, Some(discovery)) => discovery.endpoint(http, endpoint).await.map(Cow::Owned),
            (None, None) => Err(unconfigured(endpoint)),
        }
    }

    fn reconsidered(&self, answer: Answer) -> Answer {
        if let (Verdict::Misconfigured, Some(discovery)) = (answer.verdict, &self.discovery) {
            discovery.forget();
        }
        answer
    }
}

fn unconfigured(endpoint: Endpoint) -> Answer {
    let error = Some(format!("{} is neither set nor discovered", endpoint.as_str()));
    Answer { verdict: Verdict::Misconfigured, http_status: None, error, retry_after: None }
}
