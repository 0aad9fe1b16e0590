//! `kind = "global_token_revocation"`: draft-parecki-oauth-global-token-revocation, which ends all tokens and
//! sessions of one user.
//!
//! The user is named as the setting `subject_format` says. Without it: by `iss_sub` where the target's `iss`
//! or the provider's `issuer` is known, because a `sub` means something only beside its issuer (OpenID
//! Connect Core section 2), else as `opaque`.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::bearer::Bearer;
use super::bearers::{Bearers, Source};
use super::call::Call;
use super::dialect::{Attempt, Description, Dialect};
use super::discovery::{Discovery, Endpoint};
use super::http::Http;
use super::probe::{self, Probed};
use super::reply::Reply;
use super::setup::{ProviderSetupError, Setup};
use crate::config::{GlobalTokenRevocationConfig, SubjectFormat, Verify};
use crate::outcome::{Answer, Verdict};
use crate::target::Kind;

/// A server with a global token revocation endpoint.
pub(super) struct GlobalTokenRevocation {
    place: Place,
    format: Option<SubjectFormat>,
    issuer: Option<String>,
    bearers: Bearers,
}

enum Place {
    Given(Url),
    Discovered(Box<Discovery>),
}

impl GlobalTokenRevocation {
    /// The server of `config`.
    pub(super) fn new(
        setup: &Setup<'_>,
        config: &GlobalTokenRevocationConfig,
    ) -> Result<Self, ProviderSetupError> {
        let place = match &config.endpoint {
            Some(url) => Place::Given(setup.url(Endpoint::GlobalTokenRevocation.as_str(), url)?),
            None => Place::Discovered(Box::new(Discovery::new(setup, Endpoint::GlobalTokenRevocation)?)),
        };
        let bearers = Bearers::new(Source::new(setup, &config.bearer)?);
        Ok(Self { place, format: config.subject_format, issuer: setup.config.issuer.clone(), bearers })
    }

    /// Ends everything of the user `sub` of `iss`. Metadata that led to a failure a person has to mend is
    /// read again next time.
    async fn end_all(&self, http: &Http, sub: &str, iss: Option<&str>) -> Answer {
        let Some(sub_id) = sub_id(self.format, sub, iss.or(self.issuer.as_deref())) else {
            return nameless();
        };
        let body = json!({ "sub_id": sub_id });
        let body = &body;
        let answer =
            self.bearers.lend(http, |bearer| async move { self.order(http, &bearer, body, sub).await }).await;
        if let (Verdict::Misconfigured, Place::Discovered(discovery)) = (answer.verdict, &self.place) {
            discovery.forget();
        }
        answer
    }

    /// Shows the bearer with a user that is not there. Metadata that led to a refusal is read again next
    /// time.
    async fn try_bearer(&self, http: &Http, unknown: &str) -> Answer {
        let answer = self.end_all(http, unknown, None).await;
        if let (Verdict::Doubted, Place::Discovered(discovery)) = (answer.verdict, &self.place) {
            discovery.forget();
        }
        answer
    }

    async fn order(&self, http: &Http, bearer: &Bearer, body: &Value, sub: &str) -> Result<Answer, Answer> {
        let url = match &self.place {
            Place::Given(url) => url.clone(),
            Place::Discovered(discovery) => discovery.endpoint(http, Endpoint::GlobalTokenRevocation).await?,
        };
        Ok(classify(&bearer.send(http, Call::new(Method::POST, &url).json(body).secrets([sub])).await?))
    }

    async fn metadata(&self, http: &Http) -> Option<Result<String, Answer>> {
        match &self.place {
            Place::Given(_) => None,
            Place::Discovered(discovery) => {
                Some(discovery.describe(http, Endpoint::GlobalTokenRevocation).await)
            }
        }
    }
}

impl Dialect for GlobalTokenRevocation {
    fn calls(&self, kind: Kind) -> u32 {
        u32::from(kind == Kind::Subject)
    }

    fn addresses(&self) -> Vec<&Url> {
        let place = match &self.place {
            Place::Given(url) => Some(url),
            Place::Discovered(_) => None,
        };
        place.into_iter().chain(self.bearers.endpoint()).collect()
    }

