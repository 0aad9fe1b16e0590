//! Metrics in the form that is asked for: the classic text of Prometheus, or OpenMetrics.

use hyper::header::{ACCEPT, HeaderMap};

use crate::{Reply, StatusCode, typed};

const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was encoded as OpenMetrics, in the form that a request with these headers accepts: classic, unless
/// OpenMetrics is named.
pub fn metrics(asked: &HeaderMap, openmetrics: String) -> Reply {
    if wants_openmetrics(asked) {
        typed(StatusCode::OK, OPENMETRICS, openmetrics)
    } else {
        typed(StatusCode::OK, CLASSIC, classic(&openmetrics))
    }
}

fn wants_openmetrics(asked: &HeaderMap) -> bool {
    let ranges = asked.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it =
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        is_it && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

/// OpenMetrics names a counter and an info without the ending of their series, has units, and an end.
fn classic(openmetrics: &str) -> String {
    let (mut text, mut help) = (String::with_capacity(openmetrics.len()), "");
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            let about = help.strip_prefix(name).unwrap_or_default();
            text.push_str(&format!("# HELP {name}{ending}{about}\n# TYPE {name}{ending} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_names_openmetrics_gets_it() {
        let asked = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a header"));
            wants_openmetrics(&headers)
        };
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert!(asked(prometheus) && asked("Application/OpenMetrics-Text"));
        for accept in ["*/*", "text/plain", "text/html,*/*;q=0.8", "application/openmetrics-text;q=0"] {
            assert!(!asked(accept), "{accept}");
        }
        assert!(!wants_openmetrics(&HeaderMap::new()));
    }

    #[test]
    fn each_kind_has_its_classic_name() {
        let openmetrics = "# HELP a Things.\n# TYPE a counter\na_total{x=\"# y\"} 1\n# HELP b_seconds Time.\n\
            # TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_sum 0.5\n# HELP c Build.\n\
            # TYPE c info\nc_info{version=\"1\"} 1\n# HELP d Level.\n# TYPE d gauge\nd NaN\n# EOF\n";
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"# y\"} 1\n\
            # HELP b_seconds Time.\n# TYPE b_seconds histogram\nb_seconds_sum 0.5\n# HELP c_info Build.\n\
            # TYPE c_info gauge\nc_info{version=\"1\"} 1\n# HELP d Level.\n# TYPE d gauge\nd NaN\n";
        assert_eq!(classic(openmetrics), expected);
    }
}
