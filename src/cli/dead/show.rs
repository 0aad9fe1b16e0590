//! `dead show`: one message's properties, and its body where asked for. It goes back to the queue.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::list::{COLUMNS, Listed};
use super::{Which, which};
use crate::broker::{DeadMessage, DeadQueue};
use crate::cli::CommandError;
use crate::cli::output::{remark, say_raw, say_row};
use crate::cli::page::Page;
use crate::cli::table::{Look, text};

/// Options of `dead show`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The message's id or place, as `dead list` shows them; while others work on the list, a place may be
    /// another message's
    #[arg(value_name = "ID", value_parser = which)]
    which: Which,
    /// Print its body and the values of its publisher's headers too; they may hold raw tokens
    #[arg(long)]
    body: bool,
    /// Print the body alone, byte by byte, for a file: to a terminal it may do anything
    #[arg(long, requires = "body", conflicts_with = "json")]
    raw: bool,
    /// Print the message as JSON
    #[arg(long)]
    json: bool,
}

/// A message with what its publisher said of it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    properties: BTreeMap<&'static str, String>,
    /// Their values only where asked for.
    headers: BTreeMap<String, Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Instead, of a body that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl Shown {
    /// Header values and the body only `openly`.
    fn new(message: &DeadMessage, openly: bool) -> Self {
        let headers = message.headers().into_iter();
        let text = std::str::from_utf8(message.body()).ok();
        Self {
            listed: Listed::new(message),
            properties: message.properties().into_iter().collect(),
            headers: headers.map(|(name, value)| (name, openly.then_some(value))).collect(),
            body: text.filter(|_| openly).map(str::to_owned),
            body_base64: (openly && text.is_none()).then(|| STANDARD.encode(message.body())),
        }
    }
}

pub(super) async fn run(mut queue: DeadQueue, args: &Args) -> Result<(), CommandError> {
    let found = find(&mut queue, &args.which).await;
    let closed = queue.close().await.map_err(CommandError::from);
    let message = found?;
    closed?;
    if args.body {
        remark("the body and the headers may hold raw tokens: mind where this output goes");
    }
    let shown = Shown::new(&message, args.body);
    if args.raw {
        say_raw(message.body());
    } else if args.json {
        say_row(&shown);
    } else {
        print(&shown, args.body.then(|| message.body()));
    }
    Ok(())
}

async fn find(queue: &mut DeadQueue, which: &Which) -> Result<DeadMessage, CommandError> {
    let waiting = queue.waiting().await?;
    if matches!(which, Which::Place(place) if *place > waiting) {
        return Err(which.absent(waiting));
    }
    while let Some(message) = queue.take().await? {
        if which.is(&message) {
            return Ok(message);
        }
    }
    Err(which.absent(waiting))
}

fn print(shown: &Shown, body: Option<&[u8]>) {
    let mut page = Page::new(Look::here());
    let listed = COLUMNS.iter().map(|column| (column.head.to_owned(), column.of(&shown.listed)));
    let properties = shown.properties.iter().map(|(name, value)| ((*name).to_owned(), text(value)));
    let headers = shown.headers.iter().map(|(name, value)| (name.clone(), text(value.as_ref())));
    page.pairs(listed.chain(properties).chain(headers).collect());
    if let Some(body) = body {
        page.line(format_args!("\n{}", String::from_utf8_lossy(body)));
    }
    page.say();
}
