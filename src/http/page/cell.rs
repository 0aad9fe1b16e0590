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

/// The style sheet's name of a colour.
pub(super) fn class(colour: Colour) -> &'static str {
    match colour {
        Colour::Calls => "calls",
        Colour::Waits => "waits",
        Colour::Fine => "fine",
        Colour::Quiet => "quiet",
        Colour::Plain => "",
    }
}

/// A state, an outcome, a proof or a breaker, in its colour.
pub(super) fn badge(word: &str) -> Markup {
    html! { span class={ "badge " (class(Colour::of(word))) } { (printable(&word.replace('_', " "))) } }
}
