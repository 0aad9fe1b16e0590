//! What surrounds every page: where one is, the search, how old the figures are and whether they follow.

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};
use time::OffsetDateTime;

use super::name::{query, short};
use crate::VERSION;
use crate::visible::names::printable;
use crate::visible::times::{second, span};

/// How often a page that follows is loaded again, where nothing else is asked for.
const EVERY_S: u64 = 5;
/// And how often at most.
const FASTEST_S: u64 = 2;

/// What surrounds one page.
pub(super) struct Frame<'a> {
    instance: &'a str,
    now: OffsetDateTime,
    title: String,
    /// The way from this page to the first.
    root: &'static str,
    /// What is asked for, without how often.
    asked: Vec<(String, String)>,
    /// How often the page is loaded again, s.
    every: Option<u64>,
    /// Loaded again, it shows something else.
    is_still: bool,
}

/// Figures of this age are said to be so old.
const OLD: Duration = Duration::from_secs(5);

/// What is wrong with what a page shows.
pub(super) fn warning(problem: &str, age: Option<Duration>) -> Markup {
    html! {
        p.warning role="status" {
            strong {
                @match age {
                    Some(age) => { "These figures are " (span(age.as_secs())) " old." }
                    None => "There are no figures.",
                }
            }
            " " (printable(problem))
        }
    }
}

impl<'a> Frame<'a> {
    /// Of a page at the top. `refresh`: every so many seconds.
    pub(super) fn new(instance: &'a str, now: OffsetDateTime, refresh: &str) -> Self {
        let every = refresh.parse().ok().map(|every: u64| every.clamp(FASTEST_S, 3600));
        Self { instance, now, title: String::new(), root: "", asked: Vec::new(), every, is_still: false }
    }

    /// Of a page one step below.
    pub(super) fn below(self) -> Self {
        Self { root: "../", ..self }
    }

    /// Of a page that is asked for by these.
    pub(super) fn of(self, asked: &[(&str, &str)]) -> Self {
        let asked = asked.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { asked, ..self }
    }

    /// Of a page that is not to be loaded again.
    pub(super) fn still(self) -> Self {
        Self { every: None, is_still: true, ..self }
    }

    pub(super) fn titled(self, title: &str) -> Self {
        Self { title: short(title), ..self }
    }

    /// The way from this page to one at the top.
    pub(super) fn to(&self, page: &str) -> String {
        format!("{}{page}", self.root)
    }

    /// The whole page.
    pub(super) fn page(&self, age: Option<Duration>, body: Markup) -> String {
        let home = if self.root.is_empty() { "./" } else { self.root };
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if let Some(every) = self.every { meta http-equiv="refresh" content=(every); }
                    title { (self.title) " · revocation-worker" }
                    link rel="stylesheet" href=(self.to("page.css"));
                }
                body {
                    a.skip href="#main" { "Skip to the figures" }
                    header {
                        nav aria-label="Start" { a.brand href=(home) { "revocation-worker" } }
                        (self.search())
                        (self.follows(age))
                    }
                    main #main tabindex="-1" { (body) }
                    footer {
                        p { "Nothing here changes anything. Worker " bdi { (short(self.instance)) }
                            ", version " (VERSION) "." }
                    }
                }
            }
        }
        .into_string()
    }

    fn search(&self) -> Markup {
        html! {
            form role="search" action=(self.to("search")) method="get" autocomplete="off" {
                label for="q" { "Event id or SHA-256 of a token" }
                input #q name="q" type="search" spellcheck="false" maxlength="100";
                button { "Search" }
            }
        }
    }

    /// How old the figures are, and the switch that has them follow.
    fn follows(&self, age: Option<Duration>) -> Markup {
        html! {
            p.follows {
                @if let Some(at) = age.and_then(|age| second(self.now - age)) {
                    "Figures as of " (at)
                    @if let Some(age) = age.filter(|age| *age >= OLD) { ", " (span(age.as_secs())) " ago" }
                    ". "
                }
                @if !self.is_still { (self.switch()) }
            }
        }
    }

    fn switch(&self) -> Markup {
        let asked: Vec<_> = self.asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let seconds = EVERY_S.to_string();
        let on = query(&[asked.as_slice(), &[("refresh", seconds.as_str())]].concat());
        html! {
            @match self.every {
                Some(every) => {
                    "Loaded again every " (every) "\u{a0}s. "
                    a href={ "?" (query(&asked)) } { "Stop" }
                }
                None => a href={ "?" (on) } { "Load again every " (EVERY_S) "\u{a0}s" },
            }
        }
    }
}
