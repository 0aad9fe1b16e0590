//! `dead list` and `dead show`: what is looked at goes back to the queue, in order.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::no_such_place;
use crate::broker::{BrokerError, DeadMessage, DeadQueue};
use crate::cli::CommandError;
use crate::cli::output::{count, printable, remark, say, say_json, say_raw, say_table};

/// Options of `dead list`.
#[derive(clap::Args)]
pub(in crate::cli) struct List {
    /// Most messages to list, oldest first
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Options of `dead show`.
#[derive(clap::Args)]
pub(in crate::cli) struct Show {
    /// The message's place, as `dead list` shows it
    #[arg(value_name = "PLACE", value_parser = clap::value_parser!(u32).range(1..))]
    place: u32,
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

/// A message without its body.
struct Listed {
    row: [String; 9],
    json: Map<String, Value>,
}

const HEAD: [&str; 9] =
    ["PLACE", "CODE", "DETAIL", "QUEUE", "ROUTING KEY", "USER", "REFUSED AT", "BYTES", "MESSAGE ID"];
const FIELDS: [&str; 9] =
    ["place", "code", "detail", "queue", "routing_key", "user", "refused_at", "bytes", "message_id"];

impl Listed {
    fn new(m: &DeadMessage) -> Self {
        let values: [Value; 9] = [
            m.place.into(),
            m.code.as_str().into(),
            m.detail.as_str().into(),
            m.queue.as_str().into(),
            m.routing_key.as_str().into(),
            m.user.clone().into(),
            m.at.clone().into(),
            m.bytes.into(),
            m.message_id.clone().into(),
        ];
        let row = values.each_ref().map(|value| match value {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        });
        Self { row, json: FIELDS.map(String::from).into_iter().zip(values).collect() }
    }
}

pub(super) async fn list(mut queue: DeadQueue, args: &List) -> Result<(), CommandError> {
    let waiting = queue.waiting().await.map_err(CommandError::failed)?;
    let (listed, read) = take(&mut queue, args.limit as usize).await;
    // What could be read is shown, also where the message after it cannot be.
    let closed = read.and(queue.close().await);
    if args.json {
        let messages: Vec<_> = listed.into_iter().map(|message| message.json).collect();
        say_json(&json!({ "waiting": waiting, "messages": messages }));
    } else if listed.is_empty() && closed.is_ok() {
        say("revocation.dead is empty");
    } else {
        if listed.len() < waiting {
            remark(format_args!("the first {} of {}:", listed.len(), count(waiting, "message")));
        }
        say_table(HEAD, listed.into_iter().map(|message| message.row));
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

pub(super) async fn show(mut queue: DeadQueue, args: &Show) -> Result<(), CommandError> {
    let place = args.place as usize;
    let found = find(&mut queue, place).await;
    let closed = queue.close().await.map_err(CommandError::failed);
    let message = found?;
    closed?;
    if args.body {
        remark("the body and the headers may hold raw tokens: mind where this output goes");
    }
    let shown = describe(&message, args.body);
    if args.raw {
        say_raw(message.body());
    } else if args.json {
        say_json(&shown);
    } else {
        print(&shown, args.body.then(|| message.body()));
    }
    Ok(())
}

async fn find(queue: &mut DeadQueue, place: usize) -> Result<DeadMessage, CommandError> {
    let waiting = queue.waiting().await.map_err(CommandError::failed)?;
    if place > waiting {
        return Err(no_such_place(place, waiting));
    }
    loop {
        match queue.take().await.map_err(CommandError::failed)? {
            Some(message) if message.place == place => return Ok(message),
            Some(_) => {}
            None => return Err(no_such_place(place, waiting)),
        }
    }
}

/// Header values and the body only `openly`; a body that is not UTF-8 in base64.
fn describe(message: &DeadMessage, openly: bool) -> Map<String, Value> {
    let mut shown = Listed::new(message).json;
    shown.insert(
        "properties".to_owned(),
        message.properties().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    );
    let headers = message
        .headers()
        .into_iter()
        .map(|(name, value)| (name, if openly { Value::from(value) } else { Value::Null }));
    shown.insert("headers".to_owned(), headers.collect());
    if openly {
        match std::str::from_utf8(message.body()) {
            Ok(text) => shown.insert("body".to_owned(), text.into()),
            Err(_) => shown.insert("body_base64".to_owned(), STANDARD.encode(message.body()).into()),
        };
    }
    shown
}

fn print(shown: &Map<String, Value>, body: Option<&[u8]>) {
    let line = |name: &str, value: &Value| match value {
        Value::Null => say(format_args!("{:<20} -", printable(name))),
        Value::String(text) => say(format_args!("{:<20} {}", printable(name), printable(text))),
        other => say(format_args!("{name:<20} {other}")),
    };
    for field in FIELDS {
        line(field, &shown[field]);
    }
    for group in ["properties", "headers"] {
        for (name, value) in shown[group].as_object().into_iter().flatten() {
            line(name, value);
        }
    }
    if let Some(body) = body {
        say(format_args!("\n{}", String::from_utf8_lossy(body)));
    }
}
