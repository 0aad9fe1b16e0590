//! `kind = "firebase"`: users of Firebase Authentication and Identity Platform, by `accounts:update`.
//!
//! `validSince` ends the refresh tokens of logins before it. It has whole seconds, and a login in that very
//! second lives on, so the second after this one is sent. ID tokens live on for an hour at most, unless
//! whoever verifies them asks Firebase.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use url::Url;

use super::address::segment;
use super::bearer::Bearer;
use super::bearers::{Bearers, Source};
use super::call::Call;
use super::dialect::{Attempt, Dialect};
use super::http::Http;
use super::probe::{self, Probed};
use super::reply::Reply;
use super::service_account::ServiceAccount;
use super::setup::{ProviderSetupError, Setup};
use crate::config::FirebaseConfig;
use crate::outcome::{Answer, Verdict};
use crate::target::Kind;

const SCOPE: &str = "https://www.googleapis.com/auth/identitytoolkit";

/// A project.
pub(super) struct Firebase {
    endpoint: Url,
    bearers: Bearers,
}

impl Firebase {
    /// The project of `config`.
    pub(super) fn new(setup: &Setup<'_>, config: &FirebaseConfig) -> Result<Self, ProviderSetupError> {
        let account = ServiceAccount::new(setup, &config.service_account, SCOPE)?;
        let project = config.project_id.as_deref().or(account.project());
        let project = project.ok_or_else(|| setup.refuse("project_id", "is missing; set it"))?;
        let project = segment(project).ok_or_else(|| setup.refuse("project_id", "is no project's id"))?;
        let base = config.base_url.as_deref().unwrap_or("https://identitytoolkit.googleapis.com");
        let endpoint =
            setup.url_under("base_url", base, &format!("/v1/projects/{project}/accounts:update"))?;
        Ok(Self { endpoint, bearers: Bearers::new(Source::ServiceAccount(Box::new(account))) })
    }

    async fn end_logins(&self, http: &Http, bearer: &Bearer, sub: &str) -> Result<Answer, Answer> {
        let next_second = http.clock().now().unix_timestamp() + 1;
        let body = json!({ "localId": sub, "validSince": next_second });
        let call = Call::new(Method::POST, &self.endpoint).json(&body).secrets([sub]);
        Ok(classify(&bearer.send(http, call).await?))
    }
}

impl Dialect for Firebase {
    fn calls(&self, kind: Kind) -> u32 {
        u32::from(kind == Kind::Subject)
    }

    fn addresses(&self) -> Vec<&Url> {
        [&self.endpoint].into_iter().chain(self.bearers.endpoint()).collect()
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, _: Option<&'a str>) -> Attempt<'a> {
        let end = move |bearer: Arc<Bearer>| async move { self.end_logins(http, &bearer, sub).await };
        Some(Box::pin(self.bearers.lend(http, end)))
    }

    fn read_admin(&self, answer: Answer) -> Probed {
        const ADVICE: &str = "check project_id and the roles of the service account";
        probe::read(answer, ADVICE, true, |answer| {
            probe::is_accepted(answer) || answer.verdict == Verdict::Refused
        })
    }
}

/// What the Identity Toolkit answers: its errors have a word in `error.message`.
fn classify(reply: &Reply<'_>) -> Answer {
    let word = reply.json().and_then(|body| Some(body.pointer("/error/message")?.as_str()?.to_owned()));
    match (reply.status, word.as_deref()) {
        (200..=299, _) => reply.accepted(),
        (400, Some(word)) if word.starts_with("USER_NOT_FOUND") => {
            reply.fails(Verdict::Refused, "no such user: sub must be the user's localId in this project")
        }
        (401 | 403, _) => reply.doubted(),
        _ => reply
            .status_answer()
            .unwrap_or_else(|| reply.fails(Verdict::Refused, "see the error, then retry or cancel")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::tests::reply;
    use super::*;
    use crate::outcome::Proof;

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            (200, r#"{"localId":"u"}"#, Verdict::Done(Proof::Accepted)),
            (200, "<html>", Verdict::Transient),
            (400, r#"{"error":{"code":400,"message":"USER_NOT_FOUND"}}"#, Verdict::Refused),
            (400, r#"{"error":{"code":400,"message":"INVALID_ID"}}"#, Verdict::Refused),
            (401, r#"{"error":{"message":"x"}}"#, Verdict::Doubted),
            (403, r#"{"error":{"message":"x"}}"#, Verdict::Doubted),
            (404, "", Verdict::Doubted),
            (429, "", Verdict::Transient),
            (503, "", Verdict::Transient),
            (302, "", Verdict::Misconfigured),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(classify(&reply(status, body)).verdict, verdict, "{status} {body}");
        }
    }
}
