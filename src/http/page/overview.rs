//! The first page, in the order in which somebody asks at night: what may still work, what waits for me, how
//! far incidents are, how providers and verifiers fare, what is left, how fast it goes, what was refused.

mod providers;
mod tables;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::providers::providers;
use self::tables::{backlog, refusals, verifiers};
use super::cell::class;
use super::incident::card;
use super::{name, plot};
use crate::attention::{Finding, truth, wrong};
use crate::store::{LatencyRow, Overview};
use crate::visible::names::printable;

/// What stands between the frame.
pub(super) fn page(overview: &Overview) -> Markup {
    let Overview { at, status, lately } = overview;
    let now = OffsetDateTime::parse(at, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let truth = truth(status, &lately.open);
    html! {
        h1 class={ "truth " (class(truth.colour)) } { (truth.says) }
        @for besides in &truth.besides { p.besides { (besides) "." } }
        (waits(&wrong(status)))
        section aria-labelledby="incidents" {
            h2 #incidents { "Incidents" }
            @if status.incidents.is_empty() { p.none { "None under way." } }
            div.cards { @for incident in &status.incidents { (card(incident, now)) } }
        }
        (providers(status, lately, now))
        (verifiers(&status.verifiers, now))
        (backlog(&status.backlog, now))
        (latencies(&lately.latencies))
        (refusals(lately, &status.dead_letters, now))
    }
}

/// What waits for a person, with the command to paste.
fn waits(findings: &[Finding]) -> Markup {
    html! {
        section aria-labelledby="person" {
            h2 #person { "Waits for a person" }
            @if findings.is_empty() { p.none { "Nothing." } }
            ul.findings {
                @for finding in findings {
                    li {
                        (sentence(&finding.says))
                        @if let Some(command) = &finding.command { (name::command(command)) }
                    }
                }
            }
        }
    }
}

/// A sentence with names in it, which may be long.
fn sentence(text: &str) -> Markup {
    html! { p.sentence { (printable(text)) } }
}

fn latencies(minutes: &[LatencyRow]) -> Markup {
    let each = |of: fn(&LatencyRow) -> &[u64]| -> Vec<plot::Minute<'_>> {
        minutes.iter().map(|row| (row.minutes_ago, of(row))).collect()
    };
    html! {
        section aria-labelledby="latency" {
            h2 #latency { "The last hour" }
            p.note {
                "From the receipt of an event. Dark: half of them; light: 99 of 100. "
                "Each worker adds to it every 15 s."
            }
            div.plots {
                (plot::durations("Until verifiers are told", &each(|row| &row.denial)))
                (plot::durations("Until the provider has revoked", &each(|row| &row.revocation)))
            }
        }
    }
}
