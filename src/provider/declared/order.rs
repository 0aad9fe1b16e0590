//! One declared call: read and checked when the provider is set up, filled in for each target.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::constants::Constants;
use super::template::{Name, Template, Values, header, plain, query};
use crate::config::{HttpMethod, JsonTemplate};
use crate::outcome::{Answer, Verdict};
use crate::provider::address::{Address, segment};
use crate::provider::bearer::Bearer;
use crate::provider::call::Call;
use crate::provider::client_auth::sensitive_header;
use crate::provider::http::Http;
use crate::provider::reply::Reply;
use crate::provider::setup::{ProviderSetupError, Setup, place};

/// Headers that belong to the connection.
const OF_THE_CONNECTION: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "te"];
/// The one place where a granted token stands.
const GRANTED: &str = "Bearer {granted}";

/// The parts of a declared call.
pub(super) struct Parts<'a> {
    /// The section that declares it.
    pub(super) section: &'static str,
    pub(super) method: HttpMethod,
    pub(super) url: &'a str,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) form: &'a BTreeMap<String, String>,
    pub(super) json: Option<&'a JsonTemplate>,
    /// What it must name, and what else of a target it may name.
    pub(super) names: &'static [Name],
}

/// A call that is ready to be filled in.
pub(super) struct Order {
    method: Method,
    base: Url,
    path: Template,
    query: Option<Template>,
    shown: String,
    headers: Vec<(HeaderName, Template)>,
    content: Content,
    is_granted: bool,
}

enum Content {
    None,
    Form(Vec<(String, Template)>),
    Json(Json),
}

/// JSON whose texts hold names.
enum Json {
    Text(Template),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    Other(Value),
}

impl Order {
    /// Reads `parts`; an error names the setting.
    pub(super) fn new(
        setup: &Setup<'_>,
        parts: &Parts<'_>,
        constants: &Constants,
    ) -> Result<Self, ProviderSetupError> {
        let refuse = |key: &str, why: String| setup.refuse(&format!("{}.{key}", parts.section), why);
        let (start, rest) = split(parts.url).map_err(|why| refuse("url", why))?;
        let base = setup.url(&format!("{}.url", parts.section), start)?;
        let (path, asked) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let template = |key: &str, text: &str| Template::parse(text).map_err(|why| refuse(key, why));
        let query = asked.map(|query| template("url", query)).transpose()?;
        let is_granted = parts.headers.iter().any(|(name, text)| shows_granted(name, text));
        let headers = parts.headers.iter().filter(|(name, text)| !shows_granted(name, text));
        let headers = headers.map(|(name, text)| named(name, text).map_err(|why| refuse("headers", why)));
        let order = Self {
            method: method(parts.method),
            shown: format!("{}{path}", place(&base).trim_end_matches('/')),
            path: template("url", path)?,
            query,
            headers: headers.collect::<Result<_, _>>()?,
            content: content(parts).map_err(|(key, why)| refuse(key, why))?,
            base,
            is_granted,
        };
        order.check(parts.names, constants).map_err(|why| refuse("url", why))?;
        Ok(order)
    }

    /// Where it goes, without a path.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Whether it shows a token that the client is granted.
    pub(super) fn is_granted(&self) -> bool {
        self.is_granted
    }

    /// Sends it; `more` goes into the query.
    pub(super) async fn send<T>(
        &self,
        http: &Http,
        bearer: Option<&Bearer>,
        values: &Values<'_>,
        more: Option<(&str, &str)>,
        read: impl FnOnce(&Reply<'_>) -> T,
    ) -> Result<T, Answer> {
        let address = self.address(values, more)?;
        let call = self.content.put(Call::to(self.method.clone(), &address), values)?;
        let call = self.headers.iter().try_fold(call, |call, (name, template)| {
            let value = sensitive_header(&template.fill(values, header)?).ok_or_else(unpresentable)?;
            Ok::<_, Answer>(call.header(name.clone(), value))
        })?;
        let call = call.secrets(values.secrets());
        let reply = match bearer {
            Some(bearer) => bearer.send(http, call).await?,
            None => http.send(call).await?,
        };
        Ok(read(&reply))
    }

    fn address(&self, values: &Values<'_>, more: Option<(&str, &str)>) -> Result<Address, Answer> {
        let mut text = Zeroizing::new(self.base.as_str().trim_end_matches('/').to_owned());
        text.push_str(&self.path.fill(values, segment)?);
        let mut url = Url::parse(&text).map_err(|_| unpresentable())?;
        if let Some(template) = &self.query {
            url.set_query(Some(&template.fill(values, query)?));
        }
        if let Some((name, value)) = more {
            url.query_pairs_mut().append_pair(name, value);
        }
        Ok(Address::of(url, self.shown.clone()))
    }

    /// Whether the names in it are those that this call can fill in, its own among them.
    fn check(&self, allowed: &[Name], constants: &Constants) -> Result<(), String> {
        let names: Vec<Name> = self.names();
        if let Some(own) = allowed.first().filter(|own| !names.contains(own)) {
            return Err(format!("the call names {} nowhere: every target would be the same", own.written()));
        }
        let of_targets = [Name::Token, Name::Hint, Name::Sid, Name::Sub, Name::Client];
        match names.iter().find(|name| of_targets.contains(name) && !allowed.contains(name)) {
            Some(foreign) => Err(format!("{} is not known in this call", foreign.written())),
            None => constants.explain(&names),
        }
    }

    fn names(&self) -> Vec<Name> {
        let templates = [Some(&self.path), self.query.as_ref()].into_iter().flatten();
        let templates = templates.chain(self.headers.iter().map(|(_, template)| template));
        let granted = self.is_granted.then_some(Name::Granted);
        templates.flat_map(Template::names).chain(self.content.names()).chain(granted).collect()
    }
}

impl Content {
    fn put<'a>(&self, call: Call<'a>, values: &Values<'_>) -> Result<Call<'a>, Answer> {
        Ok(match self {
            Self::None => call,
            Self::Form(fields) => {
                let filled = fields.iter().map(|(name, template)| Ok((name, template.fill(values, plain)?)));
                let filled = filled.collect::<Result<Vec<_>, Answer>>()?;
                // Sized once, for the longest escapes: growing would leave copies of a token behind.
                let most = filled.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
                let mut form = Serializer::new(String::with_capacity(most));
                form.extend_pairs(filled.iter().map(|(name, value)| (name, value.as_str())));
                call.form(form.finish())
            }
            Self::Json(json) => call.json(&json.fill(values)?),
        })
    }

