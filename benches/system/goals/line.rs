//! One goal: what must hold, what is aimed at, and what it came to.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::report::number;

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::AtMost(most) => format!("≤ {}", number(most)),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Line {
    what: String,
    measured: f64,
    must: Option<Limit>,
    aim: Option<Limit>,
    /// The figures that it was made of.
    from: String,
}

impl Line {
    /// A figure without a goal.
    pub(super) fn plain(what: impl Into<String>, measured: f64, from: impl Into<String>) -> Self {
        Self { what: what.into(), measured, must: None, aim: None, from: from.into() }
    }

    pub(super) fn must(self, limit: Limit) -> Self {
        Self { must: Some(limit), ..self }
    }

    pub(super) fn aim(self, limit: Limit) -> Self {
        Self { aim: Some(limit), ..self }
    }

    fn verdict(&self) -> &'static str {
        let holds = |limit: Option<Limit>| limit.map(|limit| limit.holds(self.measured));
        match (holds(self.must), holds(self.aim)) {
            (Some(false), _) => "short",
            (Some(true), Some(true)) => "aim",
            (Some(true), _) => "met",
            (None, _) => "",
        }
    }
}

pub(super) fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["goal", "measured", "must", "aim", "", "from"]);
    for line in lines {
        let limit = |limit: Option<Limit>| limit.map(Limit::text).unwrap_or_default();
        let (must, aim) = (limit(line.must), limit(line.aim));
        let verdict = line.verdict().to_owned();
        table.add_row([line.what.clone(), number(line.measured), must, aim, verdict, line.from.clone()]);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
