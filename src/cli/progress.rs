//! What a person sees while a command works through its input: a bar on a terminal's standard error, and
//! every refused line.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::remark;
use crate::order::observer::Observer;

/// With the whole known, its share and the time left; else only the count.
const KNOWN: &str = "{wide_bar} {percent:>3} %  {msg}  {eta} left";
const UNKNOWN: &str = "{spinner} {msg}  {elapsed}";

/// The bar draws nothing where standard error is not a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
    done: u64,
    verb: &'static str,
    refused: u64,
    /// What is confirmed comes in any order; the furthest is shown.
    furthest: u64,
    lists_refusals: bool,
}

impl Progress {
    /// `total`: the last position; `verb`: what is done with each good piece. In JSON mode the summary lists
    /// the refusals.
    pub(super) fn new(total: Option<u64>, verb: &'static str, json: bool) -> Self {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(if total.is_some() { KNOWN } else { UNKNOWN }) {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now(), done: 0, verb, refused: 0, furthest: 0, lists_refusals: !json }
    }

    fn passed(&mut self, position: u64) {
        self.furthest = self.furthest.max(position);
        self.bar.set_position(self.furthest);
        if !self.bar.is_hidden() {
            let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
            let refused =
                if self.refused > 0 { format!(", {} refused", self.refused) } else { String::new() };
            self.bar.set_message(format!("{} {}{refused}, {rate:.0}/s", self.done, self.verb));
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn done(&mut self, pieces: u64, position: u64) {
        self.done += pieces;
        self.passed(position);
    }

    fn advanced(&mut self, pieces: u64) {
        self.done(pieces, self.furthest + pieces);
    }

    fn skipped(&mut self, pieces: u64) {
        self.passed(self.furthest + pieces);
    }

    fn refused(&mut self, line: u64, why: &str, position: u64) {
        self.refused += 1;
        if self.lists_refusals {
            self.bar.suspend(|| remark(format_args!("line {line} refused: {why}")));
        }
        self.passed(position);
    }
}
