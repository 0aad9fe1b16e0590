use super::*;

struct Row {
    name: String,
    other: String,
    state: String,
    targets: u64,
    at: String,
}

const COLUMNS: [Column<Row>; 6] = [
    column("name", |row| text(&row.name)),
    column("other", |row| text(&row.other)),
    column("state", |row| word(&row.state)),
    column("targets", |row| number(row.targets)),
    column("at", |row| time(&row.at)),
    wide("again", |row| text(&row.other)),
];

fn row(name: &str, other: &str) -> Row {
    Row {
        name: name.to_owned(),
        other: other.to_owned(),
        state: "awaiting_approval".to_owned(),
        targets: 200_000,
        at: "2026-11-30T11:59:48+00:00".to_owned(),
    }
}

fn look(wide: bool, coloured: bool) -> Look {
    Look { wide, coloured, now: time::macros::datetime!(2026-11-30 12:00 UTC) }
}

#[test]
fn a_short_table_is_as_wide_as_its_cells() {
    let shown = lines(&COLUMNS, &[row("leak", "-")], look(false, false));
    assert_eq!(
        shown,
        ["name  other  state              targets  at", "leak  -      awaiting_approval   200000  12 s ago",]
    );
}

#[test]
fn whatever_is_in_it_a_line_has_80_columns() {
    for name in ["x".repeat(300), "日本語".repeat(40), "e\u{301}".repeat(90), "\u{1b}[2J".repeat(30)] {
        for line in lines(&COLUMNS, &[row(&name, &name), row("a", "b")], look(false, false)) {
            assert!(line.width() <= WIDTH, "{}: {line}", line.width());
        }
    }
}

#[test]
fn the_middle_of_the_longest_is_cut_and_wide_shows_all() {
    let name = format!("{}-the-end", "start".repeat(20));
    let shown = lines(&COLUMNS, &[row(&name, "short")], look(false, false));
    assert!(shown[1].starts_with("startstart") && shown[1].contains("…") && shown[1].contains("-the-end"));
    assert!(shown[1].contains("  short  awaiting_approval   200000  12 s ago"), "{}", shown[1]);
    let shown = lines(&COLUMNS, &[row(&name, "short")], look(true, false));
    assert!(shown[1].starts_with(&name) && shown[1].ends_with("short") && shown[0].ends_with("again"));
}

#[test]
fn a_cut_keeps_letters_whole() {
    assert_eq!(cut("abcdefghij", 10), "abcdefghij");
    assert_eq!(cut("abcdefghijk", 10), "abcde…hijk");
    assert_eq!(cut("日本語日本語", 8), "日本…語");
    assert_eq!(cut("aaaae\u{301}e\u{301}e\u{301}", 5), "aa…e\u{301}e\u{301}");
}

#[test]
fn colours_add_to_words_and_change_nothing_else() {
    let (plain, coloured) = [false, true]
        .map(|coloured| lines(&COLUMNS, &[row("leak", "x")], look(false, coloured)).join("\n"))
        .into();
    assert!(coloured.contains("\u{1b}[31mawaiting_approval\u{1b}[0m"), "{coloured:?}");
    let codes = ["\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"];
    assert_eq!(codes.iter().fold(coloured, |text, code| text.replace(code, "")), plain);
}

#[test]
fn measurements_are_rounded_to_what_they_mean() {
    let shown = |number| match rounded(Some(number)) {
        Cell::Number(text) => text,
        _ => String::new(),
    };
    assert_eq!([33.087_224_502, 0.0, 4.56, 9.96, 1234.5].map(shown), ["33", "0.0", "4.6", "10", "1234"]);
}

#[test]
fn words_are_cut_where_cutting_names_is_not_enough() {
    let columns: [Column<Row>; 5] = [
        column("name", |row| text(&row.name)),
        column("state", |row| word(&row.state)),
        column("again", |row| word(&row.state)),
        column("proof", |row| word(&row.state)),
        column("last error", |row| error(&row.other)),
    ];
    for name in ["x", "a-name-of-some-length", "日本語日本語日本語"] {
        let row = Row {
            state: "awaiting_approval_of_three_people".to_owned(),
            ..row(name, "POST https://x/y answered 503")
        };
        for line in lines(&columns, &[row], look(false, false)) {
            assert!(line.width() <= WIDTH, "{}: {line}", line.width());
        }
    }
}

#[test]
fn an_error_that_is_cut_begins_with_its_answer() {
    let columns: [Column<Row>; 2] =
        [column("name", |row| text(&row.name)), column("last error", |row| error(&row.other))];
    let said =
        format!("POST https://id.example.com/revoke answered 401 invalid_client: {}", "no ".repeat(40));
    let shown = lines(&columns, &[row("main", &said)], look(false, false));
    assert!(
        shown[1].starts_with("main  401 invalid_client: no no") && shown[1].ends_with('…'),
        "{}",
        shown[1]
    );
    assert!(lines(&columns, &[row("main", &said)], look(true, false))[1].contains(said.trim_end()));
}
