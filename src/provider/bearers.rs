//! The bearers of a provider's administrative calls: where they come from, each kept until shortly before its
//! end, and got anew, once an attempt, where the provider refuses it.

use std::sync::{Arc, PoisonError, RwLock};

use url::Url;

use super::bearer::Bearer;
use super::caller::Caller;
use super::genauth::AccessKey;
use super::grant::Grant;
use super::http::Http;
use super::service_account::ServiceAccount;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{BearerConfig, Secret};
use crate::outcome::Answer;

/// Where bearers come from.
pub(super) enum Source {
    /// The settings.
    Fixed(Arc<Bearer>),
    /// The token endpoint, by client credentials.
    Grant(Grant),
    /// Google, for a JWT of a service account.
    ServiceAccount(Box<ServiceAccount>),
    /// The caller itself, which signs one for each attempt.
    Caller(Box<Caller>),
    /// GenAuth's management API, by access key.
    AccessKey(AccessKey),
}

impl Source {
    /// The source that the settings name.
    pub(super) fn new(setup: &Setup<'_>, config: &BearerConfig) -> Result<Self, ProviderSetupError> {
        match config {
            BearerConfig::Fixed(token) => Self::fixed(setup, "bearer_token", "Bearer", token),
            BearerConfig::Granted(config) => Ok(Self::Grant(Grant::new(setup, config)?)),
            BearerConfig::Signed(config) => Ok(Self::Caller(Box::new(Caller::new(setup, config)?))),
        }
    }

    /// A token that does not end.
    pub(super) fn fixed(
        setup: &Setup<'_>,
        setting: &str,
        scheme: &str,
        token: &Secret,
    ) -> Result<Self, ProviderSetupError> {
        let bearer = Bearer::new(scheme, token.expose().to_owned(), None);
        let bearer = bearer.ok_or_else(|| setup.refuse(setting, "cannot stand in an HTTP header"))?;
        Ok(Self::Fixed(Arc::new(bearer)))
    }
}

/// The bearer of one provider's administrative calls.
pub(super) struct Bearers {
    source: Source,
    kept: RwLock<Option<Arc<Bearer>>>,
}

impl Bearers {
    /// None is got before it is needed.
    pub(super) fn new(source: Source) -> Self {
        Self { source, kept: RwLock::new(None) }
    }

    /// Runs `attempt` with the bearer; once more with a new one where the provider refused one that had been
    /// kept.
    ///
    /// All of the attempt is repeated, so each of its calls must be one that may come twice.
    pub(super) async fn lend<F: Future<Output = Result<Answer, Answer>>>(
        &self,
        http: &Http,
        attempt: impl Fn(Arc<Bearer>) -> F,
    ) -> Answer {
        self.lend_for(http, attempt).await.unwrap_or_else(|failure| failure)
    }

    /// The same for an attempt that brings something else than an answer.
    pub(super) async fn lend_for<T, F: Future<Output = Result<T, Answer>>>(
        &self,
        http: &Http,
        attempt: impl Fn(Arc<Bearer>) -> F,
    ) -> Result<T, Answer> {
        let kept = self.kept();
        let first = self.or_new(http, kept.clone()).await?;
        let answer = attempt(Arc::clone(&first)).await;
        if kept.is_none() || !first.is_denied() {
            return answer;
        }
        attempt(self.or_new(http, self.kept()).await?).await
    }

    /// Where bearers are got, if that is elsewhere.
    pub(super) fn endpoint(&self) -> Option<&Url> {
        match &self.source {
            Source::Grant(grant) => Some(grant.endpoint()),
            Source::ServiceAccount(account) => Some(account.endpoint()),
            Source::Fixed(_) | Source::AccessKey(_) | Source::Caller(_) => None,
        }
    }

    fn kept(&self) -> Option<Arc<Bearer>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).clone();
        kept.filter(|bearer| bearer.is_good())
    }

    /// `kept`, else a new one. No lock is held meanwhile: attempts that come together each ask.
    async fn or_new(&self, http: &Http, kept: Option<Arc<Bearer>>) -> Result<Arc<Bearer>, Answer> {
        let bearer = match (kept, &self.source) {
            (Some(bearer), _) => return Ok(bearer),
            (None, Source::Fixed(bearer)) => return Ok(Arc::clone(bearer)),
            (None, Source::Grant(grant)) => grant.ask(http).await?,
            (None, Source::AccessKey(key)) => key.ask(http).await?,
            (None, Source::ServiceAccount(account)) => account.ask(http).await?,
            (None, Source::Caller(caller)) => caller.sign(http)?,
        };
        let bearer = Arc::new(bearer);
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&bearer));
        Ok(bearer)
    }
}
