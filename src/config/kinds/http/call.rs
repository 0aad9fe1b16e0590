//! The calls that kind `http` declares.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::rule::{Rule, choice, list, optional, or, required};
use crate::config::section::Section;
use crate::config::setting::{choices, settings};

settings! {
    /// One call and what its answers mean.
    #[derive(Clone)]
    pub struct HttpCallConfig {
        /// The HTTP method.
        pub method: HttpMethod = choice(HttpMethod::Post),
        /// The address; `{token}`, `{hint}`, `{sid}`, `{sub}`, `{client}` and the like may stand in its path
        /// and query, where they are escaped.
        pub url: String =
            required("give the address that is called, such as https://api.example.com/{token}"),
        /// Headers by name. `{api_key}`, `{basic}` (client id and secret in base64) and `Bearer {granted}`
        /// authorize.
        pub headers: BTreeMap<String, String> = texts(),
        /// The fields of a form-encoded body.
        pub form: BTreeMap<String, String> = texts(),
        /// A JSON body, as a table or as JSON text; names in braces are filled in within its strings.
        pub json: Option<JsonTemplate> = optional().default("none"),
        /// Answers that say that it is done, each as `204`, `2xx` or `200 ok=true`: a status, and members of
        /// the body by their dotted path.
        pub revoked: Vec<String> = some_answer(),
        /// Answers that say that it was dead already.
        pub already_invalid: Vec<String> = list(),
        /// Answers that refuse this target for good; a person is shown it.
        pub rejected: Vec<String> = list(),
        /// Answers that refuse this type of target for good; it is denied locally.
        pub unsupported: Vec<String> = list(),
        /// Answers that blame our credentials, besides 401 and 403 where no other rule names them.
        pub misconfigured: Vec<String> = list(),
        /// Answers after which it is tried again, besides all that no rule names.
        pub retry: Vec<String> = list(),
    }
    check has_one_body
}

settings! {
    /// A list of a user's sessions.
    #[derive(Clone)]
    pub struct HttpListConfig {
        /// The HTTP method.
        pub method: HttpMethod = choice(HttpMethod::Get),
        /// The address, with `{sub}` in it or in `json`.
        pub url: String = required("give the address that lists the sessions of {sub}"),
        /// Headers by name.
        pub headers: BTreeMap<String, String> = texts(),
        /// A JSON body.
        pub json: Option<JsonTemplate> = optional().default("none"),
        /// The dotted path to the list in the answer; `.` where the answer is the list.
        pub items: String = required("name the member that holds the list, such as data"),
        /// The dotted path to a session's id in each item.
        pub id: String = or("id".to_owned(), "`id`"),
        /// The dotted path to a member whose presence says that a list that is not there is empty, as servers
        /// answer that leave out what is empty.
        pub empty_with: Option<String> = optional().default("none"),
        /// What an item must say to count, each as `status=active`.
        pub only: Vec<String> = list(),
        /// The dotted path to the next page's cursor; absent: the first page is asked for until it is empty.
        pub next: Option<String> = optional().default("none"),
        /// The query parameter that the cursor goes into.
        pub next_parameter: String = or("page_token".to_owned(), "`page_token`"),
        /// Answers that refuse this user for good; a person is shown it.
        pub rejected: Vec<String> = list(),
    }
}

settings! {
    /// A call that shows the credentials.
    #[derive(Clone)]
    pub struct HttpProbeConfig {
        /// The HTTP method.
        pub method: HttpMethod = choice(HttpMethod::Get),
        /// The address.
        pub url: String = required("give an address that tells good credentials from bad ones"),
        /// Headers by name.
        pub headers: BTreeMap<String, String> = texts(),
        /// The fields of a form-encoded body.
        pub form: BTreeMap<String, String> = texts(),
        /// A JSON body.
        pub json: Option<JsonTemplate> = optional().default("none"),
        /// Answers that say that the credentials are good.
        pub accepted: Vec<String> = or(vec!["2xx".to_owned()], "`2xx`"),
        /// Answers that say that they are not.
        pub refused: Vec<String> = or(vec!["401".to_owned(), "403".to_owned()], "`401`, `403`"),
    }
}

choices! {
    /// HTTP methods of declared calls.
    pub enum HttpMethod {
        /// `GET`
        Get = "GET",
        /// `POST`
        Post = "POST",
        /// `PUT`
        Put = "PUT",
        /// `PATCH`
        Patch = "PATCH",
        /// `DELETE`
        Delete = "DELETE",
    }
}

/// A JSON body with names in braces in its strings.
#[derive(Clone)]
pub struct JsonTemplate(pub Value);

impl HttpCallConfig {
    /// A call without headers, body and rules.
    pub(crate) fn new(method: HttpMethod, url: String) -> Self {
        let (headers, form) = (BTreeMap::new(), BTreeMap::new());
        let (revoked, already_invalid, rejected) = (Vec::new(), Vec::new(), Vec::new());
        let (unsupported, misconfigured, retry) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            method,
            url,
            headers,
            form,
            json: None,
            revoked,
            already_invalid,
            rejected,
            unsupported,
            misconfigured,
            retry,
        }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a field of a form.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.form.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a JSON body.
    pub(crate) fn json(self, body: Value) -> Self {
        Self { json: Some(JsonTemplate(body)), ..self }
    }

    /// With what says that it is done.
    pub(crate) fn revoked(self, answers: &[&str]) -> Self {
        Self { revoked: owned(answers), ..self }
    }

    /// With what says that it was dead already.
    pub(crate) fn already_invalid(self, answers: &[&str]) -> Self {
        Self { already_invalid: owned(answers), ..self }
    }

    /// With what refuses the target.
    pub(crate) fn rejected(self, answers: &[&str]) -> Self {
        Self { rejected: owned(answers), ..self }
    }

    /// With what passes.
    pub(crate) fn retry(self, answers: &[&str]) -> Self {
        Self { retry: owned(answers), ..self }
    }
}

fn owned(answers: &[&str]) -> Vec<String> {
    answers.iter().map(|answer| (*answer).to_owned()).collect()
}

fn has_one_body(call: &HttpCallConfig, section: &mut Section<'_>) {
    if call.json.is_some() && !call.form.is_empty() {
        section.refuse("json", "given together with form; a call has one body");
    }
}

fn texts() -> Rule<BTreeMap<String, String>> {
    or(BTreeMap::new(), "none")
}

/// Nothing says yes by default: a yes that is none would end the work.
fn some_answer() -> Rule<Vec<String>> {
    list().default("no default").then(|answers, key, section| {
        if answers.is_empty() {
            section.missing(
                key,
                "say which answers mean that it is done, such as [\"204\"] or [\"200 ok=true\"]",
            );
        }
        answers
    })
}
