//! A provider's HTTP response, bounded, and the answers that every kind derives from it in the same way.

use std::time::Duration;

use serde_json::Value;

use super::body::Body;
use super::call::What;
use super::failure;
use super::normal::{is_part, tells};
use super::scrub::{REDACTED, limit, prose, scrub, shorten};
use crate::outcome::{Answer, Proof, Verdict};

/// Most characters of a provider's own words in an error text, so that our part of the sentence fits too.
const MAX_WORDS: usize = 110;

/// Longest error code that is kept as it is; OAuth's own have at most 25 characters.
const MAX_CODE: usize = 40;
/// Members that hold an error's code, the most telling first.
const CODES: [&str; 6] = ["error", "errorCode", "error_code", "errcode", "__type", "code"];
/// Members that hold its words.
const WORDS: [&str; 10] = [
    "error_description",
    "errorSummary",
    "errorMessage",
    "errmsg",
    "message",
    "msg",
    "detail",
    "title",
    "statusCode",
    "apiCode",
];

/// A complete response.
pub(super) struct Reply<'a> {
    /// What was tried.
    pub(super) what: What<'a>,
    /// HTTP status.
    pub(super) status: u16,
    /// The first 64 KiB of the body, decoded.
    pub(super) body: Body,
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

    /// Whether somebody before the provider answered: a page, or a firewall's challenge.
    pub(super) fn is_from_between(&self) -> bool {
        matches!(self.body, Body::Page | Body::Challenge)
    }

    /// The body, if all of it is JSON: what may prove something is read from nothing else.
    pub(super) fn json(&self) -> Option<Value> {
        self.body.whole().cloned()
    }

    /// The `error` member of an OAuth error response (RFC 6749 section 5.2), in JSON, a form or XML, whatever
    /// stands beside it.
    pub(super) fn oauth_error(&self) -> Option<String> {
        self.text("error")
    }

    /// A string or number member of the body, as far as it can be read.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        member(self.members()?, name)
    }

    /// The members of the body; of a list of one (Salesforce), that one's.
    fn members(&self) -> Option<&Value> {
        match self.body.members()? {
            Value::Array(values) if values.len() == 1 => values.first(),
            members => Some(members),
        }
    }

    /// The answer to a 2xx whose body says that nothing was done.
    pub(super) fn no_yes(&self) -> Option<Answer> {
        let said = failure::of(&self.body).filter(|_| self.is_success())?;
        Some(self.fails(Verdict::Transient, &format!("{said} is no yes, it will be tried again")))
    }

    /// Success, unless the body says that it is none.
    pub(super) fn accepted(&self) -> Answer {
        self.no_yes().unwrap_or_else(|| self.done(Proof::Accepted))
    }

    /// The answer that the status alone decides for every kind: may work later (408, 425, 429, 5xx), wrong
    /// URL (3xx), or what reads like one and may be about the target all the same (404, 405, 407, 410).
    pub(super) fn status_answer(&self) -> Option<Answer> {
        match self.status {
            408 | 425 | 429 | 500..=599 => Some(self.transient()),
            300..=399 => Some(
                self.fails(Verdict::Misconfigured, "redirects are never followed: configure the final URL"),
            ),
            404 | 405 | 407 | 410 => Some(self.doubted()),
            _ => None,
        }
    }

    /// Success.
    pub(super) fn done(&self, proof: Proof) -> Answer {
        Answer {
            verdict: Verdict::Done(proof),
            http_status: Some(self.status),
            error: None,
            retry_after: None,
        }
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

    /// What reads like bad credentials or a wrong endpoint, to a call that names a target. What follows from
    /// it is not known yet.
    pub(super) fn doubted(&self) -> Answer {
        let error = limit(&format!("{} answered {}{}", self.what, self.status, self.words()));
        Answer {
            verdict: Verdict::Doubted,
            http_status: Some(self.status),
            error: Some(error),
            retry_after: self.retry_after,
        }
    }

    /// [`Self::fails`] without the provider's own words: the body may hold a token that has only now been
    /// granted.
    pub(super) fn fails_silently(&self, verdict: Verdict, advice: &str) -> Answer {
        let error = limit(&format!("{} answered {}; {advice}", self.what, self.status));
        Answer { verdict, http_status: Some(self.status), error: Some(error), retry_after: self.retry_after }
    }

    /// The provider's own words. All text of the provider's that enters an error text passes through here.
    fn words(&self) -> String {
        let said = match &self.location {
            // Scrubbed before it is cut: a cut could leave the beginning of a token that no longer matches.
            Some(location) => {
                let url = scrub(location.split(['?', '#']).next().unwrap_or_default(), &self.secrets);
                format!("to {}", prose::url(&url))
            }
            None => self.said(),
        };
        if said.is_empty() { said } else { format!(" {}", shorten(&said, MAX_WORDS)) }
    }

    /// The error code, where it looks like one, and the words beside it, where they tell of no secret. Of
    /// what has no members nothing is kept.
    fn said(&self) -> String {
        let Some(body) = self.members() else { return self.shape().to_owned() };
        let nested = body.get("error").filter(|error| error.is_object());
        let named = |name: &str| member(body, name).or_else(|| member(nested?, name));
        let code =
            CODES.iter().find_map(|name| named(name)).filter(|code| self.is_code(code)).unwrap_or_default();
        let others =
            CODES.iter().take(1).chain(&WORDS).filter_map(|name| named(name)).filter(|text| *text != code);
        let words = scrub(&others.collect::<Vec<_>>().join(": "), &self.secrets);
        let words = prose::words(&words, MAX_WORDS);
        let words = if is_part(&words, &self.secrets) { REDACTED.to_owned() } else { words };
        // A token may be cut in two, one half where a code should be.
        match (code.as_str(), words.as_str()) {
            (code, "") => code.to_owned(),
            ("", words) => words.to_owned(),
            (code, words) if tells(&format!("{code}{words}"), &self.secrets) => format!("{code}: {REDACTED}"),
            (code, words) => format!("{code}: {words}"),
        }
    }

    /// What is told of a body without members.
    fn shape(&self) -> &'static str {
        match self.body {
            Body::Page => "(an HTML page)",
            Body::Encoded => "(no text)",
            Body::Challenge => "(a firewall's challenge)",
            Body::Garbled => "(broken JSON)",
            Body::Text => "(a text)",
            Body::Cut(_) => "(the beginning of a long body)",
            Body::Empty | Body::Json(_) | Body::Within(_) | Body::Fields(_) => "",
        }
    }

    /// A short word of OAuth's alphabet that looks like a code and is no part of what must not be repeated.
    fn is_code(&self, word: &str) -> bool {
        let of_codes = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !word.is_empty()
            && word.len() <= MAX_CODE
            && word.chars().all(of_codes)
            && prose::is_code(word)
            && scrub(word, &self.secrets) == word
            && !is_part(word, &self.secrets)
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
pub(super) mod tests;
