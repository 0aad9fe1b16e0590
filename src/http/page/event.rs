//! One event's story, as a line of time.

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::cell::{badge, moment, number};
use super::frame::Frame;
use super::name;
use super::plot::duration;
use crate::attention::{mint, unapplied};
use crate::store::{AttemptRow, Happened, RevocationRow, Story};
use crate::visible::count;
use crate::visible::names::{first_of, printable};

/// A moment, as the database writes it, and what happened then.
type Moment = (OffsetDateTime, String, Markup);

/// The page of an event: `(source, id)`.
pub(super) fn page(frame: &Frame<'_>, story: &Story, (source, id): (&str, &str)) -> Markup {
    let now = parsed(&story.at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    html! {
        p { a href=(frame.to("./")) { "How everything stands" } }
        h1 { "Event " (name::name(id)) }
        p.besides { "from " (name::name(source)) }
        @if story.events.len() > 1 {
            p.warning { (story.events.len())
                " events with this identity are on record, and mean different things." }
        }
        @if let Some(sentence) = mint::sentence(mint::of(&story.targets)) { p.warning { (sentence) "." } }
        @for sentence in unapplied(&story.silent_verifiers, story.propagation.as_ref()) {
            p.warning { (printable(&sentence)) "." }
        }
        (facts(story))
        section aria-labelledby="story" {
            h2 #story { "What happened" }
            ol.timeline { @for (_, at, what) in moments(story) { li { (moment(Some(&at), now)) " "
                (what) } } }
        }
        (targets(&story.targets, now))
    }
}

fn facts(story: &Story) -> Markup {
    let first = story.events.first();
    let text = |of: fn(&Happened) -> Option<&str>| name::or_dash(first.and_then(of));
    html! {
        dl.facts {
            dt { "type" } dd { (text(|event| Some(&event.event_type))) }
            dt { "reason" } dd { (text(|event| event.reason.as_deref())) }
            dt { "actor" } dd { (text(|event| event.actor.as_deref())) }
            dt { "broker user" } dd { (text(|event| event.broker_user.as_deref())) }
            @if let Some(incident) = first.and_then(|event| event.incident.as_deref()) {
                dt { "incident" } dd { (name::linked(&name::of_incident(incident), incident)) }
            }
            @if let Some(told) = &story.propagation {
                dt { "applied by" } dd {
                    (number(told.applied_by)) " of " (number(told.live_verifiers)) " live verifiers"
                    @if !told.waiting_for.is_empty() { ", not yet by "
                        (name::name(&first_of(&told.waiting_for))) }
                }
            }
        }
    }
}

/// Everything with its time, in order.
fn moments(story: &Story) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |at: Option<&str>, what: Markup| {
        moments.extend(at.and_then(|at| Some((parsed(at)?, at.to_owned(), what))));
    };
    for event in &story.events {
        add(event.occurred_at.as_deref(), html! { "it happened, as its publisher says" });
        add(
            Some(&event.received_at),
            html! { "received" @if event.withheld { "; its denial waits for an approval" } },
        );
        add(event.denied_at.as_deref(), html! { "denied: verifiers were told to refuse it" });
    }
    story.attempts.iter().for_each(|attempt| add(Some(&attempt.started_at), call(attempt)));
    for target in &story.targets {
        let at = |column: &str| target.further.get(column).and_then(serde_json::Value::as_str);
        add(
            at("finished_at"),
            html! { "target " (ordinal(&target.revocation_id)) " is " (badge(&target.state)) },
        );
        add(
            at("confirmed_at"),
            html! { "target " (ordinal(&target.revocation_id)) ": verifiers were told that it is revoked" },
        );
    }
    moments.sort_by_key(|(at, ..)| *at);
    moments
}

fn call(attempt: &AttemptRow) -> Markup {
    html! {
        "target " (ordinal(&attempt.revocation_id)) ", call " (attempt.attempt) ": "
        @match &attempt.outcome {
            Some(outcome) => (badge(outcome)),
            None => "under way",
        }
        @if let Some(status) = attempt.http_status { ", HTTP " (status) }
        @if let Some(ms) = attempt.duration_ms { ", " (duration(ms as f64)) }
        @if let Some(error) = &attempt.error { ", " (name::error(error)) }
        @if let Some(worker) = &attempt.worker { " by " (name::name(worker)) }
    }
}

fn targets(rows: &[RevocationRow], now: OffsetDateTime) -> Markup {
    html! {
        section aria-labelledby="targets" {
            h2 #targets { "Targets" }
            div.scroll role="region" aria-labelledby="targets" tabindex="0" { table {
                caption { (count(rows.len(), "target")) }
                thead { tr {
                    th scope="col" { "target" } th scope="col" { "kind" } th scope="col" { "state" }
                        th scope="col" { "proof" }
                    th scope="col" { "provider" } th.number scope="col" { "calls" } th scope="col" {
                        "next call" }
                } }
                tbody { @for row in rows { tr {
                    th scope="row" { (ordinal(&row.revocation_id)) }
                    td { (row.token_type_hint.as_deref().unwrap_or(&row.target_kind).replace('_', " ")) }
                    td { (badge(&row.state)) }
                    td { @match &row.proof { Some(proof) => (badge(proof)), None => "–" } }
                    td { (name::name(&row.provider)) }
                    td.number { (number(row.attempts)) }
                    td { (moment(row.next_attempt_at.as_deref(), now)) }
                } } }
            } }
        }
    }
}

/// A target's number within its event, behind the last dash of its id.
fn ordinal(revocation_id: &str) -> &str {
    revocation_id.rsplit('-').next().unwrap_or_default()
}

fn parsed(at: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(at, &Rfc3339).ok()
}
