//! Where spans of traces are sent.

use url::{Host, Url};

use super::Secret;
use super::quantity::within;
use super::rule::{optional, secret};
use super::section::Section;
use super::setting::settings;

/// Whether spans can be sent at all.
const IS_BUILT_IN: bool = cfg!(feature = "otlp");

settings! {
    /// `[telemetry]`
    pub struct TelemetryConfig {
        /// Base address of the OTLP receiver that spans are sent to, protobuf over HTTP, such as
        /// `http://collector:4318`: `/v1/traces` is appended. Without it, no span is made. Only in builds
        /// with the cargo feature `otlp`, like the other settings here.
        pub otlp_endpoint: Option<Url> = optional().form("address").then(endpoint),
        /// Headers for it, such as its key: `<name>=<value>`, with commas between.
        pub otlp_headers: Vec<(String, Secret)> = secret().then(headers).default("none"),
        /// Which part of the traces that begin here is recorded, for events that come without a trace. Of the
        /// others, who began the trace decides.
        pub trace_sample_ratio: f64 = within(1.0, 0.0..=1.0).then(of_feature),
    }
    check headers_travel_encrypted
}

/// Whatever is set for what is not there would be believed to work.
fn of_feature<T>(value: T, key: &str, section: &mut Section<'_>) -> T {
    if section.has(key) {
        refuse_unless(IS_BUILT_IN, key, section);
    }
    value
}

fn refuse_unless(is_built_in: bool, key: &str, section: &mut Section<'_>) {
    if !is_built_in {
        let why = "this build sends no spans; build it with the cargo feature otlp (--features otlp), or \
            remove the setting";
        section.refuse(key, why);
    }
}

fn endpoint(given: Option<String>, key: &str, section: &mut Section<'_>) -> Option<Url> {
    let given = of_feature(given, key, section)?;
    let url = Url::parse(given.trim_end_matches('/')).ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let Some(mut url) = url else {
        section.unless_refused(key, "not a valid address; give one such as http://collector:4318");
        return None;
    };
    let is_plain = url.username().is_empty() && url.password().is_none();
    if !is_plain || url.query().is_some() || url.fragment().is_some() {
        let why =
            "must hold no user, password, query or fragment; credentials go into telemetry.otlp_headers";
        section.unless_refused(key, why);
        return None;
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url)
}

/// `name=value,name=value`
fn headers(given: Option<Secret>, key: &str, section: &mut Section<'_>) -> Vec<(String, Secret)> {
    let Some(given) = of_feature(given, key, section) else { return Vec::new() };
    let parts = given.expose().split(',').map(str::trim).filter(|part| !part.is_empty());
    let read: Option<Vec<_>> = parts.map(header).collect();
    if read.is_none() {
        section.unless_refused(key, "must be name=value, with commas between; values are printable ASCII");
    }
    read.unwrap_or_default()
}

fn header(text: &str) -> Option<(String, Secret)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let is_value = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (is_name && is_value).then(|| (name.to_owned(), Secret::new(value.to_owned())))
}

fn headers_travel_encrypted(telemetry: &TelemetryConfig, section: &mut Section<'_>) {
    let Some(endpoint) = &telemetry.otlp_endpoint else { return };
    let is_near = match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if endpoint.scheme() == "http" && !is_near && !telemetry.otlp_headers.is_empty() {
        let why = "must start with https://, as the secrets of telemetry.otlp_headers are sent there";
        section.refuse("otlp_endpoint", why);
    }
}
