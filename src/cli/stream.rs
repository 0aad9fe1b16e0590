//! `stream`: the stream that a sender of Shared Signals has for us, set up at its transmitter (SSF 1.0
//! section 8.1).

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::CommandError;
use super::output::{printable, say, say_json};
use crate::config::{Environment, SenderConfig, StreamSettings};
use crate::provider::{SsfError, SsfStreams, Transmitter};
use crate::receive;

/// What to do.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Have a stream made: pushed to --endpoint, else to be polled; says what belongs into the settings
    Create(Create),
    /// Show the streams that the transmitter has for us, and whether they are enabled
    Status(Asked),
    /// Have the transmitter send a verification event
    Verify(Asked),
    /// Have a stream deleted
    Delete(Asked),
}

/// Options of `stream create`.
#[derive(clap::Args)]
pub(super) struct Create {
    #[command(flatten)]
    sender: Sender,
    /// Where events are to be pushed: https://<your host>/ssf/<sender>
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    endpoint: Option<String>,
    /// What the transmitter shows its people
    #[arg(long, value_name = "TEXT", default_value = "revocation-worker")]
    description: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Options of the others.
#[derive(clap::Args)]
pub(super) struct Asked {
    #[command(flatten)]
    sender: Sender,
    /// Which stream; not needed where there is one
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    stream: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The sender that is meant.
#[derive(clap::Args)]
struct Sender {
    /// The sender, as in [receive.senders.NAME]
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: String,
}

const LET_IN: &str = "the transmitter lets nobody in with this: set stream_authorization of the sender \
    (such as \"Bearer …\", a token with scope ssf.manage), or its file";
const THERE: &str =
    "it has a stream for us already: `revocation-worker stream status` shows it, `stream delete` ends it";
const METADATA: &str = "look at the sender's issuer, and at what its /.well-known/ssf-configuration says";

pub(super) async fn run(path: Option<&Path>, command: &Command) -> Result<(), CommandError> {
    let senders = StreamSettings::load(path, &Environment::of_process())?.senders;
    let name = match command {
        Command::Create(args) => &args.sender.name,
        Command::Status(args) | Command::Verify(args) | Command::Delete(args) => &args.sender.name,
    };
    let Some(config) = senders.get(name) else {
        let names: Vec<_> = senders.keys().map(String::as_str).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let why = format!("sender {name}: there is no section [receive.senders.{name}]; configured: {known}");
        return Err(CommandError::Usage(printable(&why).to_string()));
    };
    let streams = SsfStreams::new(name, config).map_err(|error| CommandError::Usage(error.to_string()))?;
    let transmitter = streams.transmitter().await.map_err(advised)?;
    match command {
        Command::Create(args) => create(&transmitter, config, args).await,
        Command::Status(args) => status(&transmitter, args).await,
        Command::Verify(args) => verify(&transmitter, args).await,
        Command::Delete(args) => delete(&transmitter, args).await,
    }
}

fn advised(error: SsfError) -> CommandError {
    let remedy = match error.status {
        Some(401 | 403) => LET_IN,
        Some(409) => THERE,
        _ => METADATA,
    };
    CommandError::advised(error.why, remedy)
}

async fn create(
    transmitter: &Transmitter<'_>,
    config: &SenderConfig,
    args: &Create,
) -> Result<(), CommandError> {
    let (name, wanted) = (&args.sender.name, receive::wanted());
    let push = args.endpoint.as_deref().map(|endpoint| (endpoint, config.push_authorization.as_ref()));
    let made = transmitter.create(push, &wanted, &args.description).await.map_err(advised)?;
    let told = told(&made, None);
    let events = made["events_delivered"].as_array().cloned().unwrap_or_default();
    let missing: Vec<_> =
        wanted.iter().filter(|event| !events.iter().any(|given| given.as_str() == Some(event))).collect();
    if args.json {
        let mut told = told;
        (told["jwks_uri"], told["not_delivered"]) = (json!(transmitter.jwks_uri()), json!(missing));
        say_json(&told);
        return Ok(());
    }
    let delivery = if push.is_some() { "pushed" } else { "to be polled" };
    say(printable(&format!(
        "stream {} of sender {name}: made, its events are {delivery}",
        word(&told["stream_id"])
    )));
    say(printable(&format!("in [receive.senders.{name}]:")));
    say(printable(&format!("  audience = {}", audience(&told["audience"]))));
    if push.is_none() {
        say(printable(&format!("  poll_endpoint = {}", told["endpoint"])));
    }
    if let Some(keys) = transmitter.jwks_uri() {
        say(printable(&format!("  jwks_uri = {}", json!(keys))));
    }
    for event in missing {
        say(printable(&format!("not delivered: {event}")));
    }
    Ok(())
}

async fn status(transmitter: &Transmitter<'_>, args: &Asked) -> Result<(), CommandError> {
    let mut all = Vec::new();
    for stream in transmitter.streams().await.map_err(advised)? {
        let id = word(&stream["stream_id"]);
        if args.stream.as_ref().is_none_or(|wanted| *wanted == id) {
            let status = transmitter.status(&id).await.map_err(advised)?;
            all.push(told(&stream, Some(&status)));
        }
    }
    if args.json {
        say_json(&json!({ "streams": all }));
        return Ok(());
    }
    if all.is_empty() {
        say("the transmitter has no such stream for us");
    }
    for stream in &all {
        let [id, status, delivery] = ["stream_id", "status", "delivery"].map(|name| word(&stream[name]));
        let reason = stream["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
        say(printable(&format!("stream {id}: {status}{reason}; by {delivery}")));
        for event in stream["events_delivered"].as_array().into_iter().flatten() {
            say(printable(&format!("  {}", word(event))));
        }
    }
    Ok(())
}

async fn verify(transmitter: &Transmitter<'_>, args: &Asked) -> Result<(), CommandError> {
    let (id, state) = (the_one(transmitter, args).await?, uuid::Uuid::now_v7().to_string());
    transmitter.verify(&id, &state).await.map_err(advised)?;
    if args.json {
        say_json(&json!({ "stream_id": id, "state": state }));
        return Ok(());
    }
    say(printable(&format!("stream {id}: a verification event was asked for")));
    say("when it comes, `receive` logs: event received; there is nothing to do (reason verification)");
    Ok(())
}

async fn delete(transmitter: &Transmitter<'_>, args: &Asked) -> Result<(), CommandError> {
    let id = the_one(transmitter, args).await?;
    transmitter.delete(&id).await.map_err(advised)?;
    if args.json {
        say_json(&json!({ "stream_id": id, "deleted": true }));
        return Ok(());
    }
    say(printable(&format!("stream {id}: deleted")));
    Ok(())
}

/// The stream that is named, else the only one.
async fn the_one(transmitter: &Transmitter<'_>, args: &Asked) -> Result<String, CommandError> {
    if let Some(id) = &args.stream {
        return Ok(id.clone());
    }
    let streams = transmitter.streams().await.map_err(advised)?;
    let ids: Vec<_> = streams.iter().map(|stream| word(&stream["stream_id"])).collect();
    match &ids[..] {
        [id] => Ok(id.clone()),
        [] => Err(CommandError::failed(
            "the transmitter has no stream for us: `revocation-worker stream create`",
        )),
        ids => {
            let why = format!(
                "the transmitter has several streams for us: name one by --stream: {}",
                ids.join(", ")
            );
            Err(CommandError::failed(printable(&why)))
        }
    }
}

/// What is shown of a stream: of its delivery never what was agreed on as `Authorization`.
fn told(stream: &Value, status: Option<&Value>) -> Value {
    let delivery = match stream["delivery"]["method"].as_str() {
        Some(push) if push.contains("8935") || push.ends_with("/push") => "push",
        Some(poll) if poll.contains("8936") || poll.ends_with("/poll") => "poll",
        _ => "another method",
    };
    let mut told = json!({
        "stream_id": stream["stream_id"], "issuer": stream["iss"], "audience": stream["aud"],
        "delivery": delivery, "endpoint": stream["delivery"]["endpoint_url"],
        "events_delivered": stream["events_delivered"],
    });
    if let Some(status) = status {
        (told["status"], told["reason"]) = (status["status"].clone(), status["reason"].clone());
    }
    told
}

/// As a setting.
fn audience(given: &Value) -> Value {
    if given.is_array() { given.clone() } else { json!([given]) }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
