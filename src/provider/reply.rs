//! A provider's HTTP response, bounded, and the answers that every kind derives from it in the same way.

use std::time::Duration;

use serde_json::Value;

use super::scrub::{limit, scrub, shorten};
use crate::outcome::{Answer, Proof, Verdict};

/// Most characters of a provider's own words in an error text, so that our part of the sentence fits too.
const MAX_WORDS: usize = 110;

/// A complete response.
pub(super) struct Reply<'a> {
    /// What was tried, on what: `POST https://id.example.com/revoke`.
    pub(super) what: String,
    /// HTTP status.
    pub(super) status: u16,
    /// The first 64 KiB of the body.
    pub(super) body: Vec<u8>,
    /// `Location`, of a redirect.
    pub(super) location: Option<String>,
    /// `Retry-After`, in full.
    pub(super) retry_after: Option<Duration>,
    /// What the request carried that no error text may repeat.
    pub(super) secrets: Vec<&'a str>,
}

impl Reply<'_> {
    /// Whether the status is 2xx.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, if it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The `error` member of an OAuth error response (RFC 6749 section 5.2).
    pub(super) fn oauth_error(&self) -> Option<String> {
        member(&self.json()?, "error")
    }

    /// The answer that the status alone decides for every kind: may work later (408, 425, 429, 5xx), wrong URL (3xx), or what reads like one and may
    /// be about the target all the same (404, 405, 407, 410).
    pub(super) fn status_answer(&self) -> Option<Answer> {
        match self.status {
            408 | 425 | 429 | 500..=599 => Some(self.transient()),
            300..=399 => Some(self.fails(Verdict::Misconfigured, "redirects are never followed: configure the final URL")),
            404 | 405 | 407 | 410 => Some(self.doubted()),
            _ => None,
        }
    }

    /// Success.
    pub(super) fn done(&self, proof: Proof) -> Answer {
        Answer { verdict: Verdict::Done(proof), http_status: Some(self.status), error: None, retry_after: None }
    }

    /// May work later.
    pub(super) fn transient(&self) -> Answer {
        self.fails(Verdict::Transient, "will be tried again")
    }

    /// A failure, as a sentence: what was tried, what came back, what follows.
    pub(super) fn fails(&self, verdict: Verdict, advice: &str) -> Answer {
        let error = limit(&format!("{} answered {}{}; {advice}", self.what, self.status, self.words()));
        Answer { verdict, http_status: Some(self.status), error: Some(error), retry_after: self.retry_after }
    }

    /// What reads like bad credentials or a wrong endpoint, to a call that names a target. What follows from it is not known yet.
    pub(super) fn doubted(&self) -> Answer {
        let error = limit(&format!("{} answered {}{}", self.what, self.status, self.words()));
        Answer { verdict: Verdict::Doubted, http_status: Some(self.status), error: Some(error), retry_after: self.retry_after }
    }

    /// [`Self::fails`] without the provider's own words: the body may hold a token that has only now been granted.
    pub(super) fn fails_silently(&self, verdict: Verdict, advice: &str) -> Answer {
        let error = limit(&format!("{} answered {}; {advice}", self.what, self.status));
        Answer { verdict, http_status: Some(self.status), error: Some(error), retry_after: self.retry_after }
    }

    /// The provider's own words. All text of the provider's that enters an error text passes through here.
    fn words(&self) -> String {
        let said = match (&self.location, self.json()) {
            (Some(location), _) => format!("to {}", location.split(['?', '#']).next().unwrap_or_default()),
            (None, Some(body)) => {
                let members = ["error", "error_description", "errorCode", "errorSummary", "statusCode", "apiCode", "message"];
                members.iter().filter_map(|name| member(&body, name)).collect::<Vec<_>>().join(": ")
            }
            (None, None) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        // Scrubbed before it is cut: a cut could leave the beginning of a token that no longer matches.
        let said = scrub(&said, &self.secrets);
        if said.is_empty() { said } else { format!(" {}", shorten(&said, MAX_WORDS)) }
    }
}

/// A string or number member of a JSON object, as text.
fn member(body: &Value, name: &str) -> Option<String> {
    match body.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A reply as the classification tables write it.
    pub(in crate::provider) fn reply(status: u16, body: &str) -> Reply<'static> {
        Reply {
            what: "POST https://id.example.com/revoke".to_owned(),
            status,
            body: body.as_bytes().to_vec(),
            location: None,
            retry_after: None,
            secrets: vec!["tok/1"],
        }
    }

    #[test]
    fn an_error_is_one_sentence() {
        let answer =
            reply(400, r#"{"error":"invalid_request","error_description":"token tok/1 unknown"}"#).fails(Verdict::Refused, "see its log");
        assert_eq!(
            answer.error.unwrap(),
            "POST https://id.example.com/revoke answered 400 invalid_request: token [redacted] unknown; see its log"
        );
    }

    #[test]
    fn a_token_that_the_json_escapes_is_scrubbed_too() {
        let answer = reply(400, r#"{"error":"bad tok\/1 and tok\u002f1"}"#).transient();
        assert!(!answer.error.unwrap().contains("tok/1"));
    }

    #[test]
    fn a_redirect_names_its_goal_without_the_query() {
        let mut redirect = reply(307, "");
        redirect.location = Some("https://new.example.com/revoke?token=tok%2F1".to_owned());
        let answer = redirect.status_answer().unwrap();
        assert_eq!(answer.verdict, Verdict::Misconfigured);
        let sentence = "POST https://id.example.com/revoke answered 307 to https://new.example.com/revoke; redirects are never followed";
        assert!(answer.error.unwrap().starts_with(sentence));
    }

    #[test]
    fn retry_after_is_handed_on_in_full() {
        let mut busy = reply(503, "");
        busy.retry_after = Some(Duration::from_secs(86_400));
        assert_eq!(busy.status_answer().unwrap().retry_after, Some(Duration::from_secs(86_400)));
    }
}
