//! Colours on a terminal.

use std::io::{IsTerminal, stdout};

pub(super) use crate::visible::colour::Colour;

/// A text in a colour, where colours are wanted.
pub(super) fn paint(colour: Colour, text: &str, coloured: bool) -> String {
    let code = match colour {
        Colour::Calls => "31",
        Colour::Waits => "33",
        Colour::Fine => "32",
        Colour::Quiet => "2",
        Colour::Plain => return text.to_owned(),
    };
    if coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Whether standard output shows colours, and they were not declined (<https://no-color.org>).
pub(super) fn are_wanted() -> bool {
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|given| given == value);
    let is_declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !is_declined && !is("TERM", "dumb")
}
