//! One incident: as a card of the first page, and a page of its own.

use maud::{Markup, html};
use time::OffsetDateTime;

use super::cell::{badge, moment, number};
use super::frame::Frame;
use super::{name, plot};
use crate::attention::{asked, call_for_action, operation as done};
use crate::store::{Incident, IncidentDetail, StateCounts};
use crate::visible::names::printable;
use crate::visible::times::span;

/// An incident on the first page.
pub(super) fn card(row: &Incident, now: OffsetDateTime) -> Markup {
    html! {
        article.card {
            h3 { (name::linked(&name::of_incident(&row.incident), &row.incident)) " " (badge(&row.state)) }
            (progress(row))
            p.caption { "opened " (moment(row.opened_at.as_deref(), now)) " by "
                (name::or_dash(row.opened_by.as_deref())) }
        }
    }
}

/// The page of an incident.
pub(super) fn page(frame: &Frame<'_>, incident: &IncidentDetail, now: OffsetDateTime) -> Markup {
    let row = &incident.row;
    html! {
        p { a href=(frame.to("./")) { "How everything stands" } }
        h1 { "Incident " (name::name(&row.incident)) " " (badge(&row.state)) }
        @if let Some(call) = call_for_action(row) {
            p.findings { (call.says) ": " @if let Some(command) = &call.command {
                (name::command(command)) } }
        }
        @if let Some(named) = asked(incident) { p.findings { (printable(&named)) } }
        (progress(row))
        (facts(incident, now))
        (providers(incident))
        section aria-labelledby="operations" {
            h2 #operations { "What was done to it" }
            @let operations = incident.operations.as_deref().unwrap_or_default();
            @if operations.is_empty() { p.none { "Nothing." } }
            ol.timeline { @for operation in operations { li {
                (moment(Some(&operation.at), now)) " by " (name::name(&operation.actor)) ": "
                    (printable(&done(operation)))
            } } }
        }
        p.note {
            "What it leaves open, target by target: "
            (name::command(&crate::visible::names::command("incident show", "", &row.incident)))
        }
    }
}

fn facts(incident: &IncidentDetail, now: OffsetDateTime) -> Markup {
    let row = &incident.row;
    html! {
        dl.facts {
            dt { "reason" } dd { (name::or_dash(row.reason.as_deref())) }
            dt { "opened" } dd { (moment(row.opened_at.as_deref(), now)) " by "
                (name::or_dash(row.opened_by.as_deref())) }
            @if let Some(by) = &row.approved_by { dt { "approved" } dd {
                (moment(row.approved_at.as_deref(), now)) " by " (name::name(by)) } }
            @if let Some(by) = &row.cancelled_by { dt { "cancelled" } dd { "by " (name::name(by)) ": "
                (name::or_dash(row.cancel_reason.as_deref())) } }
            @if let Some(at) = &row.finished_at { dt { "finished" } dd { (moment(Some(at), now)) } }
            @if let Some(rate) = row.throttle_per_s { dt { "throttle" } dd { (number(rate)) " a second" } }
            dt { "held by workers" } dd { (number(incident.in_flight)) }
        }
    }
}

fn providers(incident: &IncidentDetail) -> Markup {
    html! {
        section aria-labelledby="by-provider" {
            h2 #by-provider { "By provider" }
            div.scroll role="region" aria-labelledby="by-provider" tabindex="0" { table {
                caption { "Its targets by state" }
                thead { tr {
                    th scope="col" { "provider" }
                    @for (state, _) in states(&StateCounts::default()) { th.number scope="col" { (state) } }
                } }
                tbody { @for row in &incident.providers { tr {
                    th scope="row" { (name::name(&row.provider)) }
                    @for (_, targets) in states(&row.counts) { td.number { (number(targets)) } }
                } } }
            } }
        }
    }
}

fn states(counts: &StateCounts) -> [(&'static str, u64); 6] {
    [
        ("pending", counts.pending),
        ("parked", counts.parked),
        ("revoked", counts.revoked),
        ("unsupported", counts.unsupported),
        ("expired", counts.expired),
        ("cancelled", counts.cancelled),
    ]
}

/// How far it is: a bar, and the same in words.
fn progress(row: &Incident) -> Markup {
    let whole = row.targets_expected.unwrap_or(0).max(row.targets_received);
    let counts = &row.counts;
    let ended = counts.expired + counts.cancelled;
    let done = counts.revoked + ended;
    let unsupported = match counts.unsupported {
        0 => String::new(),
        some => format!(", {} that the provider cannot revoke", number(some)),
    };
    let (rate, left) = row.pace();
    let rate = rate.filter(|rate| *rate > 0.0).map(|rate| format!(", {rate:.0} a second"));
    let left = left.filter(|seconds| (f64::MIN_POSITIVE..1e9).contains(seconds));
    let left = left.map(|seconds| format!(", about {} left", span(seconds.ceil() as u64)));
    let says = format!(
        "{} of {} done{unsupported}, {} denied{}{}",
        number(done),
        number(whole),
        number(row.denied),
        rate.unwrap_or_default(),
        left.unwrap_or_default()
    );
    let parts = [
        (counts.revoked, "revoked"),
        (ended, "ended"),
        (counts.unsupported, "unsupported"),
        (counts.parked, "parked"),
        (counts.pending, "pending"),
    ];
    html! {
        (plot::bar(&says, whole, &parts))
        p.caption { (says) }
        ul.legend {
            @for (count, class) in parts { @if count > 0 { li class=(class) { (number(count)) " "
                (class) } } }
            @if whole > row.targets_received { li.rest { (number(whole - row.targets_received))
                " still to come" } }
        }
    }
}
