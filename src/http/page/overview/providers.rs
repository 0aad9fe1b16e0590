//! How each provider fares.

use maud::{Markup, html};
use time::OffsetDateTime;

use crate::http::page::cell::{badge, moment, number};
use crate::http::page::{name, plot};
use crate::store::{Lately, ProviderCalls, ProviderRow, Status};
use crate::visible::count;
use crate::visible::times::utc;

pub(super) fn providers(status: &Status, lately: &Lately, now: OffsetDateTime) -> Markup {
    html! {
        section aria-labelledby="providers" {
            h2 #providers { "Providers" }
            @if status.providers.is_empty() { p.none { "No live worker has told of one." } }
            div.cards { @for row in &status.providers { (card(row, &lately.calls, now)) } }
        }
    }
}

fn card(row: &ProviderRow, all: &[ProviderCalls], now: OffsetDateTime) -> Markup {
    let own: Vec<_> = all.iter().filter(|calls| calls.provider == row.provider).collect();
    let (calls, failures) = (sum(&own, |own| &own.calls), sum(&own, |own| &own.failures));
    let (many, failed) = (calls.iter().sum::<u64>(), failures.iter().sum::<u64>());
    let says = format!("{} in the last five minutes, {} failed", count(many, "call"), number(failed));
    let error = row.last_error.as_deref().filter(|_| row.breaker != "closed" || failed > 0);
    let p95 = row.p95_ms_5m.as_ref().and_then(serde_json::Number::as_f64);
    html! {
        article.card {
            h3 { (name::name(&row.provider)) " " (badge(&row.breaker)) }
            @if row.breaker != "closed" { p.why { (why(&own, row)) } }
            (plot::sparkline(&says, &calls, &failures))
            p.caption { (says) }
            dl {
                dt { "last success" } dd { (moment(row.last_success_at.as_deref(), now)) }
                dt { "95 of 100 within" } dd { (p95.map_or_else(|| "–".to_owned(), plot::duration)) }
                @if let Some(error) = error {
                    dt { "last error" } dd { (name::error(error)) }
                }
            }
        }
    }
}

/// Why a provider is left alone, in words.
fn why(own: &[&ProviderCalls], row: &ProviderRow) -> String {
    let until = row.held_until.as_deref().map(|until| format!(" until {}", utc(Some(until))));
    let is = |reason: &str| own.iter().any(|calls| calls.reason.as_deref() == Some(reason));
    if is("misconfigured") {
        "A person has to mend something: credentials, address or certificate. It is probed until then."
            .to_owned()
    } else if is("retry_after") || until.is_some() {
        format!("It asked to be left alone{}.", until.unwrap_or_default())
    } else {
        "Calls fail. Targets wait and spend no attempt; it is probed.".to_owned()
    }
}

/// Slot by slot over all workers.
fn sum(own: &[&ProviderCalls], of: fn(&ProviderCalls) -> &[u32]) -> Vec<u64> {
    let slots = own.iter().map(|calls| of(calls).len()).max().unwrap_or(0);
    let at =
        |slot: usize| own.iter().filter_map(|calls| of(calls).get(slot)).map(|count| u64::from(*count)).sum();
    (0..slots).map(at).collect()
}
