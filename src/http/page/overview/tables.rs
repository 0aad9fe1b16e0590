//! Verifiers, the backlog, what was refused.

use std::cmp::Reverse;

use maud::{Markup, html};
use serde_json::Number;
use time::OffsetDateTime;

use crate::http::page::cell::{badge, moment, number};
use crate::http::page::name;
use crate::http::page::plot::duration;
use crate::store::{BacklogRow, DeadLetters, Lately, VerifierRow};

/// So many verifiers are shown.
const VERIFIERS: usize = 20;

/// The slowest first: those that cannot vouch for their denylist, then by how far they are behind.
pub(super) fn verifiers(rows: &[VerifierRow], now: OffsetDateTime) -> Markup {
    // What one that is silent said of itself is no longer so.
    let lag = |row: &VerifierRow| row.lag_seconds.as_ref().filter(|_| row.live).and_then(Number::as_f64);
    let mut sorted: Vec<_> = rows.iter().collect();
    let slowness = |row: &VerifierRow| (lag(row).unwrap_or(f64::MAX) * 1e3) as u64;
    sorted.sort_by_key(|row| (!row.verified, row.up_to_date, Reverse(slowness(row))));
    html! {
        section aria-labelledby="verifiers" {
            h2 #verifiers { "Verifiers, the slowest first" }
            @if rows.is_empty() { p.none { "None has reported within a day." } }
            @else {
                div.scroll role="region" aria-labelledby="verifiers" tabindex="0" { table {
                    caption { (number(rows.len() as u64)) " in all" @if rows.len() > VERIFIERS { ", "
                        (VERIFIERS) " shown" } }
                    thead { tr {
                        th scope="col" { "verifier" } th scope="col" { "state" } th.number scope="col" {
                            "behind" }
                        th.number scope="col" { "entries" } th scope="col" { "last report" }
                    } }
                    tbody { @for row in sorted.into_iter().take(VERIFIERS) { tr {
                        th scope="row" { (name::name(&format!("{}/{}", row.service, row.instance))) }
                        td { (badge(&row.standing())) @if !row.verified { " " (badge("unverified")) } }
                        td.number { (lag(row).map_or_else(|| "–".to_owned(), |lag| duration(lag * 1e3))) }
                        td.number { (number(row.entries)) }
                        td { (moment(Some(&row.last_seen_at), now)) }
                    } } }
                } }
            }
        }
    }
}

/// What is left, by lane, with its oldest.
pub(super) fn backlog(rows: &[BacklogRow], now: OffsetDateTime) -> Markup {
    html! {
        section aria-labelledby="backlog" {
            h2 #backlog { "Backlog" }
            @if rows.is_empty() { p.none { "Empty." } }
            @else {
                div.scroll role="region" aria-labelledby="backlog" tabindex="0" { table {
                    caption { "Open targets by lane" }
                    thead { tr {
                        th scope="col" { "lane" } th scope="col" { "provider" } th scope="col" { "state" }
                        th.number scope="col" { "targets" } th scope="col" { "oldest" } th scope="col" {
                            "next attempt" }
                    } }
                    tbody { @for row in rows { tr {
                        th scope="row" { (row.lane) }
                        td { (name::name(&row.provider)) }
                        td { (badge(&row.state)) }
                        td.number { (number(row.targets)) }
                        td { (moment(row.oldest_received_at.as_deref(), now)) }
                        td { (moment(row.next_attempt_at.as_deref(), now)) }
                    } } }
                } }
            }
        }
    }
}

/// What was refused within the last hour, and what waits in `revocation.dead`.
pub(super) fn refusals(lately: &Lately, dead: &[DeadLetters], now: OffsetDateTime) -> Markup {
    let waiting = dead.first().map_or(0, |dead| dead.messages);
    html! {
        section aria-labelledby="refusals" {
            h2 #refusals { "Refused in the last hour" }
            @if waiting > 0 {
                p { (number(waiting)) " refused messages wait in revocation.dead: "
                    (name::command("revocation-worker dead list")) }
            }
            @if lately.refusals.is_empty() { p.none { "None." } }
            @else {
                div.scroll role="region" aria-labelledby="refusals" tabindex="0" { table {
                    caption { "By reason; of very many, the last 10,000" }
                    thead { tr { th scope="col" { "reason" } th.number scope="col" { "messages" }
                        th scope="col" { "last" } } }
                    tbody { @for row in &lately.refusals { tr {
                        th scope="row" { (row.code.replace('_', " ")) }
                        td.number { (number(row.messages)) }
                        td { (moment(Some(&row.last_at), now)) }
                    } } }
                } }
                h3 { "The last few" }
                ul.refused { @for row in &lately.refused { li {
                    (moment(Some(&row.rejected_at), now)) ": " (row.code.replace('_', " ")) ", "
                        (name::name(&row.detail))
                    @if let Some(user) = &row.broker_user { " by " (name::name(user)) }
                    @if let Some(id) = &row.event_id { ", event " (name::name(id)) }
                } } }
            }
        }
    }
}
