//! Tables for people, 80 characters wide unless all is asked for. `--json` has the exact values.

use time::OffsetDateTime;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::colour::{self, Colour};
use super::output::printable;
use crate::visible::errors::brief;
use crate::visible::times::{ago, due_in};

/// So wide is a table, where not all of it is asked for.
const WIDTH: usize = 80;
/// Between two columns.
const GAP: &str = "  ";
/// A name is cut no shorter than this.
const SHORTEST: usize = 6;
/// Stands for what was cut out.
const ELLIPSIS: char = '…';

/// How a person wants to see results.
#[derive(Clone, Copy)]
pub(super) struct Look {
    /// All columns, nothing cut.
    pub(super) wide: bool,
    /// Whether the output may have colours.
    pub(super) coloured: bool,
    /// By the clock that the shown times are from.
    pub(super) now: OffsetDateTime,
}

/// What a row has in a column.
pub(super) enum Cell {
    /// A name or a sentence: cut in the middle where there is no room for it.
    Text(String),
    /// A call's error: cut to the beginning of what tells most of it.
    Error(String),
    /// One of few words, whole, in the colour that it has everywhere.
    Word(String),
    /// Whole, at the right.
    Number(String),
    /// A time as Postgres writes it in JSON.
    Time(String),
    /// The same of what is done once its time has come.
    Due(String),
    /// A dash.
    Nothing,
}

/// A column of a table.
pub(super) struct Column<R> {
    /// What stands above it.
    pub(super) head: &'static str,
    cell: fn(&R) -> Cell,
    is_wide: bool,
}

/// A column that is always shown.
pub(super) const fn column<R>(head: &'static str, cell: fn(&R) -> Cell) -> Column<R> {
    Column { head, cell, is_wide: false }
}

/// A column that is shown where all are asked for.
pub(super) const fn wide<R>(head: &'static str, cell: fn(&R) -> Cell) -> Column<R> {
    Column { head, cell, is_wide: true }
}

/// A name or a sentence.
pub(super) fn text<'t>(text: impl Into<Option<&'t String>>) -> Cell {
    text.into().map_or(Cell::Nothing, |text| Cell::Text(text.clone()))
}

/// A call's error.
pub(super) fn error<'t>(error: impl Into<Option<&'t String>>) -> Cell {
    error.into().map_or(Cell::Nothing, |error| Cell::Error(error.clone()))
}

/// A state, or another word of few.
pub(super) fn word<'t>(word: impl Into<Option<&'t String>>) -> Cell {
    word.into().map_or(Cell::Nothing, |word| Cell::Word(word.clone()))
}

/// A time as Postgres writes it in JSON.
pub(super) fn time<'t>(time: impl Into<Option<&'t String>>) -> Cell {
    time.into().map_or(Cell::Nothing, |time| Cell::Time(time.clone()))
}

/// When something is to be done, as Postgres writes it in JSON.
pub(super) fn due<'t>(time: impl Into<Option<&'t String>>) -> Cell {
    time.into().map_or(Cell::Nothing, |time| Cell::Due(time.clone()))
}

/// A count.
pub(super) fn number(number: impl Into<Option<u64>>) -> Cell {
    number.into().map_or(Cell::Nothing, |number| Cell::Number(number.to_string()))
}

/// A measurement, to two digits and to the unit.
pub(super) fn rounded(number: Option<f64>) -> Cell {
    let digits = |number: f64| if number.abs() < 9.95 { 1 } else { 0 };
    number.map_or(Cell::Nothing, |number| Cell::Number(format!("{number:.*}", digits(number))))
}

/// A cell as it is printed: what it shows, and whether it may be cut.
struct Shown {
    text: String,
    width: usize,
    colour: Colour,
    is_number: bool,
    cutting: Cutting,
    cut: fn(&str, usize) -> String,
}

/// When a cell is cut.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cutting {
    /// Where the line is too long.
    First,
    /// Where it is too long still.
    Last,
    Never,
}

impl Cell {
    fn shown(self, now: OffsetDateTime) -> Shown {
        let is_number = matches!(self, Self::Number(_));
        let (cutting, cut): (_, fn(&str, usize) -> String) = match self {
            Self::Text(_) => (Cutting::First, cut),
            Self::Error(_) => (Cutting::First, cut_error),
            Self::Word(_) => (Cutting::Last, cut),
            _ => (Cutting::Never, cut),
        };
        let (text, colour) = match self {
            Self::Text(text) | Self::Error(text) | Self::Number(text) => (text, Colour::Plain),
            Self::Word(word) => (word.clone(), Colour::of(&word)),
            Self::Time(at) => (ago(&at, now), Colour::Plain),
            Self::Due(at) => (due_in(&at, now), Colour::Plain),
            Self::Nothing => ("-".to_owned(), Colour::Quiet),
        };
        let text = printable(&text);
        Shown { width: text.width(), text, colour, is_number, cutting, cut }
    }

