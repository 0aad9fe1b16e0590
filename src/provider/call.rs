//! One request as it is about to be sent.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use serde_json::Value;
use url::Url;

use super::address::Address;
use super::setup::place;

/// One request, and what it carries that must not be repeated in an error text.
pub(super) struct Call<'a> {
    method: Method,
    url: &'a Url,
    /// How error texts name the URL, where its path holds an id.
    shown: Option<&'a str>,
    headers: HeaderMap,
    body: Option<String>,
    secrets: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub(super) fn new(method: Method, url: &'a Url) -> Self {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        Self { method, url, shown: None, headers, body: None, secrets: Vec::new() }
    }

    /// A request without a body to an address that holds ids.
    pub(super) fn to(method: Method, address: &'a Address) -> Self {
        Self { shown: Some(address.shown()), ..Self::new(method, address.url()) }
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

    /// What is tried, on what.
    pub(super) fn what(&self) -> String {
        let place = self.shown.map_or_else(|| place(self.url), str::to_owned);
        format!("{} {place}", self.method)
    }

    /// The request, and what it carries that no error text may repeat.
    pub(super) fn into_parts(self) -> (Request, Vec<&'a str>) {
        let mut request = Request::new(self.method, self.url.clone());
        *request.headers_mut() = self.headers;
        *request.body_mut() = self.body.map(Into::into);
        (request, self.secrets)
    }
}
