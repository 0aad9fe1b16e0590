//! `[telemetry]`, in builds that send spans and in those that do not.

use super::*;

const ENDPOINT: &str = "telemetry.otlp_endpoint";
const HEADERS: &str = "telemetry.otlp_headers";
const RATIO: &str = "telemetry.trace_sample_ratio";

fn read(given: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let given: String = given.iter().map(|(setting, value)| format!("{setting} = {value:?}\n")).collect();
    load_with(&format!("{given}{BASE}{MAIN}"), &[])
}

#[test]
fn without_it_nothing_is_sent() {
    let telemetry = load(&format!("{BASE}{MAIN}")).telemetry;
    assert!(telemetry.otlp_endpoint.is_none() && telemetry.otlp_headers.is_empty());
    assert_eq!(telemetry.trace_sample_ratio, 1.0);
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_build_that_sends_no_spans_refuses_it_by_the_features_name() {
    for (setting, value) in [(ENDPOINT, "http://collector:4318"), (HEADERS, "a=b"), (RATIO, "0.5")] {
        let found = read(&[(setting, value)]).err().expect("refused").problems().to_vec();
        assert_only(&found, setting, "build it with the cargo feature otlp (--features otlp)");
    }
}

#[cfg(feature = "otlp")]
#[test]
fn spans_go_to_the_path_of_the_standard() {
    for (given, wanted) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://otel.example.com/", "https://otel.example.com/v1/traces"),
        ("https://otel.example.com/otlp", "https://otel.example.com/otlp/v1/traces"),
    ] {
        let telemetry = read(&[(ENDPOINT, given)]).unwrap_or_else(|error| panic!("{error}")).telemetry;
        assert_eq!(telemetry.otlp_endpoint.expect("an endpoint").as_str(), wanted);
    }
    let given =
        [(ENDPOINT, "https://c"), (HEADERS, "authorization=Bearer a=b, x-tenant=shop"), (RATIO, "0.25")];
    let telemetry = read(&given).unwrap_or_else(|error| panic!("{error}")).telemetry;
    let headers = telemetry.otlp_headers.iter().map(|(name, value)| (name.as_str(), value.expose()));
    assert_eq!(headers.collect::<Vec<_>>(), [("authorization", "Bearer a=b"), ("x-tenant", "shop")]);
    assert_eq!(telemetry.trace_sample_ratio, 0.25);
}

#[cfg(feature = "otlp")]
#[test]
fn what_cannot_be_meant_is_refused() {
    let near = (ENDPOINT, "http://127.0.0.1:4318");
    for (given, setting, sentence) in [
        ([(ENDPOINT, "collector:4318"), (RATIO, "1")], ENDPOINT, "not a valid address"),
        ([(ENDPOINT, "grpc://c"), (RATIO, "1")], ENDPOINT, "not a valid address"),
        ([(ENDPOINT, "https://u:hunter2@c"), (RATIO, "1")], ENDPOINT, "must hold no user"),
        ([(ENDPOINT, "https://c/?key=hunter2"), (RATIO, "1")], ENDPOINT, "no user"),
        (
            [(ENDPOINT, "http://collector:4318"), (HEADERS, "a=hunter2")],
            "telemetry.otlp_endpoint",
            "https://",
        ),
        ([near, (HEADERS, "hunter2")], HEADERS, "must be name=value"),
        ([near, (HEADERS, "a b=hunter2")], HEADERS, "must be name=value"),
        ([near, (HEADERS, "a=hünter2")], HEADERS, "must be name=value"),
        ([near, (RATIO, "1.5")], RATIO, "out of range"),
        ([near, (RATIO, "NaN")], RATIO, "out of range"),
        ([near, (RATIO, "some")], RATIO, "must be a number"),
    ] {
        let found = read(&given).err().unwrap_or_else(|| panic!("{given:?}")).problems().to_vec();
        assert_only(&found, setting, sentence);
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
    assert!(read(&[near, (HEADERS, "a=b")]).is_ok());
}
