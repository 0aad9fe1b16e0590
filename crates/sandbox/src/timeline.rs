//! One user's logout, watched from outside: when the service refuses the token, the provider calls it
//! inactive, the audit says so.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{PgPool, Row};

use super::{OidcProvider, SandboxError, Service, application::Application, oidc::Tokens, token::Token};

/// Longest that a step is waited for.
const LONGEST_STEP: Duration = Duration::from_secs(30);

/// Pause between two looks, and so the resolution of the times.
const POLL: Duration = Duration::from_millis(2);

const SOURCE: &str = "/sandbox/shop";

/// A user who is logged in.
pub struct Login {
    /// Who.
    pub sub: String,
    /// What the provider issued.
    pub tokens: Tokens,
}

/// How long after its publication a logout had each effect; `None`: not within half a minute.
pub struct Timeline {
    /// The service answered 401.
    pub refused: Option<Duration>,
    /// Introspection called both tokens inactive.
    pub inactive: Option<Duration>,
    /// Both targets were revoked and confirmed in `audit.revocations`.
    pub recorded: Option<Duration>,
    /// Calls to the provider for both tokens together.
    pub attempts: i64,
}

/// The outside world of one sandbox: application, user agent, and auditor.
pub struct Observer<'a> {
    oidc: &'a OidcProvider,
    service: &'a Service,
    http: reqwest::Client,
    application: Application,
    audit: PgPool,
}

impl<'a> Observer<'a> {
    /// Connects to the broker and to the database; returns when the worker is on record there.
    pub async fn new(
        amqp_url: &str,
        database_url: &str,
        oidc: &'a OidcProvider,
        service: &'a Service,
    ) -> Result<Self, SandboxError> {
        let application = Application::connect(amqp_url).await?;
        let audit = PgPool::connect(database_url)
            .await
            .map_err(|error| failed("the auditor's connection", &error))?;
        let http = reqwest::Client::builder().no_proxy().timeout(LONGEST_STEP).build();
        let http = http.map_err(|error| failed("the set-up of an HTTP client", &error))?;
        // Ready to deny comes before ready to record: the worker brings up the schema while it already
        // consumes.
        let is_registered = async || {
            Ok(sqlx::query("SELECT FROM audit.workers")
                .fetch_optional(&audit)
                .await
                .is_ok_and(|row| row.is_some()))
        };
        when(Instant::now(), is_registered)
            .await?
            .ok_or_else(|| failed("a look at audit.workers", &"the worker did not register"))?;
        Ok(Self { oidc, service, http, application, audit })
    }

    /// Logs a user in.
    pub async fn log_in(&self, sub: &str) -> Result<Login, SandboxError> {
        let tokens = self.oidc.issue(sub).await?;
        self.service.admit(&tokens.access);
        Ok(Login { sub: sub.to_owned(), tokens })
    }

    /// Whether the service accepts the user's access token.
    pub async fn is_accepted(&self, login: &Login) -> Result<bool, SandboxError> {
        let answer = self.http.get(self.service.url()).bearer_auth(login.tokens.access.expose()).send().await;
        let answer = answer.map_err(|error| failed("GET /orders", &error))?;
        Ok(answer.status().is_success())
    }

    /// How many of the user's two tokens the provider calls active.
    pub async fn active(&self, login: &Login) -> Result<usize, SandboxError> {
        let Tokens { access, refresh } = &login.tokens;
        let (access, refresh) =
            futures::try_join!(self.oidc.introspect(access), self.oidc.introspect(refresh))?;
        Ok(usize::from(access) + usize::from(refresh))
    }

    /// Publishes the user's logout and watches what it does.
    pub async fn log_out(&self, login: &Login) -> Result<Timeline, SandboxError> {
        let started = Instant::now();
        let (id, event) = (event_id(login), event(login).to_string());
        let publish = self.application.publish_logout(&id, &event);
        let refused = when(started, async || Ok(!self.is_accepted(login).await?));
        let inactive = when(started, async || Ok(self.active(login).await? == 0));
        let recorded = when(started, async || Ok(self.record(login).await?.done == 2));
        let ((), refused, inactive, recorded) = futures::try_join!(publish, refused, inactive, recorded)?;
        Ok(Timeline { refused, inactive, recorded, attempts: self.record(login).await?.attempts })
    }

    async fn record(&self, login: &Login) -> Result<Record, SandboxError> {
        let query = sqlx::query(
            "SELECT count(*) FILTER (WHERE state = 'revoked' AND confirmed_at IS NOT NULL), \
                coalesce(sum(attempts), 0)::bigint
             FROM audit.revocations WHERE event_source = $1 AND event_id = $2",
        );
        let row = query.bind(SOURCE).bind(event_id(login)).fetch_one(&self.audit).await;
        let row = row.map_err(|error| failed("a query of audit.revocations", &error))?;
        Ok(Record { done: row.get(0), attempts: row.get(1) })
    }
}

struct Record {
    /// Targets that are revoked and confirmed.
    done: i64,
    attempts: i64,
}

/// Looks again and again until it has happened.
async fn when(
    started: Instant,
    mut has_happened: impl AsyncFnMut() -> Result<bool, SandboxError>,
) -> Result<Option<Duration>, SandboxError> {
    while started.elapsed() < LONGEST_STEP {
        if has_happened().await? {
            return Ok(Some(started.elapsed()));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

fn event_id(login: &Login) -> String {
    format!("logout-of-{}", login.sub)
}

/// The logout event of a user (docs/contract.md, section 2). It holds raw tokens.
pub fn event(login: &Login) -> Value {
    let target = |token: &Token, hint: &str| {
        let sub = &login.sub;
        json!({ "token": token.expose(), "token_type_hint": hint, "sub": sub })
    };
    let Tokens { access, refresh } = &login.tokens;
    json!({
        "specversion": "1.0", "id": event_id(login), "source": SOURCE, "type": "auth.logout.v1",
        "data": {
            "provider": "main", "reason": "user_logout", "actor": login.sub,
            "targets": [target(access, "access_token"), target(refresh, "refresh_token")],
        },
    })
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> SandboxError {
    SandboxError::Failed { program: what.to_owned(), detail: error.to_string() }
}