    /// The whole of it, for a line of its own.
    pub(super) fn whole(self, now: OffsetDateTime) -> (String, Colour) {
        let shown = self.shown(now);
        (shown.text, shown.colour)
    }
}

impl<R> Column<R> {
    /// What a row has there.
    pub(super) fn of(&self, row: &R) -> Cell {
        (self.cell)(row)
    }
}

/// The lines of a table, heads first, without lines between the columns, so that `grep` and `awk` work on it.
pub(super) fn lines<'r, R: 'r>(
    columns: &[Column<R>],
    rows: impl IntoIterator<Item = &'r R>,
    look: Look,
) -> Vec<String> {
    let columns: Vec<_> = columns.iter().filter(|column| look.wide || !column.is_wide).collect();
    let shown = |row: &R| columns.iter().map(|column| column.of(row).shown(look.now)).collect::<Vec<_>>();
    let rows: Vec<Vec<Shown>> = rows.into_iter().map(shown).collect();
    let widths = widths(&columns, &rows, look.wide);
    let is_number = |place: usize| rows.iter().any(|row| row[place].is_number);
    let in_colour = |text: &str, colour: Colour, width: usize, right: bool| {
        let blanks = " ".repeat(width.saturating_sub(text.width()));
        let text = colour::paint(colour, text, look.coloured);
        if right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
    };
    let heads: Vec<_> = (0..columns.len())
        .map(|place| in_colour(columns[place].head, Colour::Quiet, widths[place], is_number(place)))
        .collect();
    let line = |row: &Vec<Shown>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            in_colour(&(cell.cut)(&cell.text, *width), cell.colour, *width, cell.is_number)
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    std::iter::once(heads.join(GAP).trim_end().to_owned()).chain(rows.iter().map(line)).collect()
}

/// How wide each column is: as its widest cell, and where that is too much, names are cut, the longest first,
/// and words where that is not enough.
fn widths<R>(columns: &[&Column<R>], rows: &[Vec<Shown>], wide: bool) -> Vec<usize> {
    let of =
        |place: usize| rows.iter().map(|row| row[place].width).chain([columns[place].head.width()]).max();
    let mut widths: Vec<_> = (0..columns.len()).map(|place| of(place).unwrap_or_default()).collect();
    let least = |place: usize, cutting: Cutting| {
        let whole = rows.iter().map(|row| &row[place]).filter(|cell| cell.cutting > cutting);
        let whole = whole.map(|cell| cell.width);
        whole.chain([columns[place].head.width(), SHORTEST]).max().unwrap_or(SHORTEST)
    };
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    for cutting in [Cutting::First, Cutting::Last] {
        while !wide && widths.iter().sum::<usize>() + gaps > WIDTH {
            let cuttable = (0..widths.len()).filter(|place| widths[*place] > least(*place, cutting));
            let Some(longest) = cuttable.max_by_key(|place| widths[*place]) else { break };
            widths[longest] -= 1;
        }
    }
    widths
}

/// A text without its middle, where it is wider: both ends of a name tell it from others.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let start: String = fitting(text.chars(), room.div_ceil(2)).into_iter().collect();
    let end = fitting(text.chars().rev(), room / 2).into_iter().rev();
    // An accent without its letter would stand on the ellipsis.
    let end: String = end.skip_while(|c| c.width() == Some(0)).collect();
    format!("{start}{ELLIPSIS}{end}")
}

/// The beginning of what tells most of an error, where it is wider.
fn cut_error(text: &str, width: usize) -> String {
    let short = if text.width() <= width { text } else { brief(text) };
    if short.width() <= width {
        return short.to_owned();
    }
    let start: String = fitting(short.chars(), width.saturating_sub(1)).into_iter().collect();
    format!("{start}{ELLIPSIS}")
}

fn fitting(characters: impl Iterator<Item = char>, room: usize) -> Vec<char> {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= room
    };
    characters.take_while(fits).collect()
}

#[cfg(test)]
mod tests;