    fn log_out<'a>(&'a self, http: &'a Http, sub: &'a str, iss: Option<&'a str>) -> Attempt<'a> {
        Some(Box::pin(self.end_all(http, sub, iss)))
    }

    fn describe<'a>(&'a self, http: &'a Http, _: Verify) -> Description<'a> {
        Box::pin(self.metadata(http))
    }

    fn try_admin<'a>(&'a self, http: &'a Http, nobody: &'a str) -> Attempt<'a> {
        Some(Box::pin(self.try_bearer(http, nobody)))
    }

    fn read_admin(&self, answer: Answer) -> Probed {
        probe::read(answer, "check the endpoint, the bearer and its scope", false, probe::is_no_user)
    }
}

/// RFC 9493 section 3.2. `None` where an issuer is wanted and not known.
fn sub_id(format: Option<SubjectFormat>, sub: &str, iss: Option<&str>) -> Option<Value> {
    Some(match (format, iss) {
        (Some(SubjectFormat::Email), _) => json!({ "format": "email", "email": sub }),
        (Some(SubjectFormat::Opaque), _) | (None, None) => json!({ "format": "opaque", "id": sub }),
        (Some(SubjectFormat::IssSub) | None, Some(iss)) => {
            json!({ "format": "iss_sub", "iss": iss, "sub": sub })
        }
        (Some(SubjectFormat::IssSub), None) => return None,
    })
}

fn nameless() -> Answer {
    let why = "subject_format is iss_sub, but neither the target nor the provider has an issuer: give the \
        event iss, or the provider issuer";
    Answer::failed(Verdict::Refused, None, why)
}

/// The statuses of the draft's section "Revocation Response". A 404 may be the user or the URL, so a person
/// must look.
fn classify(reply: &Reply<'_>) -> Answer {
    match reply.status {
        200..=299 => reply.accepted(),
        400 => reply.fails(Verdict::Refused, "the server does not take this subject: check subject_format"),
        401 | 403 => reply.doubted(),
        404 => reply
            .fails(Verdict::Refused, "no such user, or no such endpoint: check subject_format and the URL"),
        422 => reply.fails(
            Verdict::Refused,
            "the server cannot log this user out: see its log, then retry or cancel",
        ),
        _ => reply
            .status_answer()
            .unwrap_or_else(|| reply.fails(Verdict::Refused, "see the server's log, then retry or cancel")),
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
            (204, Verdict::Done(Proof::Accepted)),
            (200, Verdict::Done(Proof::Accepted)),
            (202, Verdict::Done(Proof::Accepted)),
            (400, Verdict::Refused),
            (401, Verdict::Doubted),
            (403, Verdict::Doubted),
            (404, Verdict::Refused),
            (405, Verdict::Doubted),
            (409, Verdict::Refused),
            (422, Verdict::Refused),
            (307, Verdict::Misconfigured),
            (429, Verdict::Transient),
            (500, Verdict::Transient),
            (503, Verdict::Transient),
        ];
        for (status, verdict) in rows {
            assert_eq!(classify(&reply(status, "")).verdict, verdict, "{status}");
        }
    }

    #[test]
    fn a_yes_that_says_no_is_none() {
        for body in ["<html>blocked</html>", r#"{"err":"x"}"#, r#"{"success":false}"#, "error=server_error"] {
            assert_eq!(classify(&reply(200, body)).verdict, Verdict::Transient, "{body}");
        }
    }

    #[test]
    fn a_subject_is_named_by_its_issuer_where_it_is_known() {
        use SubjectFormat::{Email, IssSub, Opaque};
        let opaque = Some(json!({ "format": "opaque", "id": "u" }));
        let iss_sub = Some(json!({ "format": "iss_sub", "iss": "i", "sub": "u" }));
        let email = Some(json!({ "format": "email", "email": "u" }));
        let rows = [
            (None, None, &opaque),
            (None, Some("i"), &iss_sub),
            (Some(Opaque), Some("i"), &opaque),
            (Some(IssSub), Some("i"), &iss_sub),
            (Some(IssSub), None, &None),
            (Some(Email), Some("i"), &email),
        ];
        for (format, iss, expected) in rows {
            assert_eq!(sub_id(format, "u", iss), *expected, "{format:?} {iss:?}");
        }
    }
}