    fn names(&self) -> Vec<Name> {
        match self {
            Self::None => Vec::new(),
            Self::Form(fields) => fields.iter().flat_map(|(_, template)| template.names()).collect(),
            Self::Json(json) => json.names(),
        }
    }
}

impl Json {
    fn parse(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(values) => Self::List(values.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(members) => {
                let parsed = members.iter().map(|(name, value)| Ok((name.clone(), Self::parse(value)?)));
                Self::Object(parsed.collect::<Result<_, String>>()?)
            }
            other => Self::Other(other.clone()),
        })
    }

    fn fill(&self, values: &Values<'_>) -> Result<Value, Answer> {
        Ok(match self {
            Self::Text(template) => Value::String(template.fill(values, plain)?.to_string()),
            Self::List(list) => list.iter().map(|json| json.fill(values)).collect::<Result<_, _>>()?,
            Self::Object(members) => {
                let filled = members.iter().map(|(name, json)| Ok((name.clone(), json.fill(values)?)));
                Value::Object(filled.collect::<Result<_, Answer>>()?)
            }
            Self::Other(value) => value.clone(),
        })
    }

    fn names(&self) -> Vec<Name> {
        match self {
            Self::Text(template) => template.names().collect(),
            Self::List(list) => list.iter().flat_map(Self::names).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, json)| json.names()).collect(),
            Self::Other(_) => Vec::new(),
        }
    }
}

fn content(parts: &Parts<'_>) -> Result<Content, (&'static str, String)> {
    match (parts.json, parts.form) {
        (Some(JsonTemplate(value)), _) => Json::parse(value).map(Content::Json).map_err(|why| ("json", why)),
        (None, form) if form.is_empty() => Ok(Content::None),
        (None, form) => {
            let fields = form.iter().map(|(name, text)| Ok((name.clone(), Template::parse(text)?)));
            fields.collect::<Result<_, String>>().map(Content::Form).map_err(|why| ("form", why))
        }
    }
}

/// Scheme and authority, and what follows. No target chooses the host.
fn split(url: &str) -> Result<(&str, &str), String> {
    let host =
        url.find("://").map(|place| place + 3).ok_or("is no address; write it as https://host/path")?;
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |end| host + end);
    let (start, rest) = url.split_at(end);
    if start.contains('{') {
        return Err("has a name in braces in its host; they may stand in the path and query".to_owned());
    }
    if start.contains('\\') {
        return Err("has a backslash in its host; write it as https://host/path".to_owned());
    }
    if rest.contains('#') {
        return Err("has a fragment (#…); remove it".to_owned());
    }
    Ok((start, rest))
}

fn shows_granted(name: &str, text: &str) -> bool {
    name.eq_ignore_ascii_case(AUTHORIZATION.as_str()) && text == GRANTED
}

fn named(name: &str, text: &str) -> Result<(HeaderName, Template), String> {
    let shown = name.escape_debug();
    let header =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{shown} is no header's name"))?;
    if OF_THE_CONNECTION.contains(&header.as_str()) {
        return Err(format!("{shown} belongs to the connection; remove it"));
    }
    if HeaderValue::from_str(text).is_err() {
        return Err(format!("{shown} has a value that no header may have"));
    }
    let template = Template::parse(text).map_err(|why| format!("{shown} {why}"))?;
    if template.names().any(|name| name == Name::Granted) {
        return Err(format!("{shown}: {{granted}} stands only in Authorization = \"{GRANTED}\""));
    }
    Ok((header, template))
}

fn unpresentable() -> Answer {
    Answer::failed(Verdict::Refused, None, "a value of this target cannot stand in this call")
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    }
}
