//! `dead list`: the messages without their bodies. They go back to the queue, in order.

use serde::Serialize;
use serde_json::json;

use crate::broker::{BrokerError, DeadMessage, DeadQueue};
use crate::cli::CommandError;
use crate::cli::output::{Column, count, or_dash, remark, say, say_row, say_table};

/// Options of `dead list`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Most messages to list, oldest first
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// A message without its body.
#[derive(Serialize)]
pub(super) struct Listed {
    place: usize,
    code: String,
    detail: String,
    queue: String,
    routing_key: String,
    user: Option<String>,
    refused_at: Option<String>,
    bytes: usize,
    message_id: Option<String>,
}

const COLUMNS: [Column<Listed>; 9] = [
    ("PLACE", |row| row.place.to_string()),
    ("CODE", |row| row.code.clone()),
    ("DETAIL", |row| row.detail.clone()),
    ("QUEUE", |row| row.queue.clone()),
    ("ROUTING KEY", |row| row.routing_key.clone()),
    ("USER", |row| or_dash(&row.user)),
    ("REFUSED AT", |row| or_dash(&row.refused_at)),
    ("BYTES", |row| row.bytes.to_string()),
    ("MESSAGE ID", |row| or_dash(&row.message_id)),
];

impl Listed {
    pub(super) fn new(m: &DeadMessage) -> Self {
        Self {
            place: m.place,
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

    /// Each member by its name in JSON.
    pub(super) fn members(&self) -> impl Iterator<Item = (String, String)> {
        COLUMNS.iter().map(|(head, cell)| (head.to_lowercase().replace(' ', "_"), cell(self)))
    }
}

pub(super) async fn run(mut queue: DeadQueue, args: &Args) -> Result<(), CommandError> {
    let waiting = queue.waiting().await.map_err(CommandError::failed)?;
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
        say_table(&COLUMNS, &listed);
    }
    closed.map_err(CommandError::failed)
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
