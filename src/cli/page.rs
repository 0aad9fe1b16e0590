//! What a command shows a person at once: lines and tables.

use super::colour::{self, Colour};
use super::output::{plain, printable, say_raw};
use super::table::{Cell, Column, Look, lines};
use crate::cli::CommandError;
use crate::store::Store;

/// Options of every command that shows tables.
#[derive(clap::Args)]
pub(super) struct View {
    /// Show all columns, with nothing cut [default: what fits into 80 characters]
    #[arg(long)]
    wide: bool,
}

impl View {
    /// The look, with times by the database's clock.
    pub(super) async fn look(&self, store: &Store) -> Result<Look, CommandError> {
        Ok(Look { now: store.time().await?.database, ..self.look_here() })
    }

    /// The look, with times by this machine's clock.
    pub(super) fn look_here(&self) -> Look {
        Look { wide: self.wide, ..Look::here() }
    }
}

impl Look {
    /// Not wide, with times by this machine's clock.
    pub(super) fn here() -> Self {
        Self { wide: false, coloured: colour::are_wanted(), now: time::OffsetDateTime::now_utc() }
    }
}

/// What is shown, line by line.
pub(super) struct Page {
    look: Look,
    text: String,
}

impl Page {
    pub(super) fn new(look: Look) -> Self {
        Self { look, text: String::new() }
    }

    /// A line; what would not print in it is escaped.
    pub(super) fn line(&mut self, line: impl std::fmt::Display) {
        self.coloured(Colour::Plain, line);
    }

    /// A line in a colour.
    pub(super) fn coloured(&mut self, colour: Colour, line: impl std::fmt::Display) {
        let line = plain(&line.to_string());
        self.add(&colour::paint(colour, &line, self.look.coloured));
    }

    pub(super) fn table<'r, R: 'r>(&mut self, columns: &[Column<R>], rows: impl IntoIterator<Item = &'r R>) {
        lines(columns, rows, self.look).iter().for_each(|line| self.add(line));
    }

    /// A title, and a table under it.
    pub(super) fn section<'r, R: 'r>(
        &mut self,
        title: &str,
        columns: &[Column<R>],
        rows: impl IntoIterator<Item = &'r R>,
    ) {
        self.line(format_args!("\n{title}"));
        self.table(columns, rows);
    }

    /// One row, a line a column, whole.
    pub(super) fn members<'c, R: 'c>(&mut self, columns: impl IntoIterator<Item = &'c Column<R>>, row: &R) {
        self.pairs(columns.into_iter().map(|column| (column.head.to_owned(), column.of(row))).collect());
    }

    /// Names with their values, whole.
    pub(super) fn pairs(&mut self, pairs: Vec<(String, Cell)>) {
        let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in pairs {
            let (value, colour) = value.whole(self.look.now);
            let value = colour::paint(colour, &value, self.look.coloured);
            self.add(&format!("{:<width$}  {value}", printable(&name)));
        }
    }

    fn add(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn say(&self) {
        say_raw(self.text.as_bytes());
    }
}
