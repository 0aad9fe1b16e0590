//! The search: by an event's id, a traceparent, or the digest of a token. A token itself is not taken: what
//! is typed here stands in the browser's history and in a proxy's log.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;

use super::cell::{badge, moment};
use super::name;
use crate::store::{AuditRow, Question};
use crate::trace::Trace;

/// So many targets are shown.
const FOUND: usize = 50;
/// A search that takes longer is given up.
const LONGEST: Duration = Duration::from_secs(5);
/// An id of an event is no longer.
const LONGEST_ID: usize = 100;
/// Three parts of a token are at least so long together.
const SHORTEST_TOKEN: usize = 40;

/// What is asked of the record; else why it is not asked. What was typed is never shown.
pub(super) fn question(wanted: &str) -> Result<Question, Markup> {
    let is_digest = wanted.len() == 64 && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    let question = Question { limit: FOUND, within: Some(LONGEST), ..Question::default() };
    if is_digest {
        let digest = wanted.to_ascii_lowercase();
        Ok(Question { token: Some([digest.clone(), digest]), ..question })
    } else if let Some(trace) = Trace::parse(wanted) {
        Ok(Question { columns: vec![("trace_id", trace.shown_id())], ..question })
    } else if wanted.is_empty() {
        Err(refusal(
            "Nothing was asked for.",
            "An event's id, or the SHA-256 of a token in 64 hexadecimal digits.",
        ))
    } else if is_like_a_token(wanted) {
        Err(refusal(
            "This looks like a token, and was not looked up.",
            "It now stands in this browser's history and perhaps in a proxy's log: have it revoked. To find \
                a token, read it from a pipe: only its digest leaves your terminal.",
        ))
    } else {
        Ok(Question { columns: vec![("event_id", wanted.to_owned())], ..question })
    }
}

/// Whether an event's id is asked for, which is found beside its source.
pub(super) fn is_by_id(question: &Question) -> bool {
    question.columns.iter().any(|(column, _)| *column == "event_id")
}

fn is_like_a_token(wanted: &str) -> bool {
    let has_three_parts = wanted.split('.').filter(|part| !part.is_empty()).count() >= 3;
    let begins_like_one = ["eyJ", "Bearer ", "bearer "].iter().any(|start| wanted.starts_with(start));
    wanted.len() > LONGEST_ID || begins_like_one || (has_three_parts && wanted.len() > SHORTEST_TOKEN)
}

fn refusal(what: &str, why: &str) -> Markup {
    html! {
        h1 { (what) }
        p { (why) }
        (name::command("read -rs TOKEN; printf %s \"$TOKEN\" | revocation-worker audit --token -"))
    }
}

/// What was found.
pub(super) fn page(rows: &[AuditRow], now: OffsetDateTime) -> Markup {
    html! {
        p { a href="./" { "How everything stands" } }
        h1 { "Search" }
        @if rows.is_empty() {
            p.none {
                "Nothing of this id or digest is on record. It may still be in the broker, or was refused." }
        } @else {
            div.scroll role="region" aria-label="What was found" tabindex="0" { table {
                caption { "Targets, the newest first" @if rows.len() >= FOUND { "; the first " (FOUND) } }
                thead { tr {
                    th scope="col" { "event" } th scope="col" { "source" } th scope="col" { "kind" }
                        th scope="col" { "state" }
                    th scope="col" { "provider" } th scope="col" { "received" }
                } }
                tbody { @for row in rows { (found(row, now)) } }
            } }
        }
    }
}

fn found(row: &AuditRow, now: OffsetDateTime) -> Markup {
    let text = |column: &str| row.get(column).and_then(serde_json::Value::as_str);
    let (source, id) = (text("event_source").unwrap_or_default(), text("event_id").unwrap_or_default());
    let kind = text("token_type_hint").or(text("target_kind")).unwrap_or_default();
    html! { tr {
        th scope="row" { (name::linked(&name::of_event(source, id), id)) }
        td { (name::name(source)) }
        td { (kind.replace('_', " ")) }
        td { (badge(text("state").unwrap_or_default())) }
        td { (name::or_dash(text("provider"))) }
        td { (moment(text("received_at"), now)) }
    } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_token_is_neither_asked_nor_shown() {
        let opaque = "x".repeat(101);
        for token in [
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.c2ln",
            "Bearer abc",
            opaque.as_str(),
            "AAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBB.CC",
        ] {
            let refused = question(token).map(|_| ()).expect_err("refused").into_string();
            assert!(refused.contains("looks like a token") && !refused.contains(token), "{refused}");
        }
    }

    #[test]
    fn ids_and_digests_are_asked() {
        for id in ["6f1c1f8e-0d3a-4a07-8f2e-3a1b2c3d4e5f", "a.b.c", "1", "évent"] {
            let question = question(id).expect("asked");
            assert_eq!(question.columns, [("event_id", id.to_owned())]);
        }
        let digest = "AB".repeat(32);
        let question = question(&digest).expect("asked");
        assert_eq!(question.token, Some([digest.to_lowercase(), digest.to_lowercase()]));
    }
}
