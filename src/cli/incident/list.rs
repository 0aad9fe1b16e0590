//! `incident list`: active ones first.

use serde_json::json;

use crate::cli::CommandError;
use crate::cli::output::{count, remark};
use crate::cli::page::{Page, View};
use crate::cli::table::{Column, column, number, rounded, text, time, wide, word};
use crate::cli::watch::{Found, Watch};
use crate::store::{Incident, Incidents, Store};

/// Options of `incident list`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Those too that finished more than 7 days ago
    #[arg(long)]
    all: bool,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    watch: Watch,
}

const COLUMNS: [Column<Incident>; 15] = [
    column("incident", |row| text(&row.incident)),
    column("state", |row| word(&row.state)),
    wide("opened by", |row| text(row.opened_by.as_ref())),
    column("opened", |row| time(row.opened_at.as_ref())),
    wide("expected", |row| number(row.targets_expected)),
    column("received", |row| number(row.targets_received)),
    column("denied", |row| number(row.denied)),
    column("pending", |row| number(row.counts.pending)),
    wide("revoked", |row| number(row.counts.revoked)),
    column("no call", |row| number(row.counts.unsupported)),
    wide("expired", |row| number(row.counts.expired)),
    column("parked", |row| number(row.counts.parked)),
    wide("cancelled", |row| number(row.counts.cancelled)),
    wide("per s", |row| rounded(row.pace().0)),
    wide("finished", |row| time(row.finished_at.as_ref())),
];

pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let look = async || {
        let listed = store.incidents(args.all).await?;
        if args.json {
            return Ok(Found::Json(json!(listed)));
        }
        let mut page = Page::new(args.view.look(store).await?);
        show(&mut page, &listed);
        if listed.hidden > 0 {
            let hidden = count(listed.hidden, "incident");
            let sentence = format!("{hidden} that finished more than 7 days ago not shown: --all");
            if args.watch.is_on() { page.line(sentence) } else { remark(sentence) }
        }
        Ok(Found::Page(page))
    };
    let done = args.watch.show(look).await;
    store.close().await;
    done
}

fn show(page: &mut Page, listed: &Incidents) {
    if listed.incidents.is_empty() {
        page.line("no incident is active, and none finished within 7 days");
    } else {
        page.table(&COLUMNS, &listed.incidents);
    }
}
