//! `dead list`: the messages without their bodies. They go back to the queue, in order.

use serde::Serialize;
use serde_json::json;

use crate::broker::{BrokerError, DeadMessage, DeadQueue};
use crate::cli::CommandError;
use crate::cli::output::{count, remark, say, say_row};
use crate::cli::page::{Page, View};
use crate::cli::table::{Column, column, number, text, time, wide, word};

/// Options of `dead list`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Most messages to list, oldest first
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: View,
}

/// A message without its body.
#[derive(Serialize)]
pub(super) struct Listed {
    place: usize,
    id: String,
    code: String,
    detail: String,
    queue: String,
    routing_key: String,
    user: Option<String>,
    refused_at: Option<String>,
    bytes: usize,
    message_id: Option<String>,
}

pub(super) const COLUMNS: [Column<Listed>; 10] = [
    column("place", |row| number(row.place as u64)),
    column("id", |row| word(&row.id)),
    column("code", |row| word(&row.code)),
    column("detail", |row| text(&row.detail)),
    wide("queue", |row| text(&row.queue)),
    wide("routing key", |row| text(&row.routing_key)),
    column("user", |row| text(row.user.as_ref())),
    column("refused", |row| time(row.refused_at.as_ref())),
    wide("bytes", |row| number(row.bytes as u64)),
    column("message id", |row| text(row.message_id.as_ref())),
];

impl Listed {
    pub(super) fn new(m: &DeadMessage) -> Self {
        Self {
            place: m.place,
            id: m.id(),
            code: m.code.clone(),
            detail: m.detail.clone(),
            queue: m.queue.clone(),
            routing_key: m.routing_key.clone(),
            user: m.user.clone(),
            refused_at: m.at.clone(),
            bytes: m.bytes,
            message_id: m.message_id.clone(),
        }
    }
}

pub(super) async fn run(mut queue: DeadQueue, args: &Args) -> Result<(), CommandError> {
    let waiting = queue.waiting().await?;
    let (listed, read) = take(&mut queue, args.limit as usize).await;
    // What could be read is shown, also where the message after it cannot be.
    let closed = read.and(queue.close().await);
    if args.json {
        say_row(&json!({ "waiting": waiting, "messages": listed }));
    } else if listed.is_empty() && closed.is_ok() {
        say("revocation.dead is empty");
    } else {
        if listed.len() < waiting {
            remark(format_args!("the first {} of {}:", listed.len(), count(waiting, "message")));
        }
        let mut page = Page::new(args.view.look_here());
        page.table(&COLUMNS, &listed);
        page.say();
    }
    closed.map_err(CommandError::from)
}

async fn take(queue: &mut DeadQueue, limit: usize) -> (Vec<Listed>, Result<(), BrokerError>) {
    let mut listed = Vec::new();
    while listed.len() < limit {
        match queue.take().await {
            Ok(Some(message)) => listed.push(Listed::new(&message)),
            Ok(None) => break,
            Err(error) => return (listed, Err(error)),
        }
    }
    (listed, Ok(()))
}
