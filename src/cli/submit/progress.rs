//! What a person sees while `submit` runs: a bar on a terminal's standard error, and every refused line.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::ndjson::Line;
use crate::cli::output::remark;
use crate::event::Refusal;

/// With the size of the input known, its share and the time left; else only the count.
const KNOWN: &str = "{wide_bar} {percent:>3} %  {msg}  {eta} left";
const UNKNOWN: &str = "{spinner} {msg}  {elapsed}";

/// The bar draws nothing where standard error is not a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
    done: u64,
    verb: &'static str,
    refused: u64,
    /// Lines come confirmed in any order; the furthest one is shown.
    furthest: u64,
    lists_refusals: bool,
}

impl Progress {
    /// `total`: bytes of the input; `verb`: what is done with a good line. In JSON mode the summary lists the refusals.
    pub(super) fn new(total: Option<u64>, verb: &'static str, json: bool) -> Self {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(if total.is_some() { KNOWN } else { UNKNOWN }) {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now(), done: 0, verb, refused: 0, furthest: 0, lists_refusals: !json }
    }

    /// A good line is done; it ends at byte `end` of the input.
    pub(super) fn done(&mut self, end: u64) {
        self.done += 1;
        self.passed(end);
    }

    fn passed(&mut self, end: u64) {
        self.furthest = self.furthest.max(end);
        self.bar.set_position(self.furthest);
        if !self.bar.is_hidden() {
            let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
            self.bar.set_message(format!("{} {}, {} refused, {rate:.0}/s", self.done, self.verb, self.refused));
        }
    }

    /// A line was refused.
    pub(super) fn refused(&mut self, line: &Line, refusal: &Refusal) {
        self.refused += 1;
        if self.lists_refusals {
            self.bar.suspend(|| remark(format_args!("line {} refused: {refusal}", line.number)));
        }
        self.passed(line.end);
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
