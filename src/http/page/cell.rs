//! Moments, numbers and states, as every page shows them.

use maud::{Markup, html};
use time::OffsetDateTime;

pub(super) use crate::visible::apart as number;
use crate::visible::colour::Colour;
use crate::visible::names::printable;
use crate::visible::times::{ago, utc};

/// A moment by how long ago it was, with the moment itself.
pub(super) fn moment(at: Option<&str>, now: OffsetDateTime) -> Markup {
    match at {
        Some(at) => html! { time datetime=(at) title=(utc(Some(at))) { (ago(at, now)) } },
        None => html! { "–" },
    }
}

/// A state, an outcome, a proof or a breaker, in its colour.
pub(super) fn badge(word: &str) -> Markup {
    let class = match Colour::of(word) {
        Colour::Calls => "badge calls",
        Colour::Waits => "badge waits",
        Colour::Fine => "badge fine",
        Colour::Quiet => "badge quiet",
        Colour::Plain => "badge",
    };
    html! { span class=(class) { (printable(&word.replace('_', " "))) } }
}
