//! One request as it is about to be sent.

use std::fmt;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use serde_json::Value;
use url::Url;

use super::address::Address;
use super::setup::place;

/// What is tried, on what: `POST https://id.example.com/revoke`. Spelled only where an error text needs it.
pub(super) struct What<'a> {
    method: Method,
    url: &'a Url,
    /// How error texts name the URL, where its path holds an id.
    shown: Option<&'a str>,
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shown {
            Some(shown) => write!(f, "{} {shown}", self.method),
            None => write!(f, "{} {}", self.method, place(self.url)),
        }
    }
}

/// One request, and what it carries that must not be repeated in an error text.
pub(super) struct Call<'a> {
    what: What<'a>,
    headers: HeaderMap,
    body: Option<String>,
    secrets: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub(super) fn new(method: Method, url: &'a Url) -> Self {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        Self { what: What { method, url, shown: None }, headers, body: None, secrets: Vec::new() }
    }

    /// A request without a body to an address that holds ids.
    pub(super) fn to(method: Method, address: &'a Address) -> Self {
        let what = What { method: method.clone(), url: address.url(), shown: Some(address.shown()) };
        Self { what, ..Self::new(method, address.url()) }
    }

    /// With a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a form-encoded body.
    pub(super) fn form(self, body: String) -> Self {
        let call = self.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Self { body: Some(body), ..call }
    }

    /// With a JSON body.
    pub(super) fn json(self, body: &Value) -> Self {
        let call = self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { body: Some(body.to_string()), ..call }
    }

    /// With text that the answer must not repeat.
    pub(super) fn secrets(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        self.secrets.extend(secrets);
        self
    }

    /// What is tried, the request, and what it carries that no error text may repeat.
    pub(super) fn into_parts(self) -> (What<'a>, Request, Vec<&'a str>) {
        let mut request = Request::new(self.what.method.clone(), self.what.url.clone());
        *request.headers_mut() = self.headers;
        *request.body_mut() = self.body.map(Into::into);
        (self.what, request, self.secrets)
    }
}
